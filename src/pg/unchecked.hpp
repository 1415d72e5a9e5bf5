// Values read from text without running the CHECKs of the domains in their types.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// The values in names and kept rows have been in a table before, and are compared or shown, not stored. So nobody's CHECK needs to run with
// the reader's rights. Values that are written are checked when they are stored, at least by the column's own domain.
Datum read_unchecked(const std::string& text, Oid base_type, std::int32_t typmod);

}  // namespace sync_job::pg
