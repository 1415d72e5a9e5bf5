// What others do with a worker's bound of engine/cursor.hpp.
#pragma once

#include "engine/cursor.hpp"
#include "worker/shared.hpp"

namespace sync_job {

// A job waits there now. For commit callbacks, after the commit.
void lower_claim_start(WorkerSlot& slot, ClaimPosition position) noexcept;
// Where its next claim begins.
ClaimPosition claim_start_of(const WorkerSlot& slot);
// For a slot that is taken anew.
void reset_claim_start(WorkerSlot& slot);

}  // namespace sync_job
