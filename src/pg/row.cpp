#include "pg/server.hpp"

#include <algorithm>

extern "C" {
#include "common/hashfn.h"
#include "utils/uuid.h"
}

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

// Uses the current row type: a row may be of a later version of it than our description of the relation. Columns added since then are left
// out.
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
        std::size_t values = other.count * sizeof(Datum), nulls = other.count * sizeof(bool);
        auto* space = static_cast<char*>(palloc(values + nulls));
        RowValues row{reinterpret_cast<Datum*>(space), reinterpret_cast<bool*>(space + values), other.count};
        std::memcpy(row.values, other.values, values);
        std::memcpy(row.nulls, other.nulls, nulls);
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

namespace {

std::uint64_t hash_of_image(Datum value, const Column& column, std::uint64_t seed) {
    if (column.by_value) return DatumGetUInt64(hash_any_extended(reinterpret_cast<unsigned char*>(&value), sizeof(value), seed));
    const void* image = DatumGetPointer(value);
    std::size_t bytes = column.length > 0 ? column.length : 0;
    if (column.length == -1) {
        const varlena* plain = PG_DETOAST_DATUM_PACKED(value);
        image = VARDATA_ANY(plain);
        bytes = VARSIZE_ANY_EXHDR(plain);
    } else if (column.length == -2) {
        bytes = std::strlen(DatumGetCString(value));
    }
    return DatumGetUInt64(hash_any_extended(static_cast<const unsigned char*>(image), static_cast<int>(bytes), seed));
}

}  // namespace

Datum fingerprint(const RowValues& row, const RelationInfo& relation) {
    return guarded([&] {
        std::uint64_t halves[] = {0, 0x9E3779B97F4A7C15};
        for (const Column& column : relation.columns) {
            Value value = row.at(column.number);
            if (column.dropped || value.null) continue;
            const auto* name = reinterpret_cast<const unsigned char*>(column.name.data());
            for (std::uint64_t& half : halves) {
                half = DatumGetUInt64(hash_any_extended(name, static_cast<int>(column.name.size()), half));
                half = hash_of_image(value.datum, column, half);
            }
        }
        auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
        static_assert(sizeof(halves) == UUID_LEN);
        std::memcpy(uuid->data, halves, UUID_LEN);
        return UUIDPGetDatum(uuid);
    });
}

Oid composite_type(Datum row) {
    return guarded([&] { return HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(row)); });
}

Datum copy_row(Datum row) {
    return guarded([&] { return datumCopy(row, false, -1); });
}

}  // namespace sync_job::pg
