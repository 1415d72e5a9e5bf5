#include "pg/server.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

#include "pg/error.hpp"
#include "pg/text.hpp"

namespace sync_job::pg {

bool is_text(std::string_view bytes) {
    return guarded([&] { return pg_verifymbstr(bytes.data(), static_cast<int>(bytes.size()), true); });
}

void require_valid_text(std::string_view bytes) {
    guarded([&] { pg_verifymbstr(bytes.data(), static_cast<int>(bytes.size()), false); });
}

}  // namespace sync_job::pg
