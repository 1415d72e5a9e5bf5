// Installs what engine/wake.hpp promises; at load.
#pragma once

namespace sync_job {

void watch_transactions();
// Lets go, at the end of a transaction, of what engine/activity.hpp keeps for it.
void watch_kept();

// What this session has blocked in DatabaseSlot::blocked_by is free again when its transaction ends.
void unblock_databases_at_transaction_end();

}  // namespace sync_job
