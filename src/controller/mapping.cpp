#include "controller/mapping.hpp"

#include <algorithm>

#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "document/row_columns.hpp"
#include "document/written_values.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

constexpr const char* before_alias = "sync_job_before";
constexpr const char* given_row = "pg_catalog.unnest(ARRAY[$1])";

std::string output_name(std::size_t index) { return "sync_job_" + std::to_string(index + 1); }

}  // namespace

Mapping::Mapping(const JobType& type)
    : Mapping(type, DocumentType::find(type.source, type.source_key), DocumentType::find(type.target, type.target_key)) {
    if (keeps_shards()) of_shards_ = std::make_unique<JobType>(type);
}

Mapping::Mapping(const JobType& type, std::shared_ptr<DocumentType> source, std::shared_ptr<DocumentType> target)
    : type_name_(type.name),
      condition_(condition_sql(type)),
      on_delete_values_(type.on_delete_values),
      source_(std::move(source)),
      target_(std::move(target)),
      match_only_(type.field_map.empty()) {
    read(type);
    judge_match();
    may_be_surplus_ = surplus_condition_sql(type, target_->relation().alias);
    match_indexed_ = pg::has_index_for(type.target, match_columns_, false);
    many_ = source_->supports_many() && target_->supports_many() && !pg::row_security_applies(type.target);
    many_ = many_ && !reads_target() && watched_columns_.empty();
    for (const Item& item : items_) many_ = many_ && fits_array(item.type);
    for (std::size_t i = 0; i < match_count_; i++) many_ = many_ && pg::has_hash(items_[i].type);
    prepare_statements();
    refuse_varying_match();
}

const pg::Column* Mapping::match_given_by_database() const {
    for (int number : match_columns_) {
        const pg::Column& column = target_->relation().columns[number - 1];
        if (column.always_identity) return &column;
    }
    return nullptr;
}

bool Mapping::match_is_unique() const { return pg::has_index_for(target_->relation().oid, match_columns_, true); }

// --- Statements ---

// Computed in a subquery of its own for each row, so that an aggregate or a window function sees one row, whether one
// document is asked for or many. The context is inside it, where its name takes precedence over a column of the source.
std::string Mapping::values_sql(const std::string& context, std::size_t first, std::size_t end, const std::string& beside) const {
    std::vector<std::string> values;
    for (std::size_t i = first; i < end; i++) {
        values.push_back("CAST(" + items_[i].sql + " AS " + pg::qualified_type_name(items_[i].type) + ") AS " +
                         output_name(i));
    }
    return "SELECT true AS sync_job_is_there, " + join(values, ", ") + " FROM " + beside + "(SELECT " + context + ") AS context (context)";
}

std::string Mapping::match_condition(const std::string& value_prefix, const std::string& alias) const {
    std::vector<std::string> conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        conditions.push_back(alias + "." + pg::quoted_identifier(column.name) + column.base_cast + " " + column.equality + " " +
                             value_prefix + std::to_string(i + 1));
    }
    return join(conditions, " AND ");
}

std::unique_ptr<pg::Statement> Mapping::one_document(std::size_t first, std::size_t end, const std::string& from) const {
    return std::make_unique<pg::Statement>(
        "SELECT v.* FROM " + from + " AS source CROSS JOIN LATERAL (" + values_sql("$2", first, end) + ") AS v",
        std::vector<Oid>{source_->relation().row_type, pg::type::jsonb}, pg::Statement::Access::any);
}

// Of the items that read it, with the target beside the source; null in an insert.
std::unique_ptr<pg::Statement> Mapping::late_values(std::size_t first, std::size_t end) const {
    return std::make_unique<pg::Statement>(
        std::string("SELECT v.* FROM ") + given_row + " AS source CROSS JOIN LATERAL (" +
            values_sql("$2", first, end, "pg_catalog.unnest(ARRAY[$3]) AS target CROSS JOIN (SELECT $4) AS job (sync_job_id) CROSS JOIN ") +
            ") AS v",
        std::vector<Oid>{source_->relation().row_type, pg::type::jsonb, target_->relation().row_type, pg::type::int8},
        pg::Statement::Access::any);
}

// The values together raise an error: says which column causes it.
void Mapping::raise_of_column() const {
    for (std::size_t i = 0; i < items_.size(); i++) {
        try {
            (i < early_count_ ? one_document(i, i + 1, given_row) : late_values(i, i + 1))->check();
        } catch (const pg::Error& error) {
            const std::string& column = target_->relation().columns[items_[i].column - 1].name;
            throw in_column(i < match_count_ ? "match" : "field_map", column, error);
        }
    }
}

// It says which target belongs to a source, whatever job asks, and when.
void Mapping::refuse_varying_match() const {
    for (std::size_t i = 0; i < match_count_; i++) {
        if (!items_[i].is_expression || !traits_of(i).varies) continue;
        throw pg::Error("22023", "match of column " + quoted(target_->relation().columns[items_[i].column - 1].name) +
                                     " gives another value each time")
            .detail("It says which target belongs to the source, whatever job asks.")
            .hint("If it calls a function that depends on its arguments alone, declare that IMMUTABLE or STABLE.");
    }
}

void Mapping::prepare_statements() {
    const pg::RelationInfo &source = source_->relation(), &target = target_->relation();
    using Access = pg::Statement::Access;
    Access by_match = match_indexed_ ? Access::by_index : Access::any;
    auto make = [](const std::string& sql, const std::vector<Oid>& types, Access access) {
        return std::make_unique<pg::Statement>(sql, types, access);
    };
    std::vector<Oid> match_types, match_arrays;
    for (std::size_t i = 0; i < match_count_; i++) {
        match_types.push_back(items_[i].type);
        match_arrays.push_back(pg::array_type_of(items_[i].type));
    }
    evaluate_ = one_document(0, early_count_, given_row);
    if (reads_target()) late_ = late_values(early_count_, items_.size());
    match_ = one_document(0, match_count_, given_row);
    std::string named = target.quoted + " AS " + target.alias;
    std::string find = "SELECT " + target_->whole_row() + " FROM " + named + " WHERE " + match_condition("$", target.alias) + " LIMIT 2";
    find_ = make(find, match_types, by_match);
    find_locked_ = make(find + " FOR NO KEY UPDATE OF " + target.alias, match_types, by_match);
    try {
        evaluate_->check();
        if (late_ != nullptr) late_->check();
    } catch (const pg::Error&) {
        raise_of_column();
        throw;
    }
    if (!many_) return;
    std::vector<Oid>& key_arrays = source_array_types_;
    std::vector<std::string> keys;
    for (int number : source_->key()) {
        const pg::Column& column = source.columns[number - 1];
        key_arrays.push_back(pg::array_type_of(pg::base_type(column.type)));
        keys.push_back("source." + pg::quoted_identifier(column.name) + column.base_cast + " " + column.equality +
                       " j.sync_job_" +
                       std::to_string(key_arrays.size()));
    }
    key_arrays.push_back(pg::array_type_of(pg::type::jsonb));
    bool all = condition_.empty();
    std::string values = values_sql("j.sync_job_" + std::to_string(key_arrays.size()), 0, items_.size());
    // The condition outside of the subquery, where `context` is a column of the source, if anything.
    std::string of_these = all ? " CROSS JOIN LATERAL (" + values + ") AS v"
                               : " CROSS JOIN LATERAL (SELECT " + condition_ + " AS holds) AS c LEFT JOIN LATERAL (" + values +
                                     " WHERE c.holds) AS v ON true";
    evaluate_many_ = make("SELECT j.sync_job_n, " + std::string(all ? "true" : "c.holds") + ", v.*" +
                              (match_only_ ? ", " + columns_sql(source, "source") : "") + " FROM " +
                              rows_from_arrays(1, key_arrays.size()) + " JOIN " + source.quoted + " AS source ON " +
                              join(keys, " AND ") + of_these,
                          key_arrays, Access::by_index);
    std::string matching = " FROM " + rows_from_arrays(1, match_arrays.size()) + " JOIN " + named + " ON " + match_condition("j.sync_job_", target.alias);
    find_many_ = make("SELECT j.sync_job_n" + matching, match_arrays, by_match);
    lock_many_ = make("SELECT j.sync_job_n, " + columns_sql(target_->relation(), target_->relation().alias) + matching + " FOR NO KEY UPDATE OF " + target.alias + " SKIP LOCKED",
                      match_arrays, by_match);
    if (match_only_) {  // what is written is not known to a statement
        inserts_unseen_ = match_is_unique() && match_given_by_database() == nullptr;
        if (!match_indexed_ || target.kind != 'r') return;
        match_sources_ = make("SELECT j.sync_job_n, v.*, " + columns_sql(source, "source") + ", " + columns_sql(target, target.alias) + ", " +
                                 target.alias + ".tableoid, " + target.alias + ".ctid FROM " +
                                 rows_from_arrays(1, key_arrays.size()) + " JOIN " + source.quoted + " AS source ON " + join(keys, " AND ") +
                                 " CROSS JOIN LATERAL (" + values + ") AS v JOIN " + named + " ON " + match_condition("v.sync_job_", target.alias) +
                                 (all ? "" : " WHERE " + condition_),
                             key_arrays, Access::by_index);
        return;
    }
    bool ruled = std::any_of(items_.begin(), items_.end(), [](const Item& item) { return item.only != Only::always; });
    if (match_indexed_ && target.kind == 'r' && !ruled) {
        matched_sources_ = "(SELECT j.sync_job_n, v.* FROM " + rows_from_arrays(1, key_arrays.size()) + " JOIN " + source.quoted +
                           " AS source ON " + join(keys, " AND ") + " CROSS JOIN LATERAL (" + values + ") AS v" +
                           (all ? "" : " WHERE " + condition_) + " OFFSET 0) AS w JOIN " + target.quoted + " AS " + before_alias + " ON " +
                           match_condition("w.sync_job_", before_alias);
    }
    if (!match_is_unique() || match_given_by_database() != nullptr) return;
    insert_sources_ = make(insert_sources_sql(key_arrays.size(), join(keys, " AND "), values), key_arrays, Access::by_index);
}

// --- One document ---

// The values that the statement computed, from column `first` on, as a row of the target.
pg::RowValues Mapping::to_row(const pg::RowValues& result, int first) const {
    pg::RowValues row = pg::empty_row(target_->relation());
    for (std::size_t i = 0; i < items_.size(); i++) {
        pg::Value value = result.at(first + static_cast<int>(i));
        row.set(items_[i].column, pg::with_typmod(value, items_[i].type, items_[i].typmod));
    }
    return row;
}

namespace {

[[noreturn]] void raise(const KeptDocument::Unread& unread) {
    throw pg::Error(std::make_shared<pg::ErrorReport>(*unread.error));
}

[[noreturn]] void several_rows(const std::string& type_name, std::uint64_t rows) {
    throw pg::Error("21000", "match or field_map of sync job type " + quoted(type_name) + " gives " +
                                 std::to_string(rows) + " rows for one document")
        .hint("An expression must return one value; one that returns a set does not.");
}

}  // namespace

// The first `count` items; the values are copied.
pg::RowValues Mapping::only_row(const pg::Rows& rows, std::size_t count) const {
    if (rows.size() != 1) several_rows(type_name_, rows.size());
    pg::RowValues result = pg::empty_row(target_->relation());
    for (std::size_t i = 0; i < count; i++) {
        pg::Value value = rows.copy(0, static_cast<int>(i) + 1);
        result.set(items_[i].column, pg::with_typmod(value, items_[i].type, items_[i].typmod));
    }
    return result;
}

pg::RowValues Mapping::evaluate(pg::Value source_row, pg::Value context) {
    return only_row(evaluate_->execute({source_row, context}), early_count_);
}

void Mapping::evaluate_late(pg::RowValues& wanted, pg::Value source_row, pg::Value context, pg::Value target_row, std::int64_t job) {
    if (late_ == nullptr) return;
    pg::Rows rows = late_->execute({source_row, context, target_row, {pg::int64_datum(job), false}});
    if (rows.size() != 1) several_rows(type_name_, rows.size());
    for (std::size_t i = early_count_; i < items_.size(); i++) {
        if (job == 0 && items_[i].reads_job && !target_row.null) {
            wanted.set(items_[i].column, pg::take_apart(target_row.datum, target_->relation()).at(items_[i].column));
            continue;
        }
        pg::Value value = rows.copy(0, static_cast<int>(i - early_count_) + 1);
        wanted.set(items_[i].column, pg::with_typmod(value, items_[i].type, items_[i].typmod));
    }
}

ColumnSet Mapping::apply_rules(pg::RowValues& wanted, const pg::RowValues& target, const ColumnSet& unedited) const {
    ColumnSet written;
    for (const Item& item : items_) {
        bool writes = item.only == Only::always || (item.only == Only::null && target.at(item.column).null) ||
                      (item.only == Only::unedited && contains(unedited, item.column));
        if (writes) {
            written.push_back(item.column);
        } else {
            wanted.set(item.column, target.at(item.column));
        }
    }
    return written;
}

void Mapping::adopt(pg::Value source_row) {
    if (watched_columns_.empty()) return;
    pg::RowValues wanted = evaluate(source_row, {});
    if (matches_nothing(wanted)) return;
    pg::Value found = find(wanted, Lock::none);
    if (!found.null) remember_adopted(type_name_, *target_, pg::take_apart(found.datum, target_->relation()), watched_columns_);
}

// The parser tells which columns an expression reads: it is parsed over a source that has only the readable ones.
std::unique_ptr<pg::Statement> Mapping::match_over_readable(const KeptDocument& kept) const {
    std::vector<std::string> columns;
    for (const pg::Column& column : source_->relation().columns) {
        auto is_this = [&](const auto& unread) { return unread.column == column.number; };
        bool unread = std::any_of(kept.unread.begin(), kept.unread.end(), is_this);
        if (!column.dropped && !unread) columns.push_back("kept." + pg::quoted_identifier(column.name));
    }
    auto statement = one_document(
        0, match_count_, "(SELECT " + join(columns, ", ") + " FROM " + given_row + std::string(" AS kept)"));
    statement->check();
    return statement;
}

pg::RowValues Mapping::evaluate_match(const KeptDocument& kept, pg::Value context) {
    bool by_expression = false;
    for (std::size_t i = 0; i < match_count_; i++) {
        by_expression = by_expression || items_[i].is_expression;
        for (const KeptDocument::Unread& unread : kept.unread) {
            if (unread.column == items_[i].source_column) raise(unread);
        }
        if (!contains(kept.absent, items_[i].source_column)) continue;
        throw pg::Error("42703", "column " + quoted(source_->relation().columns[items_[i].source_column - 1].name) +
                                     " is not in " + kept.described)
            .detail("match reads it, and it was added or renamed later.")
            .hint("Add its value to the row in sync_job_deleted_document; or correct the target by hand, and cancel the job.");
    }
    std::unique_ptr<pg::Statement> over_readable;
    if (by_expression && !kept.unread.empty()) {
        try {
            over_readable = match_over_readable(kept);
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            raise(kept.unread[0]);
        }
    }
    pg::Value row{pg::put_together(kept.row, source_->relation()), false};
    return only_row((over_readable != nullptr ? over_readable : match_)->execute({row, context}), match_count_);
}

bool Mapping::matches_nothing(const pg::RowValues& wanted) const {
    return std::any_of(match_columns_.begin(), match_columns_.end(),
                       [&](int column) { return wanted.at(column).null; });
}

std::uint64_t Mapping::match_hash(const pg::RowValues& wanted) const {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < match_count_; i++) {
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        hash = (hash ^ pg::hash_value(wanted.at(column.number).datum, items_[i].type, column.collation)) *
               0x9E3779B97F4A7C15ull;
        hash ^= hash >> 32;
    }
    return hash;
}

namespace {

[[noreturn]] void two_targets(const DocumentType& target, const std::string& one, const std::string& other) {
    throw pg::Error("21000", "more than one document of type " + quoted(target.label()) + " matches the source document")
        .detail("Two of them are " + quoted(pg::clipped(one, 60)) + " and " + quoted(pg::clipped(other, 60)) + ".")
        .hint("Make match unique: a unique index on its columns keeps it so.");
}

}  // namespace

pg::Value Mapping::find(const pg::RowValues& wanted, Lock lock, bool by_active_snapshot) {
    if (Mapping* shard = here(wanted)) return shard->find(wanted, lock, by_active_snapshot);
    if (lock == Lock::for_update && target_->distributed() != nullptr) return find_distributed_locked(wanted);
    std::vector<pg::Value> values;
    for (std::size_t i = 0; i < match_count_; i++) values.push_back(wanted.at(items_[i].column));
    pg::Rows rows = (lock == Lock::none ? find_ : find_locked_)->execute(values, by_active_snapshot);
    if (rows.empty()) return {};
    if (rows.size() > 1) two_targets(*target_, target_->name_of(rows.at(0, 0).datum), target_->name_of(rows.at(1, 0).datum));
    return {pg::copy_row(rows.at(0, 0).datum), false};
}

// --- Match values that change, or that documents share ---

// The key identifies a document: if match includes all its columns, no other document shares the match.
void Mapping::judge_match() {
    ColumnSet plain;
    for (std::size_t i = 0; i < match_count_; i++) {
        int column = items_[i].source_column;
        if (column != 0) plain.push_back(column);
        match_may_change_ = match_may_change_ || items_[i].is_expression ||
                            (column != 0 && !contains(source_->key(), column));
    }
    for (int column : source_->key()) match_is_shared_ = match_is_shared_ || !contains(plain, column);
}

// Values are compared as the target compares them. An integer of another length is not cast, so that its index can be
// used.
std::string Mapping::living_sql() const {
    std::vector<std::string> conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const Item& item = items_[i];
        const pg::Column& column = target_->relation().columns[item.column - 1];
        const pg::Column* from = item.source_column == 0 ? nullptr : &source_->relation().columns[item.source_column - 1];
        std::string value;
        if (from != nullptr && pg::is_integer(pg::base_type(from->type)) && pg::is_integer(item.type)) {
            value = item.sql + from->base_cast;
            conditions.push_back(value + " OPERATOR(pg_catalog.=) $" + std::to_string(i + 1));
            continue;
        }
        std::int32_t typmod = pg::is_text(item.type) ? -1 : item.typmod;
        value = "CAST(" + item.sql + " AS " + pg::qualified_type_name(item.type, typmod) + ")";
        // Where it makes no difference, an index of the source in its own collation can be used.
        bool no_difference = from != nullptr && (from->collation == column.collation ||
                                                 (pg::equal_only_if_same_bytes(from->collation) && pg::equal_only_if_same_bytes(column.collation)));
        if (!no_difference) value += pg::collate_clause(column.collation);
        conditions.push_back(value + " " + column.equality + " $" + std::to_string(i + 1));
    }
    if (!condition_.empty()) conditions.push_back(condition_);
    return "SELECT 1 FROM " + source_->relation().quoted + " AS source WHERE " + join(conditions, " AND ") + " LIMIT 1";
}

// Null if it cannot be asked: match has an expression that reads the context, or that is not allowed in a condition.
pg::Statement* Mapping::living() {
    if (living_asked_) return living_.get();
    living_asked_ = true;
    if (pg::row_security_applies(source_->relation().oid)) return nullptr;
    std::vector<Oid> types;
    for (std::size_t i = 0; i < match_count_; i++) types.push_back(items_[i].type);
    auto statement = std::make_unique<pg::Statement>(living_sql(), types, pg::Statement::Access::by_index);
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            living_by_index_ = !statement->reads_whole_table();
        }
        subtransaction.commit();
        living_ = std::move(statement);
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    return living_.get();
}

bool Mapping::lives_by_index() { return !match_is_shared_ || (living() != nullptr && living_by_index_); }

Mapping::Living Mapping::lives(const pg::RowValues& wanted) {
    constexpr std::int64_t most_pages = 1024;  // 8 MB, some milliseconds
    if (!match_is_shared_) return Living::no;
    if (Mapping* shard = here(wanted)) return shard->lives(wanted);
    pg::Statement* statement = living();
    bool too_slow = !living_by_index_ && pg::relation_pages(source_->relation().oid).value_or(0) > most_pages;
    if (statement == nullptr || too_slow) return Living::unknown;
    std::vector<pg::Value> values;
    for (std::size_t i = 0; i < match_count_; i++) values.push_back(wanted.at(items_[i].column));
    return statement->execute(values).empty() ? Living::no : Living::yes;
}

// --- Many documents ---

std::vector<pg::Value> Mapping::source_arrays(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts) const {
    std::vector<pg::Value> arrays = source_->key_arrays(names);
    arrays.push_back({pg::array_datum(contexts, pg::type::jsonb), false});
    return arrays;
}

std::vector<Mapping::Evaluated> Mapping::evaluate_many(const std::vector<std::string>& names,
                                                       const std::vector<pg::Value>& contexts) {
    pg::Rows rows = evaluate_many_->execute(source_arrays(names, contexts));
    rows.keep();
    std::vector<Evaluated> found;
    RowColumns source(source_->relation(), 4 + static_cast<int>(items_.size()));
    std::vector<bool> seen(names.size());
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        pg::RowValues values = rows.whole(i);
        auto number = static_cast<std::size_t>(pg::datum_int64(values.at(1).datum) - 1);
        if (seen[number]) throw pg::Error("21000", "a document gave several rows");  // reported better when it runs alone
        seen[number] = true;
        bool in_scope = pg::datum_bool(values.at(2).datum);
        if (in_scope && values.at(3).null) continue;  // it gave no row
        found.push_back({number, in_scope ? to_row(values, 4) : pg::RowValues(), match_only_ ? source.of(values) : pg::RowValues()});
    }
    return found;
}

pg::Rows Mapping::look_up_many(pg::Statement& statement, const std::vector<pg::RowValues>& wanted) {
    std::vector<pg::Value> arguments;
    for (std::size_t i = 0; i < match_count_; i++) {
        arguments.push_back(column_array(wanted, target_->relation().columns[items_[i].column - 1]));
    }
    return statement.execute(arguments);
}

std::string Mapping::insert_sources_sql(std::size_t arrays, const std::string& keys, const std::string& values) const {
    std::vector<std::string> columns, computed, conditions;
    for (std::size_t i = 0; i < items_.size(); i++) {
        columns.push_back(pg::quoted_identifier(target_->relation().columns[items_[i].column - 1].name));
        computed.push_back("v." + output_name(i));
        if (i < match_count_) conditions.push_back("v." + output_name(i) + " IS NOT NULL");
    }
    if (!condition_.empty()) conditions.push_back(condition_);
    return "INSERT INTO " + target_->relation().quoted + " AS " + target_->relation().alias + " (" + join(columns, ", ") + ") SELECT " +
           join(computed, ", ") + " FROM " + rows_from_arrays(1, arrays) + " JOIN " + source_->relation().quoted + " AS source ON " +
           keys + " CROSS JOIN LATERAL (" + values + ") AS v WHERE " + join(conditions, " AND ") +
           " ORDER BY j.sync_job_n RETURNING " + columns_sql(target_->relation(), target_->relation().alias);
}

std::vector<pg::RowValues> Mapping::insert_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts) {
    pg::Rows rows = insert_sources_->execute(source_arrays(names, contexts));
    rows.keep();
    RowColumns columns_of_row(target_->relation(), 1);
    std::vector<pg::RowValues> inserted;
    for (std::uint64_t i = 0; i < rows.size(); i++) inserted.push_back(columns_of_row.of(rows.whole(i)));
    return inserted;
}

std::vector<Mapping::Matched> Mapping::match_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts) {
    pg::Rows rows = match_sources_->execute(source_arrays(names, contexts));
    rows.keep();
    int values = static_cast<int>(items_.size()), width = static_cast<int>(source_->relation().columns.size());
    int location = 3 + values + width + static_cast<int>(target_->relation().columns.size());
    RowColumns source(source_->relation(), 3 + values), target(target_->relation(), 3 + values + width);
    std::vector<Matched> matched;
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        pg::RowValues row = rows.whole(i);
        matched.push_back({static_cast<std::size_t>(pg::datum_int64(row.at(1).datum) - 1), to_row(row, 3), source.of(row), target.of(row),
                           {row.at(location), row.at(location + 1)}});
    }
    return matched;
}

// The target is read beside its update, as RETURNING has the new values only. The row that is updated must be that one.
std::string Mapping::update_sources_sql(const ColumnSet& columns) const {
    const pg::RelationInfo& target = target_->relation();
    std::vector<std::string> assignments, values;
    for (std::size_t i = 0; i < items_.size(); i++) {
        values.push_back("w." + output_name(i));
        if (i < match_count_ || !contains(columns, items_[i].column)) continue;
        assignments.push_back(pg::quoted_identifier(target.columns[items_[i].column - 1].name) + " = " + values.back());
    }
    std::string same_row = target.alias + ".ctid = " + before_alias + ".ctid AND " + target.alias + ".tableoid = " + before_alias + ".tableoid";
    return "UPDATE " + target.quoted + " AS " + target.alias + " SET " + join(assignments, ", ") + " FROM " + matched_sources_ + " WHERE " +
           same_row + " RETURNING w.sync_job_n, " + join(values, ", ") + ", " + columns_sql(target, before_alias) + ", " +
           columns_sql(target, target.alias);
}

std::vector<Mapping::Updated> Mapping::update_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts,
                                                      const ColumnSet& columns) {
    constexpr std::size_t most_statements = 64;
    if (update_sources_.size() >= most_statements) update_sources_.clear();
    auto& found = update_sources_[columns];
    if (found == nullptr) {
        found = std::make_shared<pg::Statement>(update_sources_sql(columns), source_array_types_, pg::Statement::Access::by_index);
    }
    auto statement = found;  // held: a trigger may run such a set, too
    pg::Rows rows = statement->execute(source_arrays(names, contexts));
    rows.keep();
    int values = static_cast<int>(items_.size()), width = static_cast<int>(target_->relation().columns.size());
    RowColumns before(target_->relation(), 2 + values), after(target_->relation(), 2 + values + width);
    std::vector<Updated> updated;
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        pg::RowValues row = rows.whole(i);
        updated.push_back({static_cast<std::size_t>(pg::datum_int64(row.at(1).datum) - 1), before.of(row), to_row(row, 2), after.of(row)});
    }
    return updated;
}

std::vector<NumberedRow> Mapping::lock_many(const std::vector<pg::RowValues>& wanted, std::vector<std::size_t>& busy) {
    pg::Rows rows = look_up_many(*lock_many_, wanted);
    rows.keep();
    RowColumns columns_of_row(target_->relation(), 2);
    std::vector<NumberedRow> found;
    std::vector<bool> seen(wanted.size());
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        auto number = static_cast<std::size_t>(rows.int64(i, 0) - 1);
        if (seen[number]) {
            auto first = std::find_if(found.begin(), found.end(), [&](const NumberedRow& row) { return row.number == number; });
            two_targets(*target_, target_->name_of(first->row), target_->name_of(columns_of_row.of(rows.whole(i))));
        }
        seen[number] = true;
        found.push_back({number, columns_of_row.of(rows.whole(i))});
    }
    std::vector<pg::RowValues> missing;
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < wanted.size(); i++) {
        if (!seen[i]) missing.push_back(wanted[i]), numbers.push_back(i);
    }
    if (missing.empty()) return found;
    // Without a lock, what is there is found.
    pg::Rows there = look_up_many(*find_many_, missing);
    for (std::uint64_t i = 0; i < there.size(); i++) busy.push_back(numbers[static_cast<std::size_t>(there.int64(i, 0) - 1)]);
    return found;
}

}  // namespace sync_job
