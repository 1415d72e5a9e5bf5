// Installs what engine/wake.hpp promises; at load.
#pragma once

namespace sync_job {

void watch_transactions();

}  // namespace sync_job
