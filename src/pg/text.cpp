#include "pg/server.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

#include "pg/error.hpp"
#include "pg/text.hpp"

namespace sync_job::pg {

bool is_text(std::string_view bytes) {
    if (bytes.find('\0') != std::string_view::npos) return false;
    return guarded([&] { return pg_verifymbstr(bytes.data(), static_cast<int>(bytes.size()), true); });
}

}  // namespace sync_job::pg
