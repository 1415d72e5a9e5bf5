// Values read from text without running the CHECKs of the domains in their types.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// The values in names and kept rows were in a table once, and are compared or shown, not stored: so nobody's CHECK
// needs to run as the reader. What is written is checked when it is stored, at least by the column's own domain.
Datum read_unchecked(const std::string& text, Oid base_type, std::int32_t typmod);

}  // namespace sync_job::pg
