// Asks before something is done.
#pragma once

#include <string>

namespace sync_job {

/// Ends the command (throws Ended, with the exit code for wrong usage) if it would have to ask, and nobody is there to answer.
void require_answer(bool yes);

/// Asks at the terminal; `yes`: goes on without asking.
bool confirm(const std::string& question, bool yes);

}  // namespace sync_job
