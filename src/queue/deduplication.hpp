// Deduplication: finds a waiting job that already fulfils a request.
#pragma once

#include <cstdint>
#include <optional>

#include "job/job_row.hpp"

namespace sync_job {

// The id of a job that absorbs the request `wanted`, a job about to be inserted; nothing: insert it.
//
// Never loses a change: the absorbing job is Queued, due no later, asks for the same, and is locked by this transaction
// until it ends, so that no worker can run it before it sees what this transaction has written. One that is locked by
// somebody else (it runs, or another request is just joining it) is left alone. A job without a source is also absorbed
// into a Started one of the same job_id.
std::optional<std::int64_t> absorb(const Job& wanted);

// Whether a job of the type waits or runs for some source document: if not, nothing can absorb a request that names its
// source document and no job_id.
bool any_live(std::string_view type_name);

}  // namespace sync_job
