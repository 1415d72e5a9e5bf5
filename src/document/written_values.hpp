// What the jobs of a type last wrote into the columns that they set only while nobody has edited them: a hash of each value, kept
// apart from the logs, as it has to outlive them.
#pragma once

#include <string>

#include "document/document.hpp"

namespace sync_job {

// The columns in which the row still has what was written; `or_unknown`: also those about which nothing is known.
ColumnSet unedited_columns(const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
                           const ColumnSet& columns, bool or_unknown = false);
void remember_written(const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
                      const ColumnSet& columns);
// The same, for columns about which nothing is known.
void remember_adopted(const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
                      const ColumnSet& columns);
// The target is deleted.
void forget_written(const DocumentType& target, const std::string& name);

}  // namespace sync_job
