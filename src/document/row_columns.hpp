// All columns of a row as columns of a result. Unlike one composite value they leave large values out of line until somebody reads
// them.
#pragma once

#include <string>

#include "pg/catalog.hpp"
#include "pg/row.hpp"

namespace sync_job {

// Of the relation by its alias, for the end of a list.
std::string columns_sql(const pg::RelationInfo& relation);
// The row that they make, from column `first` of the result on.
pg::RowValues row_of_columns(const pg::RowValues& result, int first);

}  // namespace sync_job
