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
// Puts one together, with out-of-line values fetched, so that it is self-contained.
Datum put_together(const RowValues& row, const RelationInfo& relation);
// The same by the current row type. It may have fewer columns than there are values, whose first ones are then used; or
// more, which somebody has added: those are null.
Datum put_together(const RowValues& row, Oid row_type);
// By the type that the value carries itself; at least this many columns.
RowValues take_apart(Datum row, int columns);

// The row type of a composite value, which tells which relation it is a row of.
Oid composite_type(Datum row);

// 128 bits, as a uuid, of what is stored in the row: the same as long as no column of it has another value. Columns that are null
// do not count, so that one that is added, or dropped, changes nothing by itself.
Datum fingerprint(const RowValues& row, const RelationInfo& relation);

// Copies the composite value into the current memory context.
Datum copy_row(Datum row);

}  // namespace sync_job::pg
