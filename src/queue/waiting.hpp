// Which documents have a job that waits, runs, or has failed and will be retried: it is no fault if these are out of
// step.
//
// Everything is read with the active snapshot. A change is committed together with its job, and what the job writes
// together with its end: so in one snapshot a document is in step, or its job waits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "document/document.hpp"

namespace sync_job {

class WaitingDocuments {
public:
    // For the type: all documents, or only this one.
    explicit WaitingDocuments(const std::string& sync_job_type, const std::optional<std::string>& only = std::nullopt);
    // Two names with the same hash (practically impossible) would count as one.
    bool has(const std::string& source_document_name) const;

private:
    std::vector<std::int64_t> hashes_;
};

// The documents that were deleted, or changed in a column that match reads, and whose jobs have not handled that yet.
std::vector<std::string> waiting_with_kept_rows(const DocumentType& source, const std::string& sync_job_type);

}  // namespace sync_job
