// What happens when the library is loaded: settings, hooks, shared memory, the launcher.
#pragma once

namespace sync_job {

// `preloaded`: in the postmaster, by shared_preload_libraries.
void load(bool preloaded);

}  // namespace sync_job
