// For src/pg/ only: an array taken apart, so that its elements can be read or replaced. Raises as the server does, so use it within
// guarded().
#pragma once

#include "pg/server.hpp"

extern "C" {
#include "utils/array.h"
}

namespace sync_job::pg {

struct ArrayElements {
    explicit ArrayElements(ArrayType* of) : ArrayElements(of, ARR_ELEMTYPE(of)) {}
    // `as`: the element type of the array that changed() returns; its storage format must be the same.
    ArrayElements(ArrayType* of, Oid as) : array(of), element(as) {
        get_typlenbyvalalign(element, &length, &by_value, &alignment);
        deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment, &values, &nulls, &count);
    }
    // Replaces each element that is not null by the result of `change`.
    template <class F>
    Datum changed(F&& change) {
        for (int i = 0; i < count; i++) {
            if (!nulls[i]) values[i] = change(values[i]);
        }
        return PointerGetDatum(construct_md_array(values, nulls, ARR_NDIM(array), ARR_DIMS(array), ARR_LBOUND(array),
                                                  element, length, by_value, alignment));
    }

    ArrayType* array;
    Oid element;
    int16 length;
    bool by_value;
    char alignment;
    Datum* values = nullptr;
    bool* nulls = nullptr;
    int count = 0;
};

}  // namespace sync_job::pg
