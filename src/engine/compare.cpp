#include "engine/compare.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_set>

#include "controller/controller.hpp"
#include "controller/mapping.hpp"
#include "controller/search_path.hpp"
#include "core/text.hpp"
#include "engine/sync.hpp"
#include "pg/error.hpp"
#include "pg/hooks.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/outcome.hpp"
#include "queue/rights.hpp"
#include "queue/waiting.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// --- What was found ---

class Findings {
public:
    explicit Findings(const std::optional<std::int64_t>& most) : most_(most) {}

    // `diff` is called only if the diff is needed.
    template <class MakeDiff>
    void add(DifferentDocument document, MakeDiff&& diff) {
        auto which = static_cast<int>(document.difference);
        result_.counts[which][document.waiting]++;
        if (most_ && static_cast<std::int64_t>(result_.documents.size()) >= *most_) return;
        result_.listed[which][document.waiting]++;
        document.diff = diff();
        result_.documents.push_back(std::move(document));
    }
    void add(DifferentDocument document) {
        add(std::move(document), [] { return std::string(); });
    }
    void surplus_unknown(const std::string& why) { result_.surplus_unknown = why; }
    Comparison take() {
        auto order = [](const DifferentDocument& document) {
            return std::tie(document.difference, document.source, document.target);
        };
        std::stable_sort(result_.documents.begin(), result_.documents.end(),
                         [&](const auto& one, const auto& other) { return order(one) < order(other); });
        return std::move(result_);
    }

private:
    const std::optional<std::int64_t>& most_;
    Comparison result_;
};

// A row of a view may have no key. Then it is not a document, and no job can be about it.
std::optional<std::string> name_in(const DocumentType& type, const pg::RowValues& row) {
    for (int number : type.key()) {
        if (row.at(number).null) return std::nullopt;
    }
    return type.name_of(row);
}

// --- Declarative types ---

class TableComparison {
public:
    TableComparison(const JobType& type, Mapping& mapping, const ComparisonRequest& request)
        : type_(type), mapping_(mapping), request_(request), found_(request.max_rows), waiting_(type.name) {}

    Comparison run() {
        mapping_.each_unequal(request_.condition, [&](const Mapping::Unequal& pair) { add_unequal(pair); });
        if (!may_remove_targets(type_)) return found_.take();
        if (pg::row_security_applies(mapping_.source().relation().oid)) {
            found_.surplus_unknown("row-level security of " + quoted(mapping_.source().label()) + " applies to role " +
                                   quoted(pg::role_name(pg::current_user())) + ", which does not see all sources");
        } else {
            mapping_.each_surplus([&](const pg::RowValues& target) { add_surplus(target); });
        }
        return found_.take();
    }

private:
    void add_unequal(const Mapping::Unequal& pair) {
        auto source = name_in(mapping_.source(), pair.source);
        Difference difference = pair.ambiguous || !source ? Difference::ambiguous
                                : pair.missing            ? Difference::missing
                                                          : Difference::different;
        if (difference == Difference::missing && !type_.enables(Operation::insert)) return;
        if (difference == Difference::different && !type_.enables(Operation::update)) return;
        std::optional<std::string> target;
        if (!pair.missing) target = name_in(mapping_.target(), pair.target);
        found_.add({difference, source, target, {}, source && waiting_.has(*source)}, [&] {
            if (difference != Difference::different) return std::string();
            return pg::json_to_text(mapping_.target().diff(pair.target, pair.wanted, type_.secret_columns));
        });
    }

    void add_surplus(const pg::RowValues& target) {
        auto name = name_in(mapping_.target(), target);
        bool waits = name && left_to_jobs().contains(*name);
        found_.add({Difference::surplus, std::nullopt, name, {}, waits});
    }

    // The targets of earlier values of sources that have waiting jobs: these jobs will take care of them.
    const std::unordered_set<std::string>& left_to_jobs() {
        if (left_to_jobs_) return *left_to_jobs_;
        left_to_jobs_.emplace();
        for (const std::string& name : waiting_with_kept_rows(mapping_.source(), type_.name)) {
            for (const KeptRow& row : kept_rows(mapping_.source(), type_.name, name, InternalStatement::Sees::active)) {
                try {
                    pg::Subtransaction subtransaction;
                    pg::RowValues values = mapping_.evaluate_match(read_kept(mapping_.source(), name, row), {});
                    pg::Value found;
                    if (!mapping_.matches_nothing(values)) found = mapping_.find(values, Mapping::Lock::none, true);
                    if (!found.null) left_to_jobs_->insert(mapping_.target().name_of(found.datum));
                    subtransaction.commit();
                } catch (const pg::Error& error) {  // its job will report that
                    if (!pg::is_specific(error)) throw;
                }
            }
        }
        return *left_to_jobs_;
    }

    const JobType& type_;
    Mapping& mapping_;
    const ComparisonRequest& request_;
    Findings found_;
    WaitingDocuments waiting_;
    std::optional<std::unordered_set<std::string>> left_to_jobs_;
};

// --- Document by document ---

class DocumentComparison {
public:
    // `surplus_unknown`: as in Comparison.
    DocumentComparison(const JobType& type, const ComparisonRequest& request, const char* surplus_unknown)
        : type_(type),
          request_(request),
          found_(request.max_rows),
          source_(DocumentType::find(type.source, type.source_key)) {
        pg::require_writable("a comparison document by document");  // it locks targets
        found_.surplus_unknown(surplus_unknown);
    }

    Comparison run() {
        constexpr long names_at_a_time = 1000;
        std::vector<std::string> columns;
        for (int number : source_->key()) {
            columns.push_back("source." + pg::quoted_identifier(source_->relation().columns[number - 1].name));
        }
        std::string where = request_.condition.empty() ? "" : " WHERE (" + request_.condition + "\n)";
        pg::Memory memory("document to compare");
        pg::Cursor cursor("SELECT " + join(columns, ", ") + " FROM " + source_->relation().quoted + " AS source" +
                          where);
        pg::require_current(source_->relation());
        for (;;) {
            pg::Rows rows = cursor.fetch(names_at_a_time);
            if (rows.empty()) break;
            for (std::uint64_t i = 0; i < rows.size(); i++) {
                memory.reset();
                pg::MemorySwitch in_it(memory);
                compare_row(rows.whole(i));
            }
        }
        return found_.take();
    }

private:
    void compare_row(const pg::RowValues& key) {
        pg::RowValues row = pg::empty_row(source_->relation());
        for (std::size_t i = 0; i < source_->key().size(); i++)
            row.set(source_->key()[i], key.at(static_cast<int>(i) + 1));
        auto name = name_in(*source_, row);
        if (!name) return found_.add({Difference::ambiguous, std::nullopt, std::nullopt, {}, false});
        std::vector<DifferentDocument> different;
        // The document's job may have run between our looks. A difference counts only if it is still there at the second look, and no job
        // waits.
        for (int look = 0; look < 2; look++) {
            bool waits = WaitingDocuments(type_.name, name).has(*name);
            different.clear();
            dry_run(job_for(*name), different);
            waits = waits || WaitingDocuments(type_.name, name).has(*name);
            for (DifferentDocument& document : different) document.waiting = waits;
            if (waits || different.empty()) break;
        }
        for (DifferentDocument& document : different) {
            std::string diff = std::move(document.diff);
            found_.add(std::move(document), [&] { return diff; });
        }
    }

    Job job_for(const std::string& name) const {
        Job job = Job::blank();
        auto set_all = [&](std::initializer_list<C> columns, Datum value) {
            for (C column : columns) job.set(column, value);
        };
        set_all({C::id}, pg::int64_datum(0));
        set_all({C::insert_enabled, C::update_enabled, C::delete_enabled, C::dry_run, C::queue_on_insert},
                pg::bool_datum(true));
        set_all({C::update_without_changes_enabled, C::verbose_logging, C::publish_event}, pg::bool_datum(false));
        set_all({C::priority}, pg::int32_datum(type_.priority));
        set_all({C::retry_count, C::max_retries}, pg::int32_datum(0));
        set_all({C::timeout}, pg::interval_datum(type_.timeout.value_or(0)));
        set_all({C::retry_delay}, pg::interval_datum(type_.retry_delay));
        set_all({C::created_at, C::started_at}, pg::int64_datum(pg::now()));
        set_all({C::run_as, C::owner, C::enqueued_by}, pg::oid_datum(type_.run_as));
        job.set_status(Status::started);
        job.set_text(C::sync_job_type, type_.name);
        job.set_text(C::source_document_name, name);
        job.set_text(C::queue, type_.queue);
        job.set_text(C::retry_backoff, type_.retry_backoff);
        job.set_text(C::trigger_type, "Manual");
        job.set_oid(C::source_document_type, type_.source);
        job.set_oid(C::target_document_type, type_.target);
        job.set_title(type_.source_label, type_.target_label);
        return job;
    }

    void dry_run(const Job& job, std::vector<DifferentDocument>& different) {
        SyncContext sync;
        sync.job = job.copy();
        try {
            pg::Subtransaction subtransaction;
            {
                pg::SpiScope spi;
                pg::SnapshotScope snapshot;
                run_sync(sync, type_);
                judge(sync, different);
            }
            subtransaction.rollback();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            different.push_back(failed(job, *recordable(error, type_)));
            return;
        }
        for (const Job& child : sync.children) dry_run(child, different);
    }

    static std::optional<std::string> name_of(const Job& job, C column) {
        if (job.is_null(column)) return std::nullopt;
        return std::string(job.text(column));
    }

    static void judge(const SyncContext& sync, std::vector<DifferentDocument>& different) {
        if (sync.status != Status::finished) return;  // in step, no target, or relayed: then its children tell
        const Job& job = sync.job;
        auto source = name_of(job, C::source_document_name), target = name_of(job, C::target_document_name);
        switch (job.operation().value_or(Operation::update)) {
            case Operation::insert:
                return different.push_back({Difference::missing, source, std::nullopt, {}, false});
            case Operation::update:
                return different.push_back(
                    {Difference::different, source, target, pg::json_to_text(sync.diff.datum), false});
            case Operation::remove:
                return different.push_back({Difference::surplus, source, target, {}, false});
        }
    }

    // The error that a sync of it would raise.
    static DifferentDocument failed(const Job& job, const pg::ErrorReport& report) {
        pg::JsonBuilder json;
        json.begin_object();
        json.key("error");
        json.begin_object();
        json.field("sqlstate", report.sqlstate);
        json.field("message", report.message);
        if (!report.detail.empty()) json.field("detail", report.detail);
        json.end_object();
        json.end_object();
        return {Difference::ambiguous, name_of(job, C::source_document_name), name_of(job, C::target_document_name),
                pg::json_to_text(json.finish()), false};
    }

    const JobType& type_;
    const ComparisonRequest& request_;
    Findings found_;
    std::shared_ptr<DocumentType> source_;
};

// --- Both ---

pg::Error in_condition(const pg::Error& error) {
    return pg::Error(error.sqlstate(), "condition: " + error.report().message)
        .detail(error.report().detail)
        .hint("It is one SQL expression over source, as in source.region = 'North'.");
}

// Rolls back whatever the code of the type writes.
template <class Compare>
Comparison rolled_back(Compare&& compare) {
    Comparison result;
    pg::Subtransaction subtransaction;
    {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        result = compare();
    }
    subtransaction.rollback();
    return result;
}

}  // namespace

bool may_remove_targets(const JobType& type) {
    bool sets = type.on_delete == JobType::OnDelete::set;
    return type.enables(Operation::remove) && type.on_delete != JobType::OnDelete::keep && (!sets || type.enables(Operation::update));
}

void require_comparable(const JobType& type) {
    const char* why = type.background                ? "It is that of background work, which has no documents."
                      : type.is_push()              ? "It is an HTTP push, whose targets are not in this database."
                      : type.source == pg::no_oid    ? "It has no source document type."
                      : controller_kind(type).bypass ? "Its controller is a function execute, which does all by itself."
                                                     : nullptr;
    if (why == nullptr) return;
    throw pg::Error("0A000", "documents of sync job type " + quoted(type.name) + " cannot be compared")
        .detail(why)
        .hint(
            "Types with match and field_map, or with functions that say where a document goes and what is written, can "
            "be.");
}

void check_condition(const JobType& type, const std::string& condition) {
    if (condition.empty()) return;
    auto source = DocumentType::find(type.source, type.source_key);
    try {
        pg::check_expression(condition);
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            pg::Statement("SELECT FROM " + source->relation().quoted + " AS source WHERE (" + condition + "\n)", {})
                .prepare();
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        throw in_condition(error);
    }
}

const char* to_text(Difference difference) {
    constexpr const char* texts[difference_count] = {"missing", "different", "surplus", "ambiguous"};
    return texts[static_cast<int>(difference)];
}

Comparison compare(const JobType& type, const ComparisonRequest& request) {
    require_comparable(type);
    pg::ErrorContext context("comparison of sync job type " + quoted(type.name));
    pg::SettingsScope settings;
    set_search_path(type);
    check_condition(type, request.condition);
    auto controller = find_controller(type);
    Mapping* mapping = controller->mapping();
    if (mapping == nullptr) {
        constexpr const char* unknown =
            "its controller tells which target belongs to a source, and not which belongs to none";
        return rolled_back([&] { return DocumentComparison(type, request, unknown).run(); });
    }
    require_own_documents(mapping->source());
    require_own_documents(mapping->target());
    try {
        return rolled_back([&] { return TableComparison(type, *mapping, request).run(); });
    } catch (const pg::Error& error) {
        if (!error.report().from_server || !pg::is_specific(error)) throw;
    }
    // Some value cannot be computed. Looking at each document separately shows which.
    constexpr const char* unknown = "a value of match or field_map cannot be computed";
    return rolled_back([&] { return DocumentComparison(type, request, unknown).run(); });
}

// --- Jobs that compare ---

pg::Value comparison_context(const ComparisonRequest& request) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("condition", request.condition);
    json.key("max_rows");
    request.max_rows ? json.number(*request.max_rows) : json.null();
    json.end_object();
    return {json.finish(), false};
}

ComparisonRequest comparison_request_of(const Job& job) {
    ComparisonRequest request;
    for (const pg::JsonField& field : pg::json_fields(job.datum(C::context))) {
        if (field.key == "condition") request.condition = field.text;
        if (field.key == "max_rows" && field.kind == pg::JsonKind::number) request.max_rows = task_number(field, 0, INT32_MAX);
    }
    return request;
}

namespace {

void add_document(pg::JsonBuilder& json, const DifferentDocument& document) {
    auto name = [&](const char* key, const std::optional<std::string>& value) {
        json.key(key);
        value ? json.string(*value) : json.null();
    };
    json.begin_object();
    json.field("difference", to_text(document.difference));
    name("source_document_name", document.source);
    name("target_document_name", document.target);
    json.key("diff");
    if (document.diff.empty()) {
        json.null();
    } else {
        json.value(pg::json_from_text(document.diff), false, pg::type::jsonb, false);
    }
    json.key("waiting");
    json.boolean(document.waiting);
    json.end_object();
}

pg::Value as_json(const Comparison& comparison) {
    std::int64_t waiting = 0, out_of_step = 0;
    pg::JsonBuilder json;
    json.begin_object();
    for (int i = 0; i < difference_count; i++) {
        const auto& counts = comparison.counts[i];
        out_of_step += counts[0];
        waiting += counts[1];
        bool unknown = static_cast<Difference>(i) == Difference::surplus && !comparison.surplus_unknown.empty() &&
                       counts[0] + counts[1] == 0;
        json.key(to_text(static_cast<Difference>(i)));
        unknown ? json.null() : json.number(counts[0] + counts[1]);
    }
    json.key("waiting");
    json.number(waiting);
    json.key("out_of_step");
    json.number(out_of_step);
    if (!comparison.surplus_unknown.empty()) json.field("surplus_unknown", comparison.surplus_unknown);
    json.key("documents");
    json.begin_array();
    for (const DifferentDocument& document : comparison.documents) add_document(json, document);
    json.end_array();
    json.end_object();
    return {json.finish(), false};
}

}  // namespace

pg::Value run_comparison(const Job& job, const JobType& type) {
    ComparisonRequest request = comparison_request_of(job);
    Oid owner = job.oid(C::owner);
    if (!request.condition.empty() && !may_do_all(type, owner)) {
        throw SetupError(pg::Error("42501", "permission denied for a condition of role " + quoted(pg::role_name(owner)))
                             .detail("It is SQL that would run as role " + quoted(pg::role_name(type.run_as)) +
                                     ", which that role may not become."));
    }
    return as_json(compare(type, request));
}

}  // namespace sync_job
