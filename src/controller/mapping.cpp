#include "controller/mapping.hpp"

#include <algorithm>

#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "document/written_values.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

constexpr const char* given_row = "pg_catalog.unnest(ARRAY[$1])";

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

std::string Mapping::output_name(std::size_t item) { return "sync_job_" + std::to_string(item + 1); }

// Computed in a subquery of its own for each row. So an aggregate or window function sees one row, whether one document is asked for or
// many. The context is inside the subquery, where its name takes precedence over a column of the source.
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

// The values of the items that read the target, which is beside the source; it is null in an insert.
std::unique_ptr<pg::Statement> Mapping::late_values(std::size_t first, std::size_t end) const {
    return std::make_unique<pg::Statement>(
        std::string("SELECT v.* FROM ") + given_row + " AS source CROSS JOIN LATERAL (" +
            values_sql("$2", first, end, "pg_catalog.unnest(ARRAY[$3]) AS target CROSS JOIN (SELECT $4) AS job (sync_job_id) CROSS JOIN ") +
            ") AS v",
        std::vector<Oid>{source_->relation().row_type, pg::type::jsonb, target_->relation().row_type, pg::type::int8},
        pg::Statement::Access::any);
}

// The statement for all values raises an error: finds the column that causes it.
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

// match must give the same target for a source whichever job asks, and whenever.
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
    const pg::RelationInfo& target = target_->relation();
    using Access = pg::Statement::Access;
    Access by_match = match_indexed_ ? Access::by_index : Access::any;
    auto make = [](const std::string& sql, const std::vector<Oid>& types, Access access) {
        return std::make_unique<pg::Statement>(sql, types, access);
    };
    std::vector<Oid> match_types;
    for (std::size_t i = 0; i < match_count_; i++) match_types.push_back(items_[i].type);
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
    if (many_) prepare_many();
}

// --- One document ---

// The computed values, from column `first` of the result on, as a row of the target.
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

// The values of the first `count` items, copied.
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

// Parses match over a source that has only the readable columns: so the parser finds out whether an expression reads another one.
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

void Mapping::two_targets(const std::string& one, const std::string& other) const {
    throw pg::Error("21000", "more than one document of type " + quoted(target_->label()) + " matches the source document")
        .detail("Two of them are " + quoted(pg::clipped(one, 60)) + " and " + quoted(pg::clipped(other, 60)) + ".")
        .hint("Make match unique: a unique index on its columns keeps it so.");
}

pg::Value Mapping::find(const pg::RowValues& wanted, Lock lock, bool by_active_snapshot) {
    if (Mapping* shard = here(wanted)) return shard->find(wanted, lock, by_active_snapshot);
    if (lock == Lock::for_update && target_->distributed() != nullptr) return find_distributed_locked(wanted);
    std::vector<pg::Value> values;
    for (std::size_t i = 0; i < match_count_; i++) values.push_back(wanted.at(items_[i].column));
    pg::Rows rows = (lock == Lock::none ? find_ : find_locked_)->execute(values, by_active_snapshot);
    if (rows.empty()) return {};
    if (rows.size() > 1) two_targets(target_->name_of(rows.at(0, 0).datum), target_->name_of(rows.at(1, 0).datum));
    return {pg::copy_row(rows.at(0, 0).datum), false};
}

}  // namespace sync_job
