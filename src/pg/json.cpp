#include "pg/server.hpp"

#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/json_value.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

namespace {

JsonbValue string_value(std::string_view text) {
    JsonbValue value;
    value.type = jbvString;
    value.val.string.len = static_cast<int>(text.size());
    value.val.string.val = const_cast<char*>(text.data());
    return value;
}

std::string json_value_text(const JsonbValue& value) {
    switch (value.type) {
        case jbvNull:
            return {};
        case jbvString:
            return {value.val.string.val, static_cast<std::size_t>(value.val.string.len)};
        case jbvBool:
            return value.val.boolean ? "true" : "false";
        case jbvNumeric:
            return guarded(
                [&] { return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric))); });
        default:
            return guarded([&] { return JsonbToCString(nullptr, value.val.binary.data, value.val.binary.len); });
    }
}

JsonKind kind_of(const JsonbValue& value) {
    switch (value.type) {
        case jbvNull:
            return JsonKind::null;
        case jbvString:
            return JsonKind::string;
        case jbvNumeric:
            return JsonKind::number;
        case jbvBool:
            return JsonKind::boolean;
        case jbvArray:
            return JsonKind::array;
        case jbvBinary:
            return JsonContainerIsArray(value.val.binary.data) ? JsonKind::array : JsonKind::object;
        default:
            return JsonKind::object;
    }
}

// Reads the members (or elements) of a container, without descending into them.
std::vector<JsonField> members(Datum datum, bool object) {
    Jsonb* jsonb = guarded([&] { return DatumGetJsonbP(datum); });
    bool fits = object ? JB_ROOT_IS_OBJECT(jsonb) : (JB_ROOT_IS_ARRAY(jsonb) && !JB_ROOT_IS_SCALAR(jsonb));
    if (!fits) throw Error("22023", object ? "a JSON object was expected" : "a JSON array was expected");
    std::vector<JsonField> fields;
    JsonbIterator* iterator = guarded([&] { return JsonbIteratorInit(&jsonb->root); });
    JsonbValue value;
    auto next = [&] { return guarded([&] { return JsonbIteratorNext(&iterator, &value, true); }); };
    std::string key;
    next();
    for (JsonbIteratorToken token = next(); token != WJB_END_OBJECT && token != WJB_END_ARRAY && token != WJB_DONE;
         token = next()) {
        if (token == WJB_KEY) {
            key.assign(value.val.string.val, value.val.string.len);
            continue;
        }
        JsonField field{key, kind_of(value), json_value_text(value), 0};
        field.value = guarded([&] { return JsonbPGetDatum(JsonbValueToJsonb(&value)); });
        fields.push_back(std::move(field));
    }
    return fields;
}

}  // namespace

void push_token(JsonState& state, JsonbIteratorToken token, JsonbValue* value) {
#if PG_VERSION_NUM >= 190000
    JsonbInState building{};
    building.parseState = state.containers;
    pushJsonbValue(&building, token, value);
    state.containers = building.parseState;
    if (state.containers == nullptr) state.result = building.result;
#else
    JsonbValue* pushed = pushJsonbValue(&state.containers, token, value);
    if (state.containers == nullptr) state.result = pushed;
#endif
}

void push_json(JsonState& state, JsonbValue* value) {
    if (state.containers == nullptr) {
        state.result = static_cast<JsonbValue*>(palloc(sizeof(JsonbValue)));
        *state.result = *value;
    } else {
        push_token(state, state.containers->contVal.type == jbvArray ? WJB_ELEM : WJB_VALUE, value);
    }
}

template <class F>
void JsonBuilder::in_its_memory(F push) {
    guarded([&] {
        MemoryContextSwitchTo(memory_);
        push();
    });
}

void JsonBuilder::begin_object() {
    in_its_memory([&] { push_token(state_, WJB_BEGIN_OBJECT); });
}
void JsonBuilder::end_object() {
    in_its_memory([&] { push_token(state_, WJB_END_OBJECT); });
}
void JsonBuilder::begin_array() {
    in_its_memory([&] { push_token(state_, WJB_BEGIN_ARRAY); });
}
void JsonBuilder::end_array() {
    in_its_memory([&] { push_token(state_, WJB_END_ARRAY); });
}

void JsonBuilder::key(std::string_view name) {
    in_its_memory([&] {
        JsonbValue value = string_value(name);
        value.val.string.val = pnstrdup(name.data(), name.size());
        push_token(state_, WJB_KEY, &value);
    });
}

void JsonBuilder::null() {
    in_its_memory([&] {
        JsonbValue value;
        value.type = jbvNull;
        push_json(state_, &value);
    });
}

void JsonBuilder::boolean(bool flag) {
    in_its_memory([&] {
        JsonbValue value;
        value.type = jbvBool;
        value.val.boolean = flag;
        push_json(state_, &value);
    });
}

void JsonBuilder::number(std::int64_t number) {
    in_its_memory([&] {
        JsonbValue value;
        value.type = jbvNumeric;
        value.val.numeric = int64_to_numeric(number);
        push_json(state_, &value);
    });
}

void JsonBuilder::string(std::string_view text) {
    in_its_memory([&] {
        JsonbValue value = string_value(text);
        value.val.string.val = pnstrdup(text.data(), text.size());
        push_json(state_, &value);
    });
}

void JsonBuilder::value(Datum datum, bool is_null, Oid type, bool exact) {
    in_its_memory([&] { push_value(state_, datum, is_null, type, exact); });
}

void JsonBuilder::field(std::string_view name, std::string_view text) {
    key(name);
    if (text.empty()) {
        null();
    } else {
        string(text);
    }
}

namespace {

// A form of the value that can be part of a container which is put together without the server's help. Raises as the server does.
JsonbValue exact_value(Value value, Oid type) {
    JsonState alone;
    push_value(alone, value.datum, value.null, type, true);
    if (alone.result->type != jbvBinary) return *alone.result;
    JsonState list;  // takes the value apart
    push_token(list, WJB_BEGIN_ARRAY);
    push_token(list, WJB_ELEM, alone.result);
    push_token(list, WJB_END_ARRAY);
    return list.result->val.array.elems[0];
}

}  // namespace

// Puts the value into place by hand: the server would build it token by token, and sort its two keys.
void JsonBuilder::change(std::string_view name, Value before, Value after, Oid type) {
    in_its_memory([&] {
        JsonbValue key = string_value({pnstrdup(name.data(), name.size()), name.size()});
        push_token(state_, WJB_KEY, &key);
        auto* pairs = static_cast<JsonbPair*>(palloc0(2 * sizeof(JsonbPair)));
        pairs[0].key = string_value("new");
        pairs[0].value = exact_value(after, type);
        pairs[1].key = string_value("old");
        pairs[1].value = exact_value(before, type);
        JsonbValue change;
        change.type = jbvObject;
        change.val.object.nPairs = 2;
        change.val.object.pairs = pairs;
        auto& members = state_.containers->contVal.val.object;
        members.pairs[members.nPairs++].value = change;
    });
}

Datum JsonBuilder::finish() {
    return guarded([&] { return JsonbPGetDatum(JsonbValueToJsonb(state_.result)); });
}

JsonKind json_kind(Datum datum) {
    Jsonb* jsonb = guarded([&] { return DatumGetJsonbP(datum); });
    if (JB_ROOT_IS_OBJECT(jsonb)) return JsonKind::object;
    if (!JB_ROOT_IS_SCALAR(jsonb)) return JsonKind::array;
    JsonbValue value;
    guarded([&] { JsonbExtractScalar(&jsonb->root, &value); });
    return kind_of(value);
}

std::vector<JsonField> json_fields(Datum jsonb) { return members(jsonb, true); }
std::vector<JsonField> json_elements(Datum jsonb) { return members(jsonb, false); }

bool json_equal(Datum one, Datum other) {
    return guarded(
        [&] { return compareJsonbContainers(&DatumGetJsonbP(one)->root, &DatumGetJsonbP(other)->root) == 0; });
}

Datum json_from_text(const std::string& text) {
    return guarded([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.c_str())); });
}

std::string json_to_text(Datum datum) {
    const char* text = guarded([&] {
        Jsonb* jsonb = DatumGetJsonbP(datum);
        return JsonbToCString(nullptr, &jsonb->root, VARSIZE(jsonb));
    });
    return text;
}

}  // namespace sync_job::pg
