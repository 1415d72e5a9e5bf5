// Which columns of its source a job type reads, told by its texts, without building its controller: for the triggers, which
// ask at each firing.
#pragma once

#include <optional>

#include "document/document.hpp"
#include "job/job_type.hpp"

namespace sync_job {

struct ColumnsRead {
    // Of match, where it reads more than the key, and of source_condition. Where one of these changes, the document may leave
    // a target behind, and the row as it was has to be kept.
    ColumnSet kept;
    // Of match and source_condition, and the key: what tells a declarative type which target the document had.
    ColumnSet looked_up;
    // All that a declarative type reads. Where none of these changes, there is nothing to sync. Nothing: its code may read
    // anything.
    std::optional<ColumnSet> synced;
};

// Valid until types or document types are looked up again.
const ColumnsRead& columns_read(const JobType& type, const DocumentType& source);

// Of the target: those that field_map sets only while nobody has edited them.
ColumnSet columns_while_unedited(const JobType& type, const DocumentType& target);

// The secret columns that field_map copies from one of `looked_up`: their values are in what triggers keep, or in the document's name.
std::vector<std::string> secrets_looked_up(const JobType& type, const DocumentType& source);

// Of source_condition alone.
ColumnSet condition_reads(const JobType& type, const DocumentType& source);

}  // namespace sync_job
