#include "controller/native_host.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "job/schema_objects.hpp"
#include "pg/deadline.hpp"
#include "pg/float8.hpp"
#include "pg/json.hpp"
#include "pg/native_value.hpp"
#include "pg/text.hpp"

namespace sync_job {

// --- Rows ---

void NativeColumns::add(const std::string& name, Oid base_type, std::int32_t typmod) {
    names_.push_back(name);
    typmods_.push_back(typmod);
    types_.push_back(base_type);
}

const sync_job_columns* NativeColumns::get() {
    if (columns_.size() != names_.size()) {
        columns_.clear();
        for (std::size_t i = 0; i < names_.size(); i++) columns_.push_back({{names_[i].data(), names_[i].size()}, types_[i], 0});
        whole_ = {columns_.data(), columns_.size()};
    }
    return &whole_;
}

std::shared_ptr<NativeColumns> NativeColumns::of(const pg::RelationInfo& relation) {
    auto columns = std::make_shared<NativeColumns>();
    for (const pg::Column& column : relation.columns) {
        if (column.dropped) {
            columns->add("", pg::no_oid);
        } else {
            columns->add(column.name, pg::base_type(column.type), pg::base_typmod(column.type, column.typmod));
        }
    }
    return columns;
}

std::vector<sync_job_row> NativeHost::give(const std::vector<pg::RowValues>& rows, const std::shared_ptr<NativeColumns>& columns, Read read) {
    std::vector<sync_job_row> given(rows.size());
    if (columns == nullptr) return given;
    auto stored = std::make_unique<NativeRow[]>(rows.size());
    std::size_t width = columns->get()->count;
    auto* values = read == Read::now ? pg::allocate_array<sync_job_value>(std::max<std::size_t>(width * rows.size(), 1)) : nullptr;
    for (std::size_t i = 0; i < rows.size(); i++) {
        stored[i] = {rows[i], columns.get()};
        given[i].columns = columns->get();
        if (rows[i].values == nullptr) continue;
        given[i].stored = &stored[i];
        given[i].lasts = 1;
        if (read == Read::later) continue;
        given[i].values = values + i * width;
        pg::to_native(rows[i], *columns->get(), given[i].values);
    }
    given_.emplace_back(columns, std::move(stored));
    return given;
}

namespace {

std::string_view view(sync_job_text text) { return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size); }

std::string checked(sync_job_text text) {
    pg::require_valid_text(view(text));
    return std::string(view(text));
}

}  // namespace

// The rows of a statement. They are copied, so they survive the savepoint in which it ran.
struct NativeHost::Result {
    NativeColumns columns;
    std::vector<NativeRow> stored;
    std::vector<sync_job_row> rows;
    pg::Memory memory{"rows of a native controller"};
};

void NativeHost::load(sync_job_row* row) {
    auto* found = static_cast<const NativeRow*>(row->stored);
    if (found == nullptr) throw pg::Error("22023", "the controller reads a row that is not there");
    auto* values = pg::allocate_array<sync_job_value>(std::max<std::size_t>(found->columns->get()->count, 1));
    pg::to_native(found->values, *found->columns->get(), values);
    row->values = values;
}

// For a column that the controller has set: the value it set. For all others: the stored value.
sync_job_text NativeHost::text_of(const sync_job_row& row, std::uint64_t column, bool as_json) {
    auto* found = static_cast<const NativeRow*>(row.stored);
    if (found == nullptr || column >= found->columns->get()->count) throw pg::Error("22023", "the controller reads a column that is not there");
    Oid type = found->columns->get()->columns[column].type;
    pg::Value value = found->values.at(static_cast<int>(column) + 1);
    if (row.values != nullptr && row.values[column].set != 0) value = native_value(row.values[column], type, -1);
    pg::CanonicalOutput canonical;
    Datum text = pg::text_datum(value.null ? (as_json ? "null" : "")
                                : as_json  ? pg::json_to_text(pg::value_to_json(value.datum, type, false))
                                           : pg::value_to_text(value.datum, type));
    std::string_view printed = pg::datum_text(text);
    return {printed.data(), printed.size()};
}

// A value from another row that lasts is taken as it is if the types are the same; else it is converted by way of its text.
pg::Value native_value(const sync_job_value& value, Oid type, std::int32_t typmod) {
    if (value.kind != SYNC_JOB_OTHER) return pg::from_native(value, type, typmod);
    const auto* row = reinterpret_cast<const NativeRow*>(value.data);
    if (row == nullptr || value.number < 0 || static_cast<std::uint64_t>(value.number) >= row->columns->get()->count) {
        throw pg::Error("22023", "the controller copies a value that is not there");
    }
    auto column = static_cast<std::size_t>(value.number);
    Oid from = row->columns->get()->columns[column].type;
    pg::Value given = row->values.at(static_cast<int>(column) + 1);
    if (given.null) return {};
    if (from == type) {
        return row->columns->typmod(column) == typmod ? given : pg::with_typmod(given, type, typmod);
    }
    pg::CanonicalOutput canonical;
    return pg::with_typmod({pg::text_to_value(pg::value_to_text(given.datum, from), type), false}, type, typmod);
}

// --- Statements ---

void NativeHost::execute(sync_job_text sql, const sync_job_value* arguments, std::uint64_t count, sync_job_rows* out) {
    constexpr std::uint64_t most_arguments = 1000;
    constexpr std::size_t most_statements = 64;
    if (may_ != May::all) throw pg::Error("0A000", "no statement can be executed while a controller is being made");
    if (count > most_arguments) throw pg::Error("54023", "a statement cannot have " + std::to_string(count) + " parameters");
    std::string text = checked(sql), key = text;
    std::vector<Oid> types(count);
    std::vector<pg::Value> values;
    for (std::uint64_t i = 0; i < count; i++) {
        values.push_back(pg::parameter_from_native(arguments[i], &types[i]));
        key += '\0' + std::to_string(types[i]);
    }
    if (statements_.size() >= most_statements && !statements_.contains(key)) statements_.clear();
    auto& known = statements_[key];
    if (known == nullptr) known = std::make_shared<pg::Statement>(text, types);
    auto statement = known;  // held, because the statement may run a job that clears the list
    auto result = std::make_unique<Result>();
    pg::Rows rows = statement->execute(values);
    for (int i = 0; i < rows.columns(); i++) result->columns.add(rows.column_name(i), pg::base_type(rows.column_type(i)));
    pg::MemorySwitch in_it(result->memory);
    result->stored.reserve(rows.size());
    std::size_t width = result->columns.get()->count;
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        pg::RowValues row{pg::allocate_array<Datum>(width), pg::allocate_array<bool>(width), static_cast<int>(width)};
        for (std::size_t j = 0; j < width; j++) row.set(static_cast<int>(j) + 1, rows.copy(i, static_cast<int>(j)));
        result->stored.push_back({row, &result->columns});
        auto* plain = pg::allocate_array<sync_job_value>(width);
        pg::to_native(row, *result->columns.get(), plain);
        result->rows.push_back({result->columns.get(), plain, &result->stored.back(), 0, 0});
    }
    *out = {result->columns.get(), result->rows.data(), result->rows.size(), rows.affected(), result.get()};
    results_.push_back(std::move(result));
}

// --- Savepoints ---

void NativeHost::begin_savepoint() {
    if (may_ != May::all) throw pg::Error("0A000", "no savepoint can be set while a controller is being made");
    savepoints_.push_back(std::make_unique<pg::Subtransaction>());
}

// Rolling back clears an error that happened since the savepoint began, unless it is a cancellation.
void NativeHost::end_savepoint(bool release) {
    if (savepoints_.empty()) throw pg::Error("3B001", "there is no savepoint to end");
    if (release) {
        savepoints_.back()->commit();
        savepoints_.pop_back();
        return;
    }
    auto ended = std::move(savepoints_.back());
    savepoints_.pop_back();
    ended->rollback();
    bool since = error_ != nullptr && error_at_ > savepoints_.size();
    if (since && !error_->sqlstate.starts_with("57")) error_ = nullptr;
    own_error_ = nullptr;
}

void NativeHost::roll_back_savepoints() noexcept {
    while (!savepoints_.empty()) savepoints_.pop_back();  // the innermost first
}

void NativeHost::show_progress(double percent, sync_job_text title, sync_job_text description) {
    static auto& statements = *new NativeStatements;
    auto& show = statements[schema_objects().schema];
    if (may_ != May::all) throw pg::Error("0A000", "there is no job to report the progress of");
    if (show == nullptr) {
        show = std::make_shared<pg::Statement>("SELECT " + schema_objects().in_schema("report_sync_job_progress") +
                                                   "(CAST($1 AS pg_catalog.numeric), $2, $3)",
                                               std::vector<Oid>{pg::type::float8, pg::type::text, pg::type::text});
    }
    auto held = show;
    auto text = [](sync_job_text given) { return given.size == 0 ? pg::Value{} : pg::Value{pg::text_datum(checked(given)), false}; };
    held->execute({pg::Value{pg::float8_datum(percent), false}, text(title), text(description)});
}

// --- The functions of the ABI ---

void NativeHost::remember(std::shared_ptr<const pg::ErrorReport> report) noexcept {
    error_ = std::move(report);
    error_at_ = savepoints_.size();
}

// No exception leaves it, only the return code.
template <class F>
std::int32_t NativeHost::run(F&& act) noexcept {
    if (error_ != nullptr) return SYNC_JOB_FAILED;
    try {
        act();
        return SYNC_JOB_OK;
    } catch (const pg::Error& error) {
        remember(error.share());
    } catch (const std::exception& error) {
        static const auto out_of_memory = pg::Error("53200", "out of memory").share();
        try {
            remember(pg::Error("XX000", error.what()).share());
        } catch (...) {
            remember(out_of_memory);
        }
    }
    return SYNC_JOB_FAILED;
}

struct NativeHost::Functions {
    static NativeHost& of(sync_job_host* host) { return *reinterpret_cast<NativeHost*>(host); }

    static std::int32_t last_error(sync_job_host* host, sync_job_error* out) noexcept {
        const pg::ErrorReport* report = of(host).error_.get();
        auto text = [](const std::string& given) { return sync_job_text{given.data(), given.size()}; };
        *out = {};
        if (report != nullptr) *out = {text(report->sqlstate), text(report->message), text(report->detail), text(report->hint)};
        return SYNC_JOB_OK;
    }
    // Not called for errors of the server, which are already remembered.
    static std::int32_t fail(sync_job_host* host, const sync_job_error* error) noexcept {
        NativeHost& self = of(host);
        try {
            std::string state(view(error->sqlstate));
            bool valid = state.size() == 5 && std::all_of(state.begin(), state.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
            pg::Error own(valid && state != "00000" ? state : "38000", readable(error->message));
            own.detail(readable(error->detail)).hint(readable(error->hint));
            self.own_error_ = own.share();
            return SYNC_JOB_OK;
        } catch (const std::exception&) {
            return SYNC_JOB_FAILED;
        }
    }
    static std::int32_t allocate(sync_job_host* host, size_t bytes, void** out) noexcept {
        return of(host).run([&] { *out = pg::allocate(bytes); });
    }
    static std::int32_t load(sync_job_host* host, sync_job_row* row) noexcept {
        return of(host).run([&] { of(host).load(row); });
    }
    static std::int32_t text_of(sync_job_host* host, const sync_job_row* row, std::uint64_t column, std::uint32_t as_json, sync_job_text* out) noexcept {
        return of(host).run([&] { *out = of(host).text_of(*row, column, as_json != 0); });
    }
    static std::int32_t execute(sync_job_host* host, sync_job_text sql, const sync_job_value* arguments, std::uint64_t count, sync_job_rows* out) noexcept {
        return of(host).run([&] { of(host).execute(sql, arguments, count, out); });
    }
    // Works even after an error: it only frees memory.
    static std::int32_t free_rows(sync_job_host* host, sync_job_rows* rows) noexcept {
        std::erase_if(of(host).results_, [&](const auto& result) { return result.get() == rows->stored; });
        return SYNC_JOB_OK;
    }
    static std::int32_t begin_savepoint(sync_job_host* host) noexcept {
        return of(host).run([&] { of(host).begin_savepoint(); });
    }
    static std::int32_t end_savepoint(sync_job_host* host, std::uint32_t release) noexcept {
        NativeHost& self = of(host);
        if (release != 0) return self.run([&] { self.end_savepoint(true); });
        auto before = self.error_;
        try {
            self.end_savepoint(false);
        } catch (const pg::Error& error) {
            self.remember(before != nullptr ? before : error.share());
        }
        return self.error_ == nullptr ? SYNC_JOB_OK : SYNC_JOB_FAILED;
    }
    static std::int32_t check_interrupts(sync_job_host* host) noexcept {
        return of(host).run([] { pg::check_interrupts(); });
    }
    static std::int32_t progress(sync_job_host* host, double percent, sync_job_text title, sync_job_text description) noexcept {
        return of(host).run([&] { of(host).show_progress(percent, title, description); });
    }
    static std::int32_t log(sync_job_host* host, std::uint32_t level, sync_job_text message) noexcept {
        return of(host).run([&] {
            std::string text = checked(message);
            level == SYNC_JOB_WARNING ? pg::warning(text) : level == SYNC_JOB_NOTICE ? pg::notice(text) : pg::log(text);
        });
    }
    static std::int32_t add_target(sync_job_host* host, const sync_job_target* target) noexcept {
        return of(host).run([&] {
            TargetFields fields;
            fields.operation = checked(target->operation);
            if (target->document_name.size > 0) fields.name = checked(target->document_name);
            if (target->document_type.size > 0) fields.document_type = relation_from_text(checked(target->document_type));
            if (target->context.data != nullptr) fields.context = {pg::json_from_text(checked(target->context)), false};
            of(host).targets.push_back(fields);
        });
    }
    static std::int32_t set_result(sync_job_host* host, sync_job_text json) noexcept {
        return of(host).run([&] { of(host).result = checked(json); });
    }

private:
    // The text of an exception may be anything: what is not valid in the encoding of the database becomes a question mark.
    static std::string readable(sync_job_text text) {
        constexpr std::size_t longest = 10000;
        std::string read(view(text).substr(0, longest));
        if (pg::is_text(read)) return read;
        std::replace_if(read.begin(), read.end(), [](char c) { return c == '\0' || static_cast<unsigned char>(c) >= 0x80; }, '?');
        return read;
    }
};

const sync_job_api* NativeHost::api() {
    using F = Functions;
    static const sync_job_api functions = {
        SYNC_JOB_ABI_MAGIC, SYNC_JOB_ABI_VERSION, sizeof(sync_job_api), F::last_error, F::fail, F::allocate, F::load, F::text_of, F::execute,
        F::free_rows, F::begin_savepoint, F::end_savepoint, F::check_interrupts, F::progress, F::log, F::add_target, F::set_result};
    return &functions;
}

NativeHost::NativeHost(std::string what, NativeStatements& statements, May may) : what_(std::move(what)), statements_(statements), may_(may) {}

NativeHost::~NativeHost() { roll_back_savepoints(); }

void NativeHost::end(std::int32_t code) {
    bool left_open = !savepoints_.empty();
    roll_back_savepoints();
    auto raise = [](const std::shared_ptr<const pg::ErrorReport>& report) { throw pg::Error(std::make_shared<pg::ErrorReport>(*report)); };
    if (error_ != nullptr) raise(error_);
    if (own_error_ != nullptr && code != SYNC_JOB_OK) raise(own_error_);
    if (code != SYNC_JOB_OK) throw pg::Error("38000", what_ + " failed without saying why").detail("It returned " + std::to_string(code) + ".");
    if (left_open) throw pg::Error("38000", what_ + " returned within a savepoint").hint("Release it, or roll it back, before.");
}

}  // namespace sync_job
