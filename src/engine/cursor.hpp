// Where the claims of this process begin: what is known to have ended is not visited again. Under a snapshot that
// somebody holds for hours, index entries of ended jobs cannot be cleaned away; a scan from the start of the index
// would read them all for each batch.
//
// A position is a lower bound: no job of the worker's queue and role before it waits, except one that some commit has
// made wait since. Whoever makes a job wait says so with wake_at_commit(), and the commit lowers the bound. Kept in
// shared memory by worker/cursor.cpp; a session that is no worker begins at the start.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace sync_job {

// In the order of claiming: lower priority number first, then lower id.
struct ClaimPosition {
    int priority = std::numeric_limits<int>::min();
    std::int64_t id = std::numeric_limits<std::int64_t>::min();

    auto operator<=>(const ClaimPosition&) const = default;
};

// To be asked before the claim takes its snapshot.
ClaimPosition claim_start();
// After a claim that began at claim_start(): nothing before this waits any more.
void set_claim_start(ClaimPosition position);

}  // namespace sync_job
