// The part of mapping.hpp that compares all documents of the source with those of the target in a few statements.
//
// It reads with the same SQL as a sync, and the same code decides in the end: the statements only leave out what is surely in step.
#include <algorithm>

#include "controller/mapping.hpp"
#include "core/text.hpp"
#include "document/written_values.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

std::string column_of(const DocumentType& type, int number) {
    const pg::Column& column = type.relation().columns[number - 1];
    return type.relation().alias + "." + pg::quoted_identifier(column.name);
}

// The context in the subquery of the declaration's values (see Mapping::values_sql()), which is joined to what comes before.
constexpr const char* no_context = "NULL::pg_catalog.jsonb";

// Reads a few rows at a time, as they may be large. The cursor returns columns of these types with the data types that their descriptions
// say.
void read_in_parts(const std::string& sql, std::initializer_list<const DocumentType*> types,
                   const std::function<void(const pg::RowValues&)>& row) {
    constexpr long rows_at_a_time = 64;
    pg::Memory memory("row to compare");
    pg::Cursor cursor(sql);
    for (const DocumentType* type : types) pg::require_current(type->relation());
    for (;;) {
        pg::Rows rows = cursor.fetch(rows_at_a_time);
        if (rows.empty()) return;
        for (std::uint64_t i = 0; i < rows.size(); i++) {
            memory.reset();
            pg::MemorySwitch in_it(memory);
            row(rows.whole(i));
        }
    }
}

}  // namespace

pg::Statement::Traits Mapping::traits_of(std::size_t item) const {
    bool late = item >= early_count_;
    pg::Subtransaction subtransaction;
    pg::Statement::Traits traits;
    {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        traits = (late ? late_values(item, item + 1) : one_document(item, item + 1, "pg_catalog.unnest(ARRAY[$1])"))->traits();
    }
    subtransaction.commit();
    return traits;
}

std::vector<std::string> Mapping::restless_columns() const {
    std::vector<std::string> columns;
    for (std::size_t i = match_count_; i < items_.size(); i++) {
        bool restless = items_[i].is_expression && items_[i].only == Only::always && traits_of(i).varies;
        if (restless) columns.push_back(target_->relation().columns[items_[i].column - 1].name);
    }
    return columns;
}

// v has the values of the sources, w those that also read the target.
std::string Mapping::value_name(std::size_t item) const {
    return (item < early_count_ ? "v.sync_job_" : "w.sync_job_") + std::to_string(item + 1);
}

// The items of the set columns that an update may write and whose expression gives the same value each time.
std::vector<std::size_t> Mapping::compared_items() const {
    std::vector<std::size_t> compared;
    for (std::size_t i = 0; i < items_.size(); i++) {
        pg::Statement::Traits traits = {};
        if (items_[i].is_expression) traits = traits_of(i);
        const std::string& column = target_->relation().columns[items_[i].column - 1].name;
        if (traits.returns_set) {
            throw pg::Error("0A000", "the expression of column " + quoted(column) + " of sync job type " +
                                         quoted(type_name_) +
                                         " returns a set, and documents of such a type cannot be compared")
                .hint("Write it so that it is one value, as in (SELECT ... LIMIT 1).");
        }
        bool same_each_time = !traits.varies && !items_[i].reads_job;
        if (i >= match_count_ && same_each_time && items_[i].only != Only::insert) compared.push_back(i);
    }
    return compared;
}

// The value as its column would store it, if that cannot fail for any value; else the value unchanged, which only means that the row is
// looked at more closely.
std::string Mapping::value_as_stored(std::size_t item) const {
    constexpr Oid numeric = 1700, timestamp = 1114, timestamptz = 1184, time = 1083, timetz = 1266;
    const Item& it = items_[item];
    if (it.typmod < 0) return value_name(item);
    if (it.type == numeric) {
        int scale = (((it.typmod - 4) & 0x7ff) ^ 1024) - 1024;
        return "pg_catalog.round(" + value_name(item) + ", " + std::to_string(scale) + ")";
    }
    if (it.type == timestamp || it.type == timestamptz || it.type == time || it.type == timetz) {
        return "CAST(" + value_name(item) + " AS " + pg::qualified_type_name(it.type, it.typmod) + ")";
    }
    return value_name(item);
}

// For a source, whose values are in v, and a target. Two columns may have incompatible collations: then the target's applies, as in a
// look-up.
std::string Mapping::match_condition_of_tables() const {
    std::vector<std::string> conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        conditions.push_back(column_of(*target_, column.number) + column.base_cast + " " + column.equality + " " +
                             value_as_stored(i) + pg::collate_clause(column.collation));
    }
    return join(conditions, " AND ");
}

// The sources with the values of the first `items` items. In a subquery of its own, in which the condition sees nothing but the source.
std::string Mapping::all_sources(std::size_t items, const std::string& condition, bool whole) const {
    std::vector<std::string> columns;
    for (std::size_t i = 0; i < source_->key().size(); i++) {
        const pg::Column& column = source_->relation().columns[source_->key()[i] - 1];
        columns.push_back("source." + pg::quoted_identifier(column.name) + " AS sync_job_key_" + std::to_string(i + 1));
    }
    if (whole) columns.push_back("source AS sync_job_source");
    std::vector<std::string> conditions;
    if (!condition_.empty()) conditions.push_back(condition_);
    if (!condition.empty()) conditions.push_back("(" + condition + "\n)");
    std::string where = conditions.empty() ? "" : " WHERE " + join(conditions, " AND ");
    return "(SELECT " + join(columns, ", ") + ", v.* FROM " + source_->relation().quoted + " AS source CROSS JOIN LATERAL (" +
           values_sql(no_context, 0, items) + ") AS v" + where + ") AS v";
}

// A join, called `name`, with the match values that several targets have, or that several sources map to.
std::string Mapping::several(const std::string& name) const {
    bool of_targets = name == "several_targets";
    std::vector<std::string> values, numbers, conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        std::string number = std::to_string(i + 1);
        std::string value = of_targets ? column_of(*target_, column.number) + column.base_cast : value_as_stored(i);
        values.push_back(value + pg::collate_clause(column.collation) + " AS sync_job_" + number);
        numbers.push_back(number);
        conditions.push_back(name + ".sync_job_" + number + " " + column.equality + " " + value_as_stored(i) +
                             pg::collate_clause(column.collation));
    }
    std::string from =
        of_targets ? target_->relation().quoted + " AS " + target_->relation().alias : all_sources(match_count_, "");
    return " LEFT JOIN (SELECT " + join(values, ", ") + " FROM " + from + " GROUP BY " + join(numbers, ", ") +
           " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1) AS " + name + " ON " + join(conditions, " AND ");
}

// Its columns: the key of the source; missing, several targets, several sources; the key of the target, and its compared columns; the
// values wanted for those.
std::string Mapping::unequal_sql(const std::string& condition, const std::vector<std::size_t>& compared) const {
    std::vector<std::string> columns, is_null, stored, wanted;
    for (std::size_t i = 0; i < source_->key().size(); i++)
        columns.push_back("v.sync_job_key_" + std::to_string(i + 1));
    ColumnSet plain;
    for (std::size_t i = 0; i < match_count_; i++) {
        is_null.push_back(value_name(i) + " IS NOT NULL");
        if (items_[i].source_column != 0) plain.push_back(items_[i].source_column);
    }
    std::string missing =
        column_of(*target_, items_[0].column) + " IS NULL";  // a matching target has no null there
    bool shared = match_is_shared_ && !pg::has_index_for(source_->relation().oid, plain, true);
    std::string more_targets = match_is_unique() ? "" : several("several_targets"),
                more_sources = shared ? several("several_sources") : "";
    std::string has_more_targets = more_targets.empty() ? "false" : "several_targets.sync_job_1 IS NOT NULL";
    columns.push_back(missing);
    columns.push_back(has_more_targets);
    columns.push_back(more_sources.empty() ? "false" : "several_sources.sync_job_1 IS NOT NULL");
    for (int number : target_->key()) columns.push_back(column_of(*target_, number));
    for (std::size_t i : compared) columns.push_back(column_of(*target_, items_[i].column));
    for (std::size_t i : compared) {
        columns.push_back(value_name(i));
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        stored.push_back(column_of(*target_, column.number) + column.base_cast);
        wanted.push_back(value_as_stored(i));
    }
    std::string differ = "pg_catalog.record_image_ne(ROW(" + join(stored, ", ") + "), ROW(" + join(wanted, ", ") + "))";
    return "SELECT " + join(columns, ", ") + " FROM " + all_sources(early_count_, condition, reads_target()) + " LEFT JOIN " +
           target_->relation().quoted + " AS " + target_->relation().alias + " ON " + match_condition_of_tables() +
           values_beside_target() + more_targets + more_sources + " WHERE " + join(is_null, " AND ") + " AND (" + missing + " OR " +
           has_more_targets + " OR " + differ + ")";
}

// The values that evaluate_late() computes.
std::string Mapping::values_beside_target() const {
    if (!reads_target()) return {};
    std::string beside = "pg_catalog.unnest(ARRAY[v.sync_job_source]) AS source CROSS JOIN pg_catalog.unnest(ARRAY[" +
                         target_->relation().alias +
                         "]) AS target CROSS JOIN (SELECT 0::pg_catalog.int8) AS job (sync_job_id) CROSS JOIN ";
    return " CROSS JOIN LATERAL (" + values_sql(no_context, early_count_, items_.size(), beside) + ") AS w";
}

// Whether an update would write anything. `wanted` becomes what the update would store, as far as it can be stored.
bool Mapping::differs(Unequal& pair, const std::vector<std::size_t>& compared, bool adopts) const {
    ColumnSet columns;
    for (std::size_t i : compared) {
        const Item& item = items_[i];
        columns.push_back(item.column);
        if (item.typmod < 0) continue;
        try {
            pg::Subtransaction subtransaction;
            pair.wanted.set(item.column, pg::with_typmod(pair.wanted.at(item.column), item.type, item.typmod));
            subtransaction.commit();
        } catch (const pg::Error& error) {  // for example, too long: the document's job will fail
            if (!pg::is_specific(error)) throw;
        }
    }
    ColumnSet unedited;
    if (!watched_columns_.empty()) unedited = unedited_columns(type_name_, *target_, pair.target, watched_columns_, adopts);
    apply_rules(pair.wanted, pair.target, unedited);
    return !target_->changed_columns(pair.target, pair.wanted, columns).empty();
}

// A condition on a target, to be appended to other conditions.
std::string Mapping::not_marked_as_gone() const {
    if (on_delete_values_.empty()) return {};
    ColumnSet named;
    pg::RowValues marked = target_->from_json(pg::json_from_text(on_delete_values_), pg::empty_row(target_->relation()), &named);
    pg::CanonicalOutput canonical;
    std::vector<std::string> columns, values;
    for (int number : named) {
        const pg::Column& column = target_->relation().columns[number - 1];
        pg::Value value = marked.at(number);
        columns.push_back(column_of(*target_, number));
        values.push_back("CAST(" + (value.null ? std::string("NULL") : pg::quoted_literal(pg::value_to_text(value.datum, column.type))) +
                         " AS " + pg::qualified_type_name(column.type, column.typmod) + ")");
    }
    return " AND pg_catalog.record_image_ne(ROW(" + join(columns, ", ") + "), ROW(" + join(values, ", ") + "))";
}

void Mapping::each_unequal(const std::string& condition, const std::function<void(const Unequal&)>& found, bool adopts) {
    std::vector<std::size_t> compared = compared_items();
    read_in_parts(unequal_sql(condition, compared), {source_.get(), target_.get()}, [&](const pg::RowValues& row) {
        int next = 1;
        Unequal pair{};
        pair.source = pg::empty_row(source_->relation());
        for (int number : source_->key()) pair.source.set(number, row.at(next++));
        pair.missing = pg::datum_bool(row.at(next++).datum);
        bool several_targets = pg::datum_bool(row.at(next++).datum),
             several_sources = pg::datum_bool(row.at(next++).datum);
        if (pair.missing) return found(pair);
        pair.target = pg::empty_row(target_->relation());
        for (int number : target_->key()) pair.target.set(number, row.at(next++));
        for (std::size_t i : compared) pair.target.set(items_[i].column, row.at(next++));
        pair.wanted = pg::copy_of(pair.target);
        for (std::size_t i : compared) pair.wanted.set(items_[i].column, row.at(next++));
        bool differ = differs(pair, compared, adopts);
        pair.ambiguous = several_targets || several_sources;
        if (several_targets || differ) found(pair);
    });
}

// A condition on a target: no source maps to it, and it may be surplus.
std::string Mapping::surplus_condition() const {
    return " WHERE NOT EXISTS (SELECT FROM " + all_sources(match_count_, "") + " WHERE " + match_condition_of_tables() + ")" +
           (may_be_surplus_.empty() ? "" : " AND " + may_be_surplus_);
}

void Mapping::each_surplus(const std::function<void(const pg::RowValues&)>& found) {
    std::vector<std::string> columns;
    for (int number : target_->key()) columns.push_back(column_of(*target_, number));
    std::string sql = "SELECT " + join(columns, ", ") + " FROM " + target_->relation().quoted + " AS " + target_->relation().alias +
                      surplus_condition() + not_marked_as_gone();
    read_in_parts(sql, {target_.get()}, [&](const pg::RowValues& row) {
        int next = 1;
        pg::RowValues target = pg::empty_row(target_->relation());
        for (int number : target_->key()) target.set(number, row.at(next++));
        found(target);
    });
}

std::vector<std::string> Mapping::duplicates() const {
    std::vector<std::string> columns, named, conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        std::string name = "sync_job_" + std::to_string(i + 1), value = column_of(*target_, column.number) + column.base_cast;
        columns.push_back(column_of(*target_, column.number));
        named.push_back(value + " AS " + name);
        conditions.push_back(value + " " + column.equality + " d." + name);
    }
    std::string from = " FROM " + target_->relation().quoted + " AS " + target_->relation().alias;
    pg::SpiScope spi;
    pg::SnapshotScope snapshot;
    pg::Rows rows = pg::execute_sql("SELECT " + target_->relation().alias + from + " JOIN (SELECT " + join(named, ", ") + from + " WHERE " +
                                    join(columns, " IS NOT NULL AND ") + " IS NOT NULL GROUP BY " + join(columns, ", ") +
                                    " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1) AS d ON " +
                                    join(conditions, " AND ") + " LIMIT 2");
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < rows.size(); i++) names.push_back(target_->name_of(rows.at(i, 0).datum));
    return names;
}

std::int64_t Mapping::count_targets() const {
    std::string where = may_be_surplus_.empty() ? "" : " WHERE " + may_be_surplus_;
    return pg::execute_sql("SELECT pg_catalog.count(*) FROM " + target_->relation().quoted + " AS " + target_->relation().alias + where)
        .int64(0, 0);
}

namespace {

std::vector<std::string> named_by(const pg::Rows& rows, const std::vector<std::string>& names) {
    std::vector<std::string> found;
    for (std::uint64_t i = 0; i < rows.size(); i++) found.push_back(names[static_cast<std::size_t>(rows.int64(i, 0) - 1)]);
    return found;
}

}  // namespace

std::vector<std::string> Mapping::lock_targets(const std::vector<std::string>& names) {
    if (!target_->locks_rows()) return names;
    pg::Statement statement("SELECT j.sync_job_n" + target_->from_key_arrays() + " FOR UPDATE OF " + target_->relation().alias + " SKIP LOCKED",
                            target_->key_array_types());
    return named_by(statement.execute(target_->key_arrays(names)), names);
}

std::vector<std::string> Mapping::still_surplus(const std::vector<std::string>& names) {
    pg::Statement statement("SELECT j.sync_job_n" + target_->from_key_arrays() + surplus_condition(), target_->key_array_types());
    return named_by(statement.execute(target_->key_arrays(names)), names);
}

}  // namespace sync_job
