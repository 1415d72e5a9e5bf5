// Values of any type to jsonb, and back.
#include "pg/server.hpp"

extern "C" {
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/float.h"
}
#include <cmath>
#include <cstring>
#include <utility>

#include "pg/array_elements.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/json_value.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

// --- To jsonb. These functions call the server unguarded: call them only within a guard. ---

namespace {

void push_text(JsonState& state, char* text) {
    JsonbValue value;
    value.type = jbvString;
    value.val.string.val = text;
    value.val.string.len = static_cast<int>(std::strlen(text));
    push_json(state, &value);
}

void push_numeric(JsonState& state, Numeric numeric) {
    JsonbValue value;
    value.type = jbvNumeric;
    value.val.numeric = numeric;
    push_json(state, &value);
}

char* output_text(Datum datum, Oid type) {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(type, &function, &is_varlena);
    return OidOutputFunctionCall(function, datum);
}

// NaN, infinity and negative zero: no JSON number converts back to them.
void push_float(JsonState& state, Datum datum, Oid type) {
    double number = type == FLOAT4OID ? DatumGetFloat4(datum) : DatumGetFloat8(datum);
    int digits = std::exchange(extra_float_digits, 1);  // the shortest exact text, whatever the session's setting
    char* text = output_text(datum, type);
    extra_float_digits = digits;
    if (std::isfinite(number) && !(number == 0 && std::signbit(number))) {
        push_numeric(state, DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
                                                                ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
    } else {
        push_text(state, text);
    }
}

void push_jsonb(JsonState& state, Jsonb* jsonb) {
    JsonbValue value;
    if (JB_ROOT_IS_SCALAR(jsonb)) {
        JsonbExtractScalar(&jsonb->root, &value);
    } else {
        value.type = jbvBinary;
        value.val.binary.data = &jsonb->root;
        value.val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
    }
    push_json(state, &value);
}

bool is_null_or_string(Jsonb* jsonb) {
    if (!JB_ROOT_IS_SCALAR(jsonb)) return false;
    JsonbValue value;
    JsonbExtractScalar(&jsonb->root, &value);
    return value.type == jbvNull || value.type == jbvString;
}

void push_composite(JsonState& state, Datum datum, bool exact) {
    HeapTupleHeader header = DatumGetHeapTupleHeader(datum);
    TupleDesc descriptor = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    auto* values = static_cast<Datum*>(palloc(descriptor->natts * sizeof(Datum)));
    auto* nulls = static_cast<bool*>(palloc(descriptor->natts * sizeof(bool)));
    heap_deform_tuple(&tuple, descriptor, values, nulls);
    push_token(state, WJB_BEGIN_OBJECT);
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        if (attribute->attisdropped) continue;
        JsonbValue key;
        key.type = jbvString;
        key.val.string.val = pstrdup(NameStr(attribute->attname));
        key.val.string.len = static_cast<int>(std::strlen(key.val.string.val));
        push_token(state, WJB_KEY, &key);
        push_value(state, values[i], nulls[i], attribute->atttypid, exact);
    }
    push_token(state, WJB_END_OBJECT);
    ReleaseTupleDesc(descriptor);
}

// For an array of one dimension with the usual lower bound; `exact` callers have checked that before.
void push_array(JsonState& state, ArrayType* array, Oid element, bool exact) {
    ArrayElements elements(array);
    push_token(state, WJB_BEGIN_ARRAY);
    for (int i = 0; i < elements.count; i++) push_value(state, elements.values[i], elements.nulls[i], element, exact);
    push_token(state, WJB_END_ARRAY);
}

// Element types whose values survive as elements of a JSON array: a JSON null in a jsonb[] would come back as SQL NULL.
bool exact_element(Oid element) { return element != JSONBOID && element != JSONOID && !type_is_rowtype(element); }

// Numbers, texts and times; false for other types.
bool push_scalar(JsonState& state, Datum datum, Oid type) {
    switch (type) {
        case BOOLOID: {
            JsonbValue value;
            value.type = jbvBool;
            value.val.boolean = DatumGetBool(datum);
            push_json(state, &value);
            return true;
        }
        case INT2OID:
            push_numeric(state, int64_to_numeric(DatumGetInt16(datum)));
            return true;
        case INT4OID:
            push_numeric(state, int64_to_numeric(DatumGetInt32(datum)));
            return true;
        case INT8OID:
            push_numeric(state, int64_to_numeric(DatumGetInt64(datum)));
            return true;
        case FLOAT4OID:
        case FLOAT8OID:
            push_float(state, datum, type);
            return true;
        case NUMERICOID: {
            Numeric numeric = DatumGetNumericCopy(datum);
            if (numeric_is_nan(numeric) || numeric_is_inf(numeric)) return false;
            push_numeric(state, numeric);
            return true;
        }
        case DATEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID: {
            auto* text = static_cast<char*>(palloc(MAXDATELEN + 1));
            JsonEncodeDateTime(text, datum, type, nullptr);
            push_text(state, text);
            return true;
        }
        case TEXTOID:
        case VARCHAROID:
            push_text(state, TextDatumGetCString(datum));
            return true;
        default:
            return false;
    }
}

// jsonb, json and xml; false for other types, and for xml unless `exact`.
bool push_document(JsonState& state, Datum datum, Oid type, bool exact) {
    switch (type) {
        case JSONBOID:
            // Exact: a JSON null and a JSON string as their JSON text, to tell them from a NULL and from each other.
            if (exact && is_null_or_string(DatumGetJsonbP(datum))) return false;
            push_jsonb(state, DatumGetJsonbP(datum));
            return true;
        case JSONOID: {
            char* json = TextDatumGetCString(datum);
            if (exact) {
                push_text(state, json);
            } else {
                push_jsonb(state, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json))));
            }
            return true;
        }
        case XMLOID:  // stored as text; its output function omits parts of the XML declaration
            if (!exact) return false;
            push_text(state, TextDatumGetCString(datum));
            return true;
        default:
            return false;
    }
}

}  // namespace

void push_value(JsonState& state, Datum datum, bool is_null, Oid type, bool exact) {
    check_stack_depth();
    if (is_null) {
        JsonbValue value;
        value.type = jbvNull;
        push_json(state, &value);
        return;
    }
    if (!is_own_base_type(type)) type = getBaseType(type);
    if (push_scalar(state, datum, type) || push_document(state, datum, type, exact)) return;
    Oid element = get_element_type(type);
    if (OidIsValid(element)) {
        ArrayType* array = DatumGetArrayTypeP(datum);
        bool plain = ARR_NDIM(array) == 0 || (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] == 1);
        if (plain && (!exact || exact_element(getBaseType(element))))
            return push_array(state, array, element, exact);
    } else if (!exact && type_is_rowtype(type)) {
        return push_composite(state, datum, exact);
    }
    push_text(state, output_text(datum, type));
}

Datum value_to_json(Datum datum, Oid type, bool exact) {
    JsonBuilder builder;
    builder.value(datum, false, type, exact);
    return builder.finish();
}

// --- From jsonb: everything goes through the text that the type's input function takes. ---

namespace {

std::string input_text(const JsonField& field, Oid type);

std::string quoted_element(const std::string& text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

// Stops at too many dimensions before reading on, because each level is a copy of everything below it.
std::string array_text(Datum jsonb, Oid element, int dimension = 1) {
    if (dimension > MAXDIM) {
        throw Error("54000", "number of array dimensions (" + std::to_string(dimension) + ") exceeds the maximum allowed (" + std::to_string(MAXDIM) + ")");
    }
    std::string out = "{";
    for (const JsonField& item : json_elements(jsonb)) {
        if (out.size() > 1) out += ',';
        if (item.kind == JsonKind::null) {
            out += "NULL";
        } else if (item.kind == JsonKind::array && element != JSONBOID && element != JSONOID) {
            out += array_text(item.value, element, dimension + 1);
        } else {
            out += quoted_element(input_text(item, element));
        }
    }
    return out + '}';
}

std::string composite_text(Datum jsonb, Oid type) {
    std::map<std::string, JsonField> fields;
    for (JsonField& field : json_fields(jsonb)) fields.emplace(field.key, field);
    TupleDesc descriptor = guarded([&] { return lookup_rowtype_tupdesc_copy(type, -1); });
    std::string out = "(";
    bool first = true;
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        if (attribute->attisdropped) continue;
        if (!first) out += ',';
        first = false;
        auto found = fields.find(NameStr(attribute->attname));
        if (found != fields.end() && found->second.kind != JsonKind::null) {
            out += quoted_element(input_text(found->second, attribute->atttypid));
        }
    }
    return out + ')';
}

std::string input_text(const JsonField& field, Oid type) {
    Oid base = base_type(type);
    if (base == JSONBOID || base == JSONOID) return json_to_text(field.value);
    if (field.kind == JsonKind::array) {
        Oid element = guarded([&] { return get_element_type(base); });
        if (element != InvalidOid) return array_text(field.value, element);
    }
    if (field.kind == JsonKind::object && guarded([&] { return type_is_rowtype(base); })) {
        return composite_text(field.value, base);
    }
    return field.text;
}

JsonField as_field(Datum jsonb) {
    JsonField field{{}, json_kind(jsonb), {}, jsonb};
    field.text = json_to_text(jsonb);
    if (field.kind == JsonKind::string) {
        field.text = guarded([&] {
            JsonbValue value;
            JsonbExtractScalar(&DatumGetJsonbP(jsonb)->root, &value);
            return pnstrdup(value.val.string.val, value.val.string.len);
        });
    }
    return field;
}

}  // namespace

Value json_to_value(Datum jsonb, Oid type, std::int32_t typmod, bool exact) {
    JsonField field = as_field(jsonb);
    if (field.kind == JsonKind::null) return {};
    Oid base = base_type(type);
    bool own_text = exact && (base == JSONOID || (base == JSONBOID && field.kind == JsonKind::string));
    std::string text = own_text ? field.text : input_text(field, type);
    if (exact) return {text_to_value(text, type, typmod), false};
    Datum datum = guarded([&] {
        Oid function, parameter;
        getTypeInputInfo(type, &function, &parameter);
        return OidInputFunctionCall(function, const_cast<char*>(text.c_str()), parameter, typmod);
    });
    return {datum, false};
}

}  // namespace sync_job::pg
