#include "pg/server.hpp"

#include <algorithm>

#include "pg/error.hpp"
#include "pg/row.hpp"

namespace sync_job::pg {

namespace {

RowValues allocate_row(int count) {
    RowValues row;
    row.count = count;
    row.values = static_cast<Datum*>(palloc0(count * sizeof(Datum)));
    row.nulls = static_cast<bool*>(palloc(count * sizeof(bool)));
    std::memset(row.nulls, true, count * sizeof(bool));
    return row;
}

RowValues deform(HeapTupleHeader header, TupleDesc descriptor, int columns) {
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    RowValues row = allocate_row(std::max(columns, descriptor->natts));
    heap_deform_tuple(&tuple, descriptor, row.values, row.nulls);
    return row;
}

Datum form(const RowValues& row, TupleDesc descriptor) {
    return heap_copy_tuple_as_datum(heap_form_tuple(descriptor, row.values, row.nulls), descriptor);
}

}  // namespace

RowValues take_apart(Datum composite, int columns) {
    return guarded([&] {
        HeapTupleHeader header = DatumGetHeapTupleHeader(composite);
        TupleDesc descriptor = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
        RowValues row = deform(header, descriptor, columns);
        ReleaseTupleDesc(descriptor);
        return row;
    });
}

// By the current row type: a row may be of a later version of it than our description of the relation. Columns that
// have been added since are left out.
RowValues take_apart(Datum composite, const RelationInfo& relation) {
    require_current(relation);
    return guarded([&] {
        TupleDesc descriptor = lookup_rowtype_tupdesc(relation.row_type, -1);
        RowValues row = deform(DatumGetHeapTupleHeader(composite), descriptor, 0);
        row.count = relation.descriptor->natts;
        ReleaseTupleDesc(descriptor);
        return row;
    });
}

RowValues empty_row(const RelationInfo& relation) {
    return guarded([&] { return allocate_row(static_cast<int>(relation.columns.size())); });
}

RowValues copy_of(const RowValues& other) {
    return guarded([&] {
        RowValues row = allocate_row(other.count);
        std::memcpy(row.values, other.values, other.count * sizeof(Datum));
        std::memcpy(row.nulls, other.nulls, other.count * sizeof(bool));
        return row;
    });
}

Datum put_together(const RowValues& row, const RelationInfo& relation) {
    require_current(relation);
    return guarded([&] {
        TupleDesc descriptor = lookup_rowtype_tupdesc(relation.row_type, -1);
        RowValues whole = allocate_row(std::max(row.count, descriptor->natts));
        std::memcpy(whole.values, row.values, row.count * sizeof(Datum));
        std::memcpy(whole.nulls, row.nulls, row.count * sizeof(bool));
        Datum composite = form(whole, descriptor);
        ReleaseTupleDesc(descriptor);
        return composite;
    });
}

Datum put_together(const RowValues& row, Oid row_type) {
    return guarded([&] {
        TupleDesc descriptor = lookup_rowtype_tupdesc(row_type, -1);
        RowValues all = row;
        if (row.count < descriptor->natts) {
            all = allocate_row(descriptor->natts);
            std::memcpy(all.values, row.values, row.count * sizeof(Datum));
            std::memcpy(all.nulls, row.nulls, row.count * sizeof(bool));
        }
        Datum composite = form(all, descriptor);
        ReleaseTupleDesc(descriptor);
        return composite;
    });
}

Oid composite_type(Datum row) {
    return guarded([&] { return HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(row)); });
}

Datum copy_row(Datum row) {
    return guarded([&] { return datumCopy(row, false, -1); });
}

}  // namespace sync_job::pg
