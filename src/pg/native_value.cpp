#include "pg/server.hpp"

#include <cmath>

extern "C" {
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/native_value.hpp"
#include "pg/text.hpp"

namespace sync_job::pg {

namespace {

constexpr std::int64_t days_between_epochs = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
constexpr std::int64_t microseconds_between_epochs = days_between_epochs * USECS_PER_DAY;
constexpr std::int64_t infinite = INT64_MAX, minus_infinite = INT64_MIN;

sync_job_value number(std::int64_t value, sync_job_kind kind) { return {value, nullptr, kind, 0}; }

sync_job_value floating(double value) {
    std::int64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return number(bits, SYNC_JOB_FLOAT);
}

sync_job_value packed(Datum datum, sync_job_kind kind) {
    const auto* value = reinterpret_cast<const varlena*>(DatumGetPointer(datum));
    if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value)) return number(0, SYNC_JOB_OTHER);
    return {static_cast<std::int64_t>(VARSIZE_ANY_EXHDR(value)), VARDATA_ANY(value), static_cast<std::uint32_t>(kind), 0};
}

sync_job_value date(DateADT days) {
    if (DATE_IS_NOBEGIN(days)) return number(minus_infinite, SYNC_JOB_DATE);
    if (DATE_IS_NOEND(days)) return number(infinite, SYNC_JOB_DATE);
    return number(days + days_between_epochs, SYNC_JOB_DATE);
}

sync_job_value timestamp(Timestamp time) {
    Timestamp since = time;
    bool fits = TIMESTAMP_NOT_FINITE(time) || !__builtin_add_overflow(time, microseconds_between_epochs, &since);
    return fits ? number(since, SYNC_JOB_TIMESTAMP) : number(0, SYNC_JOB_OTHER);  // years from 294247 on
}

static_assert(DT_NOBEGIN == INT64_MIN && DT_NOEND == INT64_MAX);

// Must not call anything that raises.
sync_job_value to_native(Datum datum, Oid type) {
    switch (type) {
        case BOOLOID:
            return number(DatumGetBool(datum) ? 1 : 0, SYNC_JOB_BOOLEAN);
        case INT2OID:
            return number(DatumGetInt16(datum), SYNC_JOB_INTEGER);
        case INT4OID:
            return number(DatumGetInt32(datum), SYNC_JOB_INTEGER);
        case INT8OID:
            return number(DatumGetInt64(datum), SYNC_JOB_INTEGER);
        case OIDOID:
            return number(DatumGetObjectId(datum), SYNC_JOB_INTEGER);
        case FLOAT4OID:
            return floating(DatumGetFloat4(datum));
        case FLOAT8OID:
            return floating(DatumGetFloat8(datum));
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case JSONOID:
        case XMLOID:
            return packed(datum, SYNC_JOB_TEXT);
        case BYTEAOID:
            return packed(datum, SYNC_JOB_BYTES);
        case DATEOID:
            return date(DatumGetDateADT(datum));
        case TIMESTAMPOID:
        case TIMESTAMPTZOID:
            return timestamp(DatumGetTimestamp(datum));
        default:
            return number(0, SYNC_JOB_OTHER);
    }
}

}  // namespace

void to_native(const RowValues& row, const sync_job_columns& columns, sync_job_value* out) {
    for (std::uint64_t i = 0; i < columns.count; i++) {
        bool is_null = static_cast<int>(i) >= row.count || row.nulls[i] || columns.columns[i].name.size == 0;
        out[i] = is_null ? sync_job_value{} : to_native(row.values[i], columns.columns[i].type);
    }
}

namespace {

constexpr std::uint64_t most_bytes = 0x3fffffff - VARHDRSZ;  // MaxAllocSize

std::string_view bytes_of(const sync_job_value& value) {
    if (value.number < 0 || static_cast<std::uint64_t>(value.number) > most_bytes || (value.data == nullptr && value.number > 0)) {
        throw Error("22023", "a controller passed a value of " + std::to_string(value.number) + " bytes");
    }
    return {value.data == nullptr ? "" : value.data, static_cast<std::size_t>(value.number)};
}

Datum varlena_of(std::string_view bytes, bool is_text) {
    return guarded([&] {
        if (is_text) pg_verifymbstr(bytes.data(), static_cast<int>(bytes.size()), false);
        return PointerGetDatum(cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size())));
    });
}

const char* name_of(std::uint32_t kind) {
    constexpr const char* names[] = {"null", "a boolean", "an integer", "a floating-point number", "a text", "bytes", "a date", "a timestamp", "JSON"};
    return kind < std::size(names) ? names[kind] : "of no known kind";
}

[[noreturn]] void unsuitable(const sync_job_value& value, Oid type) {
    throw Error("42804", "a value of type " + type_name(type) + " cannot be made of one that is " + name_of(value.kind));
}

[[noreturn]] void out_of_range(const std::string& what, Oid type) {
    throw Error("22003", what + " is out of range for type " + type_name(type));
}

Datum from_integer(std::int64_t number, Oid type) {
    switch (type) {
        case INT2OID:
            if (number < PG_INT16_MIN || number > PG_INT16_MAX) out_of_range(std::to_string(number), type);
            return Int16GetDatum(static_cast<int16>(number));
        case INT4OID:
            if (number < PG_INT32_MIN || number > PG_INT32_MAX) out_of_range(std::to_string(number), type);
            return Int32GetDatum(static_cast<int32>(number));
        case INT8OID:
            return Int64GetDatum(number);
        case FLOAT8OID:
            return guarded([&] { return Float8GetDatum(static_cast<double>(number)); });
        default:
            return text_to_value(std::to_string(number), type);
    }
}

Datum from_float(double number, Oid type) {
    if (type == FLOAT8OID) return guarded([&] { return Float8GetDatum(number); });
    char printed[64];
    snprintf(printed, sizeof(printed), "%.17g", number);
    return text_to_value(std::isfinite(number) ? printed : std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity", type);
}

Datum from_date(std::int64_t days, Oid type) {
    if (days == infinite) return text_to_value("infinity", type);
    if (days == minus_infinite) return text_to_value("-infinity", type);
    if (days < -10'000'000 || days > 3'000'000'000LL) out_of_range("a date", type);
    std::int64_t since = days - days_between_epochs;
    if (since < PG_INT32_MIN || since > PG_INT32_MAX || !IS_VALID_DATE(static_cast<DateADT>(since))) out_of_range("a date", type);
    if (type == DATEOID) return DateADTGetDatum(static_cast<DateADT>(since));
    return text_to_value(value_to_text(DateADTGetDatum(static_cast<DateADT>(since)), DATEOID), type);
}

Datum from_timestamp(std::int64_t time, Oid type) {
    Timestamp since = time;
    bool finite = time != infinite && time != minus_infinite;
    if (finite && (__builtin_sub_overflow(time, microseconds_between_epochs, &since) || !IS_VALID_TIMESTAMP(since))) out_of_range("a timestamp", type);
    if (type == TIMESTAMPOID || type == TIMESTAMPTZOID) return TimestampGetDatum(since);
    return text_to_value(value_to_text(TimestampGetDatum(since), TIMESTAMPTZOID), type);
}

bool takes_text_as_it_is(Oid type) { return type == TEXTOID || type == VARCHAROID || type == BPCHAROID; }

Datum from_text(std::string_view text, Oid type) {
    if (takes_text_as_it_is(type)) return varlena_of(text, true);
    require_valid_text(text);
    return text_to_value(std::string(text), type);
}

Value from_json(std::string_view text, Oid type, std::int32_t typmod) {
    require_valid_text(text);
    return json_to_value(json_from_text(std::string(text)), type, typmod, false);
}

}  // namespace

Value from_native(const sync_job_value& value, Oid type, std::int32_t typmod) {
    auto made = [&](Datum datum) { return with_typmod({datum, false}, type, typmod); };
    switch (value.kind) {
        case SYNC_JOB_NULL:
            return {};
        case SYNC_JOB_BOOLEAN:
            if (type != BOOLOID) unsuitable(value, type);
            return {BoolGetDatum(value.number != 0), false};
        case SYNC_JOB_INTEGER:
            if (type == BOOLOID) unsuitable(value, type);
            return made(from_integer(value.number, type));
        case SYNC_JOB_FLOAT: {
            double number;
            std::memcpy(&number, &value.number, sizeof(number));
            if (type == BOOLOID) unsuitable(value, type);
            return made(from_float(number, type));
        }
        case SYNC_JOB_TEXT:
            return made(from_text(bytes_of(value), type));
        case SYNC_JOB_BYTES:
            if (type != BYTEAOID) unsuitable(value, type);
            return {varlena_of(bytes_of(value), false), false};
        case SYNC_JOB_DATE:
            return made(from_date(value.number, type));
        case SYNC_JOB_TIMESTAMP:
            return made(from_timestamp(value.number, type));
        case SYNC_JOB_JSON:
            return from_json(bytes_of(value), type, typmod);
        default:
            throw Error("22023", "a controller passed a value of the unknown kind " + std::to_string(value.kind));
    }
}

namespace {

std::uint64_t count_of(const sync_job_value& list) {
    if (list.number < 0 || static_cast<std::uint64_t>(list.number) > most_bytes / 16 || (list.data == nullptr && list.number > 0)) {
        throw Error("22023", "a controller passed a list of " + std::to_string(list.number) + " elements");
    }
    return static_cast<std::uint64_t>(list.number);
}

Value text_array(const sync_job_value& list) {
    std::vector<Value> elements;
    const auto* texts = reinterpret_cast<const sync_job_text*>(list.data);
    for (std::uint64_t i = 0, count = count_of(list); i < count; i++) {
        sync_job_value text{static_cast<std::int64_t>(texts[i].size), texts[i].data, SYNC_JOB_TEXT, 0};
        elements.push_back({varlena_of(bytes_of(text), true), false});
    }
    return {array_datum(elements, TEXTOID), false};
}

Value integer_array(const sync_job_value& list) {
    const auto* numbers = reinterpret_cast<const std::int64_t*>(list.data);
    return {int64_array_datum({numbers, numbers + count_of(list)}), false};
}

Oid parameter_type(std::uint32_t kind) {
    switch (kind) {
        case SYNC_JOB_BOOLEAN:
            return BOOLOID;
        case SYNC_JOB_INTEGER:
            return INT8OID;
        case SYNC_JOB_FLOAT:
            return FLOAT8OID;
        case SYNC_JOB_BYTES:
            return BYTEAOID;
        case SYNC_JOB_DATE:
            return DATEOID;
        case SYNC_JOB_TIMESTAMP:
            return TIMESTAMPTZOID;
        case SYNC_JOB_JSON:
            return JSONBOID;
        case SYNC_JOB_TEXTS:
            return TEXTARRAYOID;
        case SYNC_JOB_INTEGERS:
            return INT8ARRAYOID;
        default:
            return TEXTOID;
    }
}

}  // namespace

Value parameter_from_native(const sync_job_value& value, Oid* type) {
    *type = parameter_type(value.kind);
    if (value.kind == SYNC_JOB_TEXTS) return text_array(value);
    if (value.kind == SYNC_JOB_INTEGERS) return integer_array(value);
    return from_native(value, *type, -1);
}

}  // namespace sync_job::pg
