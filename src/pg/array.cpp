// The part of value.hpp that makes arrays and takes them apart.
#include "pg/server.hpp"

#include "pg/error.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

Datum int64_array_datum(const std::vector<std::int64_t>& values) {
    return guarded([&] {
        auto* datums = static_cast<Datum*>(palloc(values.size() * sizeof(Datum)));
        for (std::size_t i = 0; i < values.size(); i++) datums[i] = Int64GetDatum(values[i]);
        return PointerGetDatum(
            construct_array(datums, static_cast<int>(values.size()), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    });
}

std::vector<std::int64_t> datum_int64_array(Datum array) {
    Datum* values = nullptr;
    bool* nulls = nullptr;
    int count = 0;
    guarded([&] {
        deconstruct_array(DatumGetArrayTypeP(array), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls,
                          &count);
    });
    std::vector<std::int64_t> list;
    for (int i = 0; i < count; i++) {
        if (nulls[i]) throw Error("22004", "the array must not contain null values");
        list.push_back(DatumGetInt64(values[i]));
    }
    return list;
}

Datum text_array_datum(const std::vector<std::string>& texts) {
    return guarded([&] {
        auto* values = static_cast<Datum*>(palloc(texts.size() * sizeof(Datum)));
        for (std::size_t i = 0; i < texts.size(); i++) {
            values[i] = PointerGetDatum(cstring_to_text_with_len(texts[i].data(), static_cast<int>(texts[i].size())));
        }
        return PointerGetDatum(construct_array(values, static_cast<int>(texts.size()), TEXTOID, -1, false, TYPALIGN_INT));
    });
}

std::vector<std::string> datum_text_array(Datum array) {
    Datum* values = nullptr;
    bool* nulls = nullptr;
    int count = 0;
    guarded([&] {
        deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
    });
    std::vector<std::string> list;
    list.reserve(count);
    for (int i = 0; i < count; i++) {
        if (nulls[i]) throw Error("22004", "the array must not contain null values");
        list.emplace_back(datum_text(values[i]));
    }
    return list;
}

Oid array_type_of(Oid element_type) {
    return guarded([&] { return get_array_type(element_type); });
}

Datum array_datum(const std::vector<Value>& elements, Oid element_type) {
    return guarded([&] {
        int count = static_cast<int>(elements.size());
        auto* values = static_cast<Datum*>(palloc(count * sizeof(Datum)));
        auto* nulls = static_cast<bool*>(palloc(count * sizeof(bool)));
        for (int i = 0; i < count; i++) values[i] = elements[i].datum, nulls[i] = elements[i].null;
        int16 length;
        bool by_value;
        char alignment;
        get_typlenbyvalalign(element_type, &length, &by_value, &alignment);
        int lower_bound = 1;
        return PointerGetDatum(
            construct_md_array(values, nulls, 1, &count, &lower_bound, element_type, length, by_value, alignment));
    });
}

}  // namespace sync_job::pg
