// Where the claims of a worker begin: what is known to have ended is not visited again. Under a snapshot that somebody
// holds for hours, index entries of ended jobs cannot be cleaned away; a scan from the start of the index would read them
// all for each batch.
//
// A position is a lower bound: no job of the worker's queue and role before it waits, except one that some commit has
// made wait since. Whoever makes a job wait says so with wake_at_commit(), and the commit lowers the bound. In shared
// memory; a session that is no worker begins at the start.
#pragma once

#include "core/claim_position.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// --- This worker's own ---

// To be asked before the claim takes its snapshot. `since`: where something has come to wait since it was asked last; the
// greatest position: nowhere. Where it may not start over, not even now and then.
ClaimPosition claim_start(bool may_start_over, ClaimPosition* since);
// After a claim that began at claim_start(): nothing before this waits any more.
void set_claim_start(ClaimPosition position);

// --- Any worker's ---

// A job waits there now. For commit callbacks, after the commit.
void lower_claim_start(WorkerSlot& slot, ClaimPosition position) noexcept;
// Where its next claim begins.
ClaimPosition claim_start_of(const WorkerSlot& slot);
// For a slot that is taken anew.
void reset_claim_start(WorkerSlot& slot);

}  // namespace sync_job
