// Asks for a password at the terminal.
#pragma once

#include <string>

namespace sync_job {

/// Asks as psql does, without echo, at the terminal and not at standard input; without a terminal, on standard error and input.
std::string ask_password(const std::string& user);

}  // namespace sync_job
