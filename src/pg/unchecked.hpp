// Values read from text without the CHECKs of the domains that their types are made of.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// What names and kept rows hold was in a table once, and is compared or shown, not stored: so nobody's CHECK need run for
// whoever looks. What is written is checked as it is stored, a column's own domain at least.
Datum read_unchecked(const std::string& text, Oid base_type, std::int32_t typmod);

}  // namespace sync_job::pg
