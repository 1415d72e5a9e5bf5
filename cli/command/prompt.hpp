// Asking before something is done.
#pragma once

#include <string>

namespace sync_job {

/// Ends the command (Ended, as called wrongly) where it would have to ask, and there is nobody to answer.
void require_answer(bool yes);

/// Asks at the terminal; `yes`: does not, and goes on.
bool confirm(const std::string& question, bool yes);

}  // namespace sync_job
