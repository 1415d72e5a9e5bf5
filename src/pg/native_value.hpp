// Values of SQL as the ABI of native controllers has them (include/sync_job/abi.h), and back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/row.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"
#include "sync_job/abi.h"

namespace sync_job::pg {

// The values of a row, of these types; those of dropped columns are null. Texts point into the row; what is compressed or out of
// line is SYNC_JOB_OTHER, as is what has no form of its own.
void to_native(const RowValues& row, const sync_job_columns& columns, sync_job_value* out);
// The value for a column of that type (a base type). Raises 42804 for one that does not suit it, 22003 for one that is out of range,
// 22021 for a text that is not in the encoding of the database.
Value from_native(const sync_job_value& value, Oid type, std::int32_t typmod);
// As a parameter of SQL, with its type.
Value parameter_from_native(const sync_job_value& value, Oid* type);

}  // namespace sync_job::pg
