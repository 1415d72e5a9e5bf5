// Files with a key, a password or a token, which nobody else may read.
#pragma once

#include <string>

namespace sync_job::serve {

// Throws std::runtime_error if it cannot be read, or others can read it. As in libpq: only the owner may read it (0600), or it belongs to
// root and at most a group may (0640).
void check_private_file(const std::string& path);

// Its first line, after the same check.
std::string first_line_of_private_file(const std::string& path);

}  // namespace sync_job::serve
