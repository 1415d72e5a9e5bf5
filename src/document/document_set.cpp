// The part of document.hpp that reads and writes many rows per statement.
#include <algorithm>

#include "core/text.hpp"
#include "document/document.hpp"
#include "document/row_columns.hpp"
#include "document/written_values.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

std::string array_column(std::size_t number) { return "j.sync_job_" + std::to_string(number); }

}  // namespace

std::string rows_from_arrays(int first_parameter, std::size_t count) {
    std::vector<std::string> functions, names;
    for (std::size_t i = 0; i < count; i++) {
        functions.push_back("pg_catalog.unnest($" + std::to_string(first_parameter + static_cast<int>(i)) + ")");
        names.push_back("sync_job_" + std::to_string(i + 1));
    }
    names.push_back("sync_job_n");
    return "ROWS FROM (" + join(functions, ", ") + ") WITH ORDINALITY AS j (" + join(names, ", ") + ")";
}

pg::Value column_array(const std::vector<pg::RowValues>& rows, const pg::Column& column) {
    std::vector<pg::Value> values;
    values.reserve(rows.size());
    for (const pg::RowValues& row : rows) values.push_back(row.at(column.number));
    return {pg::array_datum(values, pg::base_type(column.type)), false};
}

// unnest() turns a composite value into several columns.
bool fits_array(Oid base_type) { return pg::array_type_of(base_type) != pg::no_oid && !pg::is_composite(base_type); }

bool DocumentType::supports_many() const {
    if (distributed_ != nullptr || !defaults_of_table_.empty()) return false;
    std::vector<Oid> types = key_types();
    return std::all_of(types.begin(), types.end(), fits_array);
}

std::string columns_sql(const pg::RelationInfo& relation, const std::string& alias) {
    std::vector<std::string> columns;
    for (const pg::Column& column : relation.columns) {
        columns.push_back(column.dropped ? "NULL" : alias + "." + pg::quoted_identifier(column.name));
    }
    return join(columns, ", ");
}

std::vector<pg::Value> DocumentType::key_arrays(const std::vector<std::string>& names) const {
    std::vector<std::vector<pg::Value>> columns(key_.size());
    for (const std::string& name : names) {
        std::vector<pg::Value> values = values_of(name);
        for (std::size_t i = 0; i < values.size(); i++) columns[i].push_back(values[i]);
    }
    std::vector<Oid> types = key_types();
    std::vector<pg::Value> arrays;
    for (std::size_t i = 0; i < columns.size(); i++) arrays.push_back({pg::array_datum(columns[i], types[i]), false});
    return arrays;
}

void DocumentType::require_all_written(std::size_t written, std::size_t wanted, const char* command) const {
    if (written == wanted) return;
    throw pg::Error("27000", std::string(command) + " of documents of type " + quoted(label_) + " stored " +
                                 std::to_string(written) + " rows of " + std::to_string(wanted));
}

// A row that was changed since it was read is elsewhere by now.
std::vector<pg::RowValues> DocumentType::update_many(const std::vector<pg::RowValues>& before, const std::vector<pg::RowValues>& wanted,
                                                     const ColumnSet& columns, const std::vector<RowLocation>& locations) {
    std::vector<Oid> types;
    std::vector<pg::Value> arguments;
    std::vector<std::string> assignments, conditions;
    auto add = [&](const std::vector<pg::RowValues>& rows, const pg::Column& column) {
        types.push_back(pg::array_type_of(pg::base_type(column.type)));
        arguments.push_back(column_array(rows, column));
        return array_column(arguments.size());
    };
    auto add_location = [&](const std::string& name, Oid type, pg::Value RowLocation::*part) {
        std::vector<pg::Value> values;
        for (const RowLocation& location : locations) values.push_back(location.*part);
        types.push_back(pg::array_type_of(type));
        arguments.push_back({pg::array_datum(values, type), false});
        conditions.push_back(relation_->alias + "." + name + " OPERATOR(pg_catalog.=) " + array_column(arguments.size()));
    };
    if (!locations.empty()) {
        add_location("ctid", pg::type::tid, &RowLocation::ctid);
        add_location("tableoid", pg::type::oid, &RowLocation::table);
    }
    for (int number : locations.empty() ? key_ : std::vector<int>()) {
        const pg::Column& column = relation_->columns[number - 1];
        conditions.push_back(relation_->alias + "." + pg::quoted_identifier(column.name) + column.base_cast + " " +
                             column.equality + " " +
                             add(before, column));
    }
    for (int number : columns) {
        const pg::Column& column = relation_->columns[number - 1];
        assignments.push_back(pg::quoted_identifier(column.name) + " = " + add(wanted, column));
    }
    std::string sql = "UPDATE " + named_ + " SET " + join(assignments, ", ") + " FROM " +
                      rows_from_arrays(1, arguments.size()) + " WHERE " + join(conditions, " AND ") +
                      " RETURNING j.sync_job_n, " + columns_sql(*relation_, relation_->alias);
    pg::Rows rows = statement(sql, types)->execute(arguments);
    rows.keep();
    require_all_written(rows.size(), wanted.size(), "update");
    RowColumns columns_of_row(*relation_, 2);
    std::vector<pg::RowValues> after(wanted.size());
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        auto number = static_cast<std::size_t>(rows.int64(i, 0) - 1);
        if (after[number].values != nullptr) require_all_written(rows.size() + 1, wanted.size(), "update");
        after[number] = columns_of_row.of(rows.whole(i));
    }
    return after;
}

// Rows come back in the order in which they were inserted, which is that of the list.
std::vector<pg::RowValues> DocumentType::insert_many(const std::vector<pg::RowValues>& wanted,
                                                     const ColumnSet& columns, Identity identity) {
    std::vector<Oid> types;
    std::vector<pg::Value> arguments;
    std::vector<std::string> names, values;
    for (int number : columns) {
        const pg::Column& column = relation_->columns[number - 1];
        names.push_back(pg::quoted_identifier(column.name));
        types.push_back(pg::array_type_of(pg::base_type(column.type)));
        arguments.push_back(column_array(wanted, column));
        values.push_back(array_column(arguments.size()));
    }
    std::string overriding = identity == Identity::given ? " OVERRIDING SYSTEM VALUE" : "";
    std::string sql = "INSERT INTO " + named_ + " (" + join(names, ", ") + ")" + overriding + " SELECT " + join(values, ", ") + " FROM " +
                      rows_from_arrays(1, arguments.size()) + " ORDER BY j.sync_job_n RETURNING " + columns_sql(*relation_, relation_->alias);
    pg::Rows rows = statement(sql, types)->execute(arguments);
    rows.keep();
    require_all_written(rows.size(), wanted.size(), "insert");
    RowColumns columns_of_row(*relation_, 1);
    std::vector<pg::RowValues> after;
    for (std::uint64_t i = 0; i < rows.size(); i++) after.push_back(columns_of_row.of(rows.whole(i)));
    return after;
}

// For the arrays of key_arrays(): "j" with a column for each key column.
std::string DocumentType::key_equals_arrays() const {
    std::vector<std::string> conditions;
    for (int number : key_) {
        const pg::Column& column = relation_->columns[number - 1];
        conditions.push_back(relation_->alias + "." + pg::quoted_identifier(column.name) + column.base_cast + " " + column.equality + " " +
                             array_column(conditions.size() + 1));
    }
    return join(conditions, " AND ");
}

std::vector<Oid> DocumentType::key_array_types() const {
    std::vector<Oid> types = key_types();
    for (Oid& type : types) type = pg::array_type_of(type);
    return types;
}

std::string DocumentType::from_key_arrays() const {
    return " FROM " + rows_from_arrays(1, key_.size()) + " JOIN " + named_ + " ON " + key_equals_arrays();
}

std::vector<NumberedRow> DocumentType::lock_many(const std::vector<std::string>& names) {
    std::string sql = "SELECT j.sync_job_n, " + relation_->alias + from_key_arrays() + " FOR NO KEY UPDATE OF " + relation_->alias;
    pg::Rows rows = statement(sql, key_array_types())->execute(key_arrays(names));
    rows.keep();
    std::vector<NumberedRow> found;
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        found.push_back({static_cast<std::size_t>(rows.int64(i, 0) - 1), pg::take_apart(rows.at(i, 1).datum, *relation_)});
    }
    return found;
}

void DocumentType::remove_many(const std::vector<std::string>& names) {
    std::string sql = "DELETE FROM " + named_ + " USING " + rows_from_arrays(1, key_.size()) + " WHERE " + key_equals_arrays();
    pg::Rows rows = statement(sql, key_array_types())->execute(key_arrays(names));
    require_all_written(rows.affected(), names.size(), "delete");
    for (const std::string& name : names) forget_written(*this, canonical_name(name));
}

}  // namespace sync_job
