// The part of mapping.hpp that finds, inserts and updates many documents with one statement.
#include <algorithm>

#include "controller/mapping.hpp"
#include "core/text.hpp"
#include "document/row_columns.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

constexpr const char* before_alias = "sync_job_before";

}  // namespace

void Mapping::prepare_many() {
    const pg::RelationInfo &source = source_->relation(), &target = target_->relation();
    using Access = pg::Statement::Access;
    Access by_match = match_indexed_ ? Access::by_index : Access::any;
    auto make = [](const std::string& sql, const std::vector<Oid>& types, Access access) {
        return std::make_unique<pg::Statement>(sql, types, access);
    };
    std::vector<Oid> match_arrays;
    for (std::size_t i = 0; i < match_count_; i++) match_arrays.push_back(pg::array_type_of(items_[i].type));
    std::string named = target.quoted + " AS " + target.alias;
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
    // The condition is outside the subquery: there `context` can only be a column of the source.
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
    if (match_only_) {  // a statement cannot know what will be written
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
        if (seen[number]) throw pg::Error("21000", "a document gave several rows");  // the error is better when the document runs alone
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

// The target is read by the same statement, because RETURNING has only the new values. The updated row must be the one that was read.
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
    auto statement = found;  // held, because a trigger may run another set, which may clear the cache
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
            two_targets(target_->name_of(first->row), target_->name_of(columns_of_row.of(rows.whole(i))));
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
    // A look-up without a lock finds whatever exists.
    pg::Rows there = look_up_many(*find_many_, missing);
    for (std::uint64_t i = 0; i < there.size(); i++) busy.push_back(numbers[static_cast<std::size_t>(there.int64(i, 0) - 1)]);
    return found;
}

}  // namespace sync_job
