// Which documents have a job that waits, runs, or has failed and is tried again: what is out of step with them is no
// fault.
//
// All by the snapshot that is active. A change and the job for it are committed together, and so are what the job
// writes and its end: by one snapshot a document is in step, or its job waits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "document/document.hpp"

namespace sync_job {

class WaitingDocuments {
public:
    // Of the type: all, or this one alone.
    explicit WaitingDocuments(const std::string& sync_job_type, const std::optional<std::string>& only = std::nullopt);
    // Two names with one hash, which does not happen, would count as one.
    bool has(const std::string& source_document_name) const;

private:
    std::vector<std::int64_t> hashes_;
};

// The documents that were deleted, or changed in what they match, and whose jobs have not seen to that.
std::vector<std::string> waiting_with_kept_rows(const DocumentType& source, const std::string& sync_job_type);

}  // namespace sync_job
