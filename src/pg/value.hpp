// SQL values: conversion to text and back, to jsonb and back, and comparison by their stored image.
//
// Documents are converted by type I/O, never by casts or operators, which any user may define. "Exact" jsonb is a form from which
// json_to_value() restores the identical value: numbers, booleans, jsonb itself, one-dimensional arrays of these, and the type's own text
// for everything else (json, xml, ranges, composites, NaN, negative zero).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.hpp"

namespace sync_job::pg {

struct Value {
    Datum datum = 0;
    bool null = true;
};

Datum text_datum(std::string_view text);
Datum bool_datum(bool value);
Datum int64_datum(std::int64_t value);
Datum int32_datum(std::int32_t value);
Datum int64_array_datum(const std::vector<std::int64_t>& values);
std::vector<std::int64_t> datum_int64_array(Datum array);
Datum text_array_datum(const std::vector<std::string>& texts);
std::vector<std::string> datum_text_array(Datum array);
double datum_numeric(Datum datum);  // as the nearest double
Datum oid_datum(Oid value);
bool datum_bool(Datum datum);
std::int64_t datum_int64(Datum datum);
std::int32_t datum_int32(Datum datum);
Oid datum_oid(Datum datum);
// The bytes of a text value; detoasted into the current context if necessary.
std::string_view datum_text(Datum datum);

// Cuts a text in the database's encoding to at most this many characters.
std::string clipped(const std::string& text, int characters);
// The same by bytes, without splitting a character.
std::string clipped_to_bytes(const std::string& text, int bytes);

// 100 years. Longer and infinite intervals count as this, so that adding them up, or to a time, cannot overflow.
constexpr std::int64_t longest_interval = 36525LL * 86400 * 1000000;
// interval in microseconds, months counted as 30 days as interval comparison does; and back.
std::int64_t interval_microseconds(Datum interval);
Datum interval_datum(std::int64_t microseconds);

// While it lives, output and input do not depend on the session's settings: ISO dates, UTC, hex, shortest-exact floats, NULL in arrays, XML
// that need not be a document, names quoted only where necessary.
class CanonicalOutput {
public:
    CanonicalOutput() noexcept;
    ~CanonicalOutput();
    CanonicalOutput(const CanonicalOutput&) = delete;
    CanonicalOutput& operator=(const CanonicalOutput&) = delete;

private:
    int date_style_, date_order_, interval_style_, float_digits_, bytea_, xml_option_;
    bool array_nulls_, quote_all_;
    void* time_zone_;
};

std::string value_to_text(Datum datum, Oid type);
// Calls the type's input function. Domains, even nested ones, are read as their base types, so that none of their CHECKs run.
Datum text_to_value(const std::string& text, Oid type, std::int32_t typmod = -1);
// The value of a column, converted from jsonb as jsonb_populate_record does; with `exact`, the inverse of value_to_json(…, exact). Domain
// constraints are checked, except with `exact`.
Value json_to_value(Datum jsonb, Oid type, std::int32_t typmod, bool exact);
// The value as one jsonb value; see JsonBuilder::value().
Datum value_to_json(Datum datum, Oid type, bool exact);

// The size of the value, uncompressed, without reading it. `length`: the type's typlen.
std::size_t stored_bytes(Datum datum, int length);
// Whether the stored images (detoasted) are the same, as record_image_eq compares them.
bool same_image(Datum one, Datum other, bool by_value, int length);
// Its size in bytes, even if it is compressed or out of line.
std::int64_t full_size(Datum datum, bool by_value, int length);
Datum copy_value(Datum datum, bool by_value, int length);

// The value as assigned to a column with this type modifier (length, precision). Text that is too long is an error; it is not truncated.
// `type` is a base type.
Value with_typmod(Value value, Oid type, std::int32_t typmod);

bool is_own_base_type(Oid type);  // true for all built-in types, which have fixed OIDs: none of them is a domain
Oid base_type(Oid type);
std::int32_t base_typmod(Oid type, std::int32_t typmod);  // for a domain, its own
// is_integer(): int2, int4 and int8; is_text(): text and varchar.
bool is_integer(Oid type);
bool is_text(Oid type);
std::string type_name(Oid type);
// The name for use in SQL text. Without a modifier it avoids "character", which would mean one character.
std::string qualified_type_name(Oid type, std::int32_t typmod = -1);
// " COLLATE ..." for use in SQL text; empty for no collation.
std::string collate_clause(Oid collation);
// Whether the collation is deterministic: two texts are then equal only if their bytes are. Also true for no collation.
bool equal_only_if_same_bytes(Oid collation);

// Values that are equal by the operator in Column::equality have the same hash.
bool has_hash(Oid type);
std::uint32_t hash_value(Datum datum, Oid type, Oid collation);

// Like hashtextextended(text, 0) in SQL.
Datum text_hash(Datum text);

// Arrays of a base type, for unnest(). array_type_of() returns no_oid if there is no array type.
Oid array_type_of(Oid element_type);
Datum array_datum(const std::vector<Value>& elements, Oid element_type);

}  // namespace sync_job::pg
