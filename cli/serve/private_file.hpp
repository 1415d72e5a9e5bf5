// Files with a key, a password or a token, which nobody else may read.
#pragma once

#include <string>

namespace sync_job::serve {

// Throws std::runtime_error where it cannot be read, or can be by others: as libpq has it, the file is for its owner alone (0600), or
// belongs to root, and is for a group at most (0640).
void check_private_file(const std::string& path);

// Its first line, after the same check.
std::string first_line_of_private_file(const std::string& path);

}  // namespace sync_job::serve
