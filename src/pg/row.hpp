// Rows: composite values and the tuples of tables.
#pragma once

#include <vector>

#include "pg/catalog.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

// A row taken apart: one Datum and null flag per column of the relation (dropped ones are null).
// The values point into the row they came from, or into the current memory context.
struct RowValues {
    Datum* values = nullptr;
    bool* nulls = nullptr;
    int count = 0;

    Value at(int column_number) const { return {values[column_number - 1], nulls[column_number - 1]}; }
    void set(int column_number, Value value) {
        values[column_number - 1] = value.datum;
        nulls[column_number - 1] = value.null;
    }
};

// Takes a composite value of the relation's row type apart.
RowValues take_apart(Datum row, const RelationInfo& relation);
RowValues empty_row(const RelationInfo& relation);
RowValues copy_of(const RowValues& row);
// Makes a composite value. Out-of-line values are fetched, so that it is self-contained.
Datum put_together(const RowValues& row, const RelationInfo& relation);
// The same with the current row type. If it has fewer columns than there are values, the first ones are used. If somebody has added
// columns, these are null.
Datum put_together(const RowValues& row, Oid row_type);
// Uses the type that the value itself carries; returns at least this many columns.
RowValues take_apart(Datum row, int columns);

// The row type of a composite value, which tells which relation it is a row of.
Oid composite_type(Datum row);

// A hash, 128 bits as a uuid, of the stored values of the row: it changes only if a value of some column does. Null columns do not count,
// so that adding or dropping such a column changes nothing.
Datum fingerprint(const RowValues& row, const RelationInfo& relation);

// Copies the composite value into the current memory context.
Datum copy_row(Datum row);

}  // namespace sync_job::pg
