// Installs what engine/wake.hpp promises; at load.
#pragma once

namespace sync_job {

void watch_transactions();
// Lets go, at the end of a transaction, of what engine/activity.hpp keeps for it.
void watch_kept();
// Wakes the processes that have passed over a job because of what others had under way.
struct Shared;
void wake_kept_out(Shared& s);

// What this session has blocked in DatabaseSlot::blocked_by is free again when its transaction ends.
void unblock_databases_at_transaction_end();

}  // namespace sync_job
