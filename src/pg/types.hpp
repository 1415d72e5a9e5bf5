// Names of the server's types that cross the seam, without the server's headers.
#pragma once

#include <cstdint>

using Datum = std::uintptr_t;
using Oid = unsigned int;

struct FunctionCallInfoBaseData;
struct MemoryContextData;
struct TupleDescData;
struct HeapTupleData;
struct RelationData;

#define SYNC_JOB_EXPORT __attribute__((visibility("default")))

namespace sync_job::pg {

constexpr Oid no_oid = 0;

// Microseconds since 2000-01-01 UTC, as PostgreSQL's timestamptz.
using Timestamp = std::int64_t;

// The physical place of a row version: block and offset.
struct RowPlace {
    std::uint32_t block = 0xFFFFFFFF;
    std::uint16_t offset = 0;
};

// OIDs of built-in types (fixed for ever in pg_type.dat).
namespace type {
constexpr Oid boolean = 16;
constexpr Oid int8 = 20;
constexpr Oid int4 = 23;
constexpr Oid text = 25;
constexpr Oid oid = 26;
constexpr Oid tid = 27;
constexpr Oid json = 114;
constexpr Oid timestamptz = 1184;
constexpr Oid numeric = 1700;
constexpr Oid interval = 1186;
constexpr Oid regclass = 2205;
constexpr Oid record = 2249;
constexpr Oid uuid = 2950;
constexpr Oid jsonb = 3802;
constexpr Oid regrole = 4096;
constexpr Oid text_array = 1009;
constexpr Oid int8_array = 1016;
constexpr Oid timestamptz_array = 1185;
}  // namespace type

}  // namespace sync_job::pg
