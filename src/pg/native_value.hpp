// Converts SQL values to those of the ABI of native controllers (include/sync_job/abi.h), and back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/row.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"
#include "sync_job/abi.h"

namespace sync_job::pg {

// Converts the values of a row that has columns of these types; values of dropped columns become null. Texts point into the row. Values
// that are compressed or out of line become SYNC_JOB_OTHER, as do those that have no form of their own.
void to_native(const RowValues& row, const sync_job_columns& columns, sync_job_value* out);
// The value for a column of this type (a base type). Raises 42804 if it does not fit the type, 22003 if it is out of range, 22021 if a text
// is not valid in the encoding of the database.
Value from_native(const sync_job_value& value, Oid type, std::int32_t typmod);
// The value as an SQL parameter, with its type.
Value parameter_from_native(const sync_job_value& value, Oid* type);

}  // namespace sync_job::pg
