// sync-job serve: the console, an HTTP server with its pages inside.
#pragma once

#include "serve/settings.hpp"

namespace sync_job::serve {

// Runs until a signal ends it. Throws std::invalid_argument for settings that do not fit together, std::runtime_error if it cannot
// start.
void run(Settings settings);

}  // namespace sync_job::serve
