#include "pg/server.hpp"

extern "C" {
#include "utils/array.h"
}

#include "pg/array_elements.hpp"
#include "pg/error.hpp"
#include "pg/trust.hpp"
#include "pg/unchecked.hpp"

namespace sync_job::pg {

namespace {

// A type with the same representation but without domains: rows become anonymous records. These functions call the
// server unguarded: call them only within a guard.
struct Plain {
    Oid type;
    int32 typmod;
};

Plain plain_of(Oid type, int32 typmod);

Plain plain_record(Oid composite) {
    TupleDesc real = lookup_rowtype_tupdesc_copy(composite, -1);
    TupleDesc plain = CreateTemplateTupleDesc(real->natts);
    for (int i = 0; i < real->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(real, i);
        bool dropped = attribute->attisdropped;
        Plain column = dropped ? Plain{INT4OID, -1} : plain_of(attribute->atttypid, attribute->atttypmod);
        TupleDescInitEntry(plain, static_cast<AttrNumber>(i + 1), NameStr(attribute->attname), column.type, column.typmod, 0);
        TupleDescAttr(plain, i)->attisdropped = dropped;
#if PG_VERSION_NUM >= 180000
        populate_compact_attribute(plain, i);
#endif
    }
    BlessTupleDesc(plain);
    return {RECORDOID, plain->tdtypmod};
}

Plain plain_of(Oid type, int32 typmod) {
    check_stack_depth();
    Oid base = getBaseTypeAndTypmod(type, &typmod);
    if (Oid element = get_element_type(base); OidIsValid(element)) {
        Plain plain = plain_of(element, typmod);
        return {get_array_type(plain.type), plain.typmod};
    }
    if (get_typtype(base) == TYPTYPE_COMPOSITE) return plain_record(base);
    return {base, typmod};
}

Datum labelled(Datum datum, Oid type);

Datum labelled_record(Datum datum, Oid composite) {
    HeapTupleHeader header = DatumGetHeapTupleHeader(datum);
    TupleDesc plain = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    TupleDesc real = lookup_rowtype_tupdesc_copy(composite, -1);
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    auto* values = static_cast<Datum*>(palloc(real->natts * sizeof(Datum) + 1));
    auto* nulls = static_cast<bool*>(palloc(real->natts * sizeof(bool) + 1));
    heap_deform_tuple(&tuple, plain, values, nulls);
    for (int i = 0; i < real->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(real, i);
        if (!nulls[i] && !attribute->attisdropped) values[i] = labelled(values[i], attribute->atttypid);
    }
    return heap_copy_tuple_as_datum(heap_form_tuple(real, values, nulls), real);
}

Datum labelled_array(Datum datum, Oid element) {
    return ArrayElements(DatumGetArrayTypeP(datum), element).changed([&](Datum value) { return labelled(value, element); });
}

// The plain value, labelled with its real types.
Datum labelled(Datum datum, Oid type) {
    Oid base = getBaseType(type);
    if (Oid element = get_element_type(base); OidIsValid(element)) return labelled_array(datum, element);
    return get_typtype(base) == TYPTYPE_COMPOSITE ? labelled_record(datum, base) : datum;
}

}  // namespace

Datum read_unchecked(const std::string& text, Oid base_type, std::int32_t typmod) {
    InputCode code = input_code(base_type);
    Plain plain = code.domains ? guarded([&] { return plain_of(base_type, typmod); }) : Plain{base_type, typmod};
    Datum datum;
    {
        TypeInputScope scope(code.of_ranges);  // a range's input function reads the bounds itself
        datum = guarded([&] {
            Oid function, parameter;
            getTypeInputInfo(plain.type, &function, &parameter);
            return OidInputFunctionCall(function, const_cast<char*>(text.c_str()), parameter, plain.typmod);
        });
    }
    return code.domains ? guarded([&] { return labelled(datum, base_type); }) : datum;
}

}  // namespace sync_job::pg
