// All columns of a row as columns of a result. Unlike one composite value, they leave large values out of line until they are read.
#pragma once

#include <string>

#include "pg/catalog.hpp"
#include "pg/row.hpp"

namespace sync_job {

// The relation's columns by its alias, for the end of a select list.
std::string columns_sql(const pg::RelationInfo& relation, const std::string& alias);
// The rows that these columns make, from column `first` of a result on. Until the statement ran, nothing held a lock on the table, and the
// plan uses the types that the columns have by now: raises 40001 if these are not what the relation says.
class RowColumns {
public:
    RowColumns(const pg::RelationInfo& relation, int first) : first_(first), count_(static_cast<int>(relation.columns.size())) {
        pg::require_current(relation);
    }
    pg::RowValues of(const pg::RowValues& result) const { return {result.values + first_ - 1, result.nulls + first_ - 1, count_}; }

private:
    int first_, count_;
};

}  // namespace sync_job
