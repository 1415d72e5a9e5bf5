// The checks of sync_job_type, for a row that is not written.
#pragma once

#include <vector>

#include "controller/validation.hpp"
#include "job/table_row.hpp"

namespace sync_job {

// Fills in the defaults that depend on other columns; returns what the table would refuse.
std::vector<Finding> check_type_row(TableRow& row);

}  // namespace sync_job
