// Text from outside the server.
#pragma once

#include <string_view>

namespace sync_job::pg {

// Whether it is valid in the database's encoding and has no zero byte.
bool is_text(std::string_view bytes);
// Raises 22021 if it is not.
void require_valid_text(std::string_view bytes);

}  // namespace sync_job::pg
