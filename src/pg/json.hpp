// Building and reading jsonb. Everything lives in the current memory context, except for a value under construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pg/memory.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"

struct JsonbParseState;
struct JsonbValue;

namespace sync_job::pg {

// A value under construction: the containers that have begun and not ended, and the value once it is complete.
struct JsonState {
    JsonbParseState* containers = nullptr;
    JsonbValue* result = nullptr;
};

// Builds one jsonb value: begin_object(), key(), a value, …, end_object(), finish(). Until it is finished, it lives in the memory context
// that was current when the builder was created, whichever context is current later; the finished value lives in that of finish().
class JsonBuilder {
public:
    void begin_object();
    void end_object();
    void begin_array();
    void end_array();
    void key(std::string_view name);
    void null();
    void boolean(bool value);
    void number(std::int64_t value);
    void string(std::string_view text);
    // A value of any SQL type. `exact`: in a form that converts back to the identical value (see value.hpp).
    void value(Datum datum, bool is_null, Oid type, bool exact);

    // key() and string() in one; an empty text is null.
    void field(std::string_view name, std::string_view text);
    // key() and {"old": …, "new": …}, both exact: a fast path for diffs.
    void change(std::string_view name, Value before, Value after, Oid type);

    Datum finish();

private:
    template <class F>
    void in_its_memory(F push);

    JsonState state_;
    MemoryContextData* memory_ = current_memory();
};

enum class JsonKind { null, string, number, boolean, array, object };

// One member of a jsonb object. `text` is the string itself, or the JSON text of anything else (empty for null).
struct JsonField {
    std::string key;
    JsonKind kind;
    std::string text;
    Datum value;  // as jsonb
};

JsonKind json_kind(Datum jsonb);
// The members of an object; raises 22023 if it is not one.
std::vector<JsonField> json_fields(Datum jsonb);
// The elements of an array, with empty keys; raises 22023 if it is not one.
std::vector<JsonField> json_elements(Datum jsonb);
bool json_equal(Datum one, Datum other);
Datum json_from_text(const std::string& text);
std::string json_to_text(Datum jsonb);

}  // namespace sync_job::pg
