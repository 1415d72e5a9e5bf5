// Installs what engine/wake.hpp promises; at load.
#pragma once

namespace sync_job {

void watch_transactions();

// What this session has blocked in DatabaseSlot::blocked_by is free again when its transaction ends.
void unblock_databases_at_transaction_end();

}  // namespace sync_job
