// Values of type double precision.
#pragma once

#include "pg/types.hpp"

namespace sync_job::pg {

namespace type {
constexpr Oid float8 = 701;
}

Datum float8_datum(double value);
double datum_float8(Datum datum);

}  // namespace sync_job::pg
