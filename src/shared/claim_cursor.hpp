// Where the claims of a worker begin: jobs known to have ended are not visited again. While somebody holds a snapshot
// for hours, index entries of ended jobs cannot be removed; a scan from the start of the index would read them all for
// each batch.
//
// A position is a lower bound: no job of the worker's queue and role waits before it, except one that a commit has
// added since. Whoever makes a job wait calls wake_at_commit(), and the commit lowers the bound. In shared memory; a
// session that is not a worker begins at the start.
#pragma once

#include "core/claim_position.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// --- This worker's own ---

// To be called before the claim takes its snapshot. `since`: the first position where a job has come to wait since the
// last call; the greatest position: none. `may_start_over`: whether it may begin at the start from time to time.
ClaimPosition claim_start(bool may_start_over, ClaimPosition* since);
// After a claim that began at claim_start(): nothing before this waits any more.
void set_claim_start(ClaimPosition position);

// --- Any worker's ---

// A job waits there now. For commit callbacks, after the commit.
void lower_claim_start(WorkerSlot& slot, ClaimPosition position) noexcept;
// Where its next claim begins.
ClaimPosition claim_start_of(const WorkerSlot& slot);
// For a slot that is reused.
void reset_claim_start(WorkerSlot& slot);

}  // namespace sync_job
