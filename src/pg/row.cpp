#include "pg/server.hpp"

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

}  // namespace

RowValues take_apart(Datum composite, TupleDescData* descriptor) {
    return guarded([&] {
        HeapTupleHeader header = DatumGetHeapTupleHeader(composite);
        HeapTupleData tuple;
        tuple.t_len = HeapTupleHeaderGetDatumLength(header);
        ItemPointerSetInvalid(&tuple.t_self);
        tuple.t_tableOid = InvalidOid;
        tuple.t_data = header;
        RowValues row = allocate_row(descriptor->natts);
        heap_deform_tuple(&tuple, descriptor, row.values, row.nulls);
        return row;
    });
}

RowValues take_apart(Datum composite) {
    TupleDesc descriptor = guarded([&] {
        HeapTupleHeader header = DatumGetHeapTupleHeader(composite);
        return lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    });
    return take_apart(composite, descriptor);
}

RowValues take_apart(Datum composite, const RelationInfo& relation) {
    require_current(relation);
    return take_apart(composite, relation.descriptor);
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

Datum put_together(const Datum* values, const bool* nulls, TupleDescData* descriptor) {
    return guarded([&] {
        HeapTuple tuple = heap_form_tuple(descriptor, const_cast<Datum*>(values), const_cast<bool*>(nulls));
        return heap_copy_tuple_as_datum(tuple, descriptor);
    });
}

Datum put_together(const RowValues& row, const RelationInfo& relation) {
    require_current(relation);
    return put_together(row.values, row.nulls, relation.descriptor);
}

Oid composite_type(Datum row) {
    return guarded([&] { return HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(row)); });
}

Datum copy_row(Datum row) {
    return guarded([&] { return datumCopy(row, false, -1); });
}

TupleDescData* keep_row_type(Oid type) {
    return guarded([&] {
        MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
        TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
        MemoryContextSwitchTo(previous);
        return descriptor;
    });
}

}  // namespace sync_job::pg
