#include "pg/server.hpp"

extern "C" {
#include "access/detoast.h"
#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/ruleutils.h"
#include "utils/xml.h"
}
#include <algorithm>
#include <cstring>

#include "pg/array_elements.hpp"
#include "pg/error.hpp"
#include "pg/float8.hpp"
#include "pg/unchecked.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

namespace {

// For a type of length -1: neither compressed nor out of line, so that reading it cannot raise. Most values are like that, and a guard for
// each would take more time than what it guards.
bool is_plain(const struct varlena* value) {
    return !VARATT_IS_EXTENDED(value) || (VARATT_IS_SHORT(value) && !VARATT_IS_EXTERNAL(value));
}

const struct varlena* varlena_of(Datum datum) { return reinterpret_cast<const struct varlena*>(DatumGetPointer(datum)); }

// The size including a header of four bytes.
std::size_t raw_size(Datum datum) {
    const struct varlena* value = varlena_of(datum);
    return is_plain(value) ? VARSIZE_ANY_EXHDR(value) + VARHDRSZ : guarded([&] { return toast_raw_datum_size(datum); });
}

}  // namespace

Datum text_datum(std::string_view text) {
    return guarded(
        [&] { return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size()))); });
}

Datum bool_datum(bool value) { return BoolGetDatum(value); }
Datum int64_datum(std::int64_t value) { return Int64GetDatum(value); }
Datum int32_datum(std::int32_t value) { return Int32GetDatum(value); }
Datum float8_datum(double value) { return Float8GetDatum(value); }
double datum_float8(Datum datum) { return DatumGetFloat8(datum); }

double datum_numeric(Datum datum) {
    return guarded([&] { return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, datum)); });
}

Datum oid_datum(Oid value) { return ObjectIdGetDatum(value); }
bool datum_bool(Datum datum) { return DatumGetBool(datum); }
std::int64_t datum_int64(Datum datum) { return DatumGetInt64(datum); }
std::int32_t datum_int32(Datum datum) { return DatumGetInt32(datum); }
Oid datum_oid(Datum datum) { return DatumGetObjectId(datum); }

std::string_view datum_text(Datum datum) {
    const struct varlena* value = varlena_of(datum);
    if (!is_plain(value)) value = guarded([&] { return pg_detoast_datum_packed(reinterpret_cast<struct varlena*>(datum)); });
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

std::string clipped(const std::string& text, int characters) {
    int bytes = pg_mbcharcliplen(text.data(), static_cast<int>(text.size()), characters);
    return text.substr(0, bytes);
}

std::string clipped_to_bytes(const std::string& text, int bytes) {
    return text.substr(0, pg_mbcliplen(text.data(), static_cast<int>(text.size()), bytes));
}

std::int64_t interval_microseconds(Datum datum) {
    const Interval* interval = DatumGetIntervalP(datum);
    __extension__ using Wide = __int128;
    Wide days = Wide{interval->month} * DAYS_PER_MONTH + interval->day;
    Wide sum = interval->time + days * USECS_PER_DAY;
    return static_cast<std::int64_t>(std::clamp<Wide>(sum, -longest_interval, longest_interval));
}

Datum interval_datum(std::int64_t microseconds) {
    return guarded([&] {
        auto* interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
        interval->time = microseconds;
        return IntervalPGetDatum(interval);
    });
}

CanonicalOutput::CanonicalOutput() noexcept
    : date_style_(DateStyle),
      date_order_(DateOrder),
      interval_style_(IntervalStyle),
      float_digits_(extra_float_digits),
      bytea_(bytea_output),
      xml_option_(xmloption),
      array_nulls_(Array_nulls),
      quote_all_(quote_all_identifiers),
      time_zone_(session_timezone) {
    DateStyle = USE_ISO_DATES;
    DateOrder = DATEORDER_YMD;
    IntervalStyle = INTSTYLE_POSTGRES;
    extra_float_digits = 1;
    bytea_output = BYTEA_OUTPUT_HEX;
    xmloption = XMLOPTION_CONTENT;
    Array_nulls = true;
    quote_all_identifiers = false;
    static pg_tz* utc = nullptr;  // lives as long as the process
    if (utc == nullptr) utc = pg_tzset("GMT");
    if (utc != nullptr) session_timezone = utc;
}

CanonicalOutput::~CanonicalOutput() {
    DateStyle = date_style_;
    DateOrder = date_order_;
    IntervalStyle = interval_style_;
    extra_float_digits = float_digits_;
    bytea_output = bytea_;
    xmloption = xml_option_;
    Array_nulls = array_nulls_;
    quote_all_identifiers = quote_all_;
    session_timezone = static_cast<pg_tz*>(time_zone_);
}

std::string value_to_text(Datum datum, Oid type) {
    const char* text = guarded([&] {
        Oid function;
        bool is_varlena;
        getTypeOutputInfo(type, &function, &is_varlena);
        return OidOutputFunctionCall(function, datum);
    });
    return text;
}

Datum text_to_value(const std::string& text, Oid type, std::int32_t typmod) {
    return read_unchecked(text, base_type(type), base_typmod(type, typmod));
}

std::size_t stored_bytes(Datum datum, int length) {
    if (length > 0) return length;
    return length == -1 ? raw_size(datum) : guarded([&] { return datumGetSize(datum, false, length); });
}

bool same_image(Datum one, Datum other, bool by_value, int length) {
    if (by_value && length == sizeof(Datum)) return one == other;
    if (length == -1 && is_plain(varlena_of(one)) && is_plain(varlena_of(other))) return datum_text(one) == datum_text(other);
    return guarded([&] { return datum_image_eq(one, other, by_value, length); });
}

std::int64_t full_size(Datum datum, bool by_value, int length) {
    if (by_value || length > 0) return by_value ? 8 : length;
    return static_cast<std::int64_t>(length == -1 ? raw_size(datum) : std::strlen(DatumGetCString(datum)));
}

Datum copy_value(Datum datum, bool by_value, int length) {
    return guarded([&] { return datumCopy(datum, by_value, length); });
}

bool is_own_base_type(Oid type) { return type < FirstGenbkiObjectId; }

Oid base_type(Oid type) {
    if (is_own_base_type(type)) return type;
    return guarded([&] { return getBaseType(type); });
}

std::int32_t base_typmod(Oid type, std::int32_t typmod) {
    if (is_own_base_type(type)) return typmod;
    return guarded([&] {
        int32 result = typmod;
        getBaseTypeAndTypmod(type, &result);
        return result;
    });
}

// Does what the parser's coerce_type_typmod() does, for a known value.
Value with_typmod(Value value, Oid type, std::int32_t typmod) {
    if (value.null || typmod < 0) return value;
    guarded([&] {
        Oid function;
        CoercionPathType path = find_typmod_coercion_function(type, &function);
        auto coerce = [&](Datum datum) {
            return OidFunctionCall3(function, datum, Int32GetDatum(typmod), BoolGetDatum(false));
        };
        if (path == COERCION_PATH_FUNC) value.datum = coerce(value.datum);
        if (path != COERCION_PATH_ARRAYCOERCE) return;
        value.datum = ArrayElements(DatumGetArrayTypeP(value.datum)).changed(coerce);
    });
    return value;
}

bool has_hash(Oid type) {
    return guarded([&] { return OidIsValid(lookup_type_cache(type, TYPECACHE_HASH_PROC)->hash_proc); });
}

std::uint32_t hash_value(Datum datum, Oid type, Oid collation) {
    return guarded([&] {
        TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_HASH_PROC_FINFO);
        return DatumGetUInt32(FunctionCall1Coll(&entry->hash_proc_finfo, collation, datum));
    });
}

Datum text_hash(Datum text) {
    return guarded(
        [&] { return DirectFunctionCall2Coll(hashtextextended, C_COLLATION_OID, text, Int64GetDatum(0)); });
}

bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }
bool is_text(Oid type) { return type == TEXTOID || type == VARCHAROID; }

std::string type_name(Oid type) {
    const char* name = guarded([&] { return format_type_be(type); });
    return name;
}

std::string collate_clause(Oid collation) {
    if (collation == InvalidOid) return {};
    const char* name = collation == DEFAULT_COLLATION_OID ? "pg_catalog.\"default\"" : guarded([&] { return generate_collation_name(collation); });
    return std::string(" COLLATE ") + name;
}

bool equal_only_if_same_bytes(Oid collation) {
    return collation == InvalidOid || guarded([&] { return get_collation_isdeterministic(collation); });
}

std::string qualified_type_name(Oid type, std::int32_t typmod) {
    const char* name = guarded([&] { return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY); });
    return name;
}

}  // namespace sync_job::pg
