// Which columns of its source a job type reads, according to its declaration, without building its controller. The triggers ask this each
// time they fire.
#pragma once

#include <optional>

#include "document/document.hpp"
#include "job/job_type.hpp"

namespace sync_job {

struct ColumnsRead {
    // The columns of match, if it reads more than the key, and of source_condition. If one of these changes, the document may leave a
    // target behind, so the old row has to be kept.
    ColumnSet kept;
    // The columns of match and source_condition, and the key: from these a declarative type knows which target the document had.
    ColumnSet looked_up;
    // All columns that a declarative type reads: if none of these changes, there is nothing to sync. Nothing: the type has code, which may
    // read anything.
    std::optional<ColumnSet> synced;
};

// Valid until types or document types are looked up again.
const ColumnsRead& columns_read(const JobType& type, const DocumentType& source);

// The target columns that field_map sets only while nobody has edited them.
ColumnSet columns_while_unedited(const JobType& type, const DocumentType& target);

// The secret columns that field_map copies from one of `looked_up`: their values are in the rows that triggers keep, or in the document's
// name.
std::vector<std::string> secrets_looked_up(const JobType& type, const DocumentType& source);

// The columns of source_condition alone.
ColumnSet condition_reads(const JobType& type, const DocumentType& source);

}  // namespace sync_job
