// Look-ups in PostgreSQL's catalogs: relations and their columns and keys, functions, schemas.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/types.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

struct Column {
    std::string name;
    int number = 0;  // attnum, from 1
    Oid type = no_oid;
    std::int32_t typmod = -1;
    Oid collation = no_oid;
    std::int16_t length = 0;
    bool by_value = false;
    bool dropped = false;
    bool generated = false;          // GENERATED ALWAYS AS (…) STORED
    bool not_null = false;
    bool filled_by_default = false;  // has a default, or is an identity column
    bool always_identity = false;    // GENERATED ALWAYS AS IDENTITY: an UPDATE cannot even set it to itself
    std::string equality;            // "OPERATOR(schema.=)" of the type's default ordering; empty if it has none
    std::string base_cast;           // "::schema.type" for a domain: anybody may have defined an operator on the domain itself
};

// What the engine needs to know of a relation. A copy of catalog contents, valid until a relcache invalidation of `oid`.
struct RelationInfo {
    Oid oid = no_oid;
    Oid row_type = no_oid;
    Oid owner = no_oid;
    std::string schema, name;
    std::string quoted;  // schema.name, each quoted as needed
    std::string alias;   // for statements: it means the whole row, because no column has this name
    char kind = 0;       // pg_class.relkind
    bool temporary = false;
    std::vector<Column> columns;   // all, including dropped ones: index = attnum - 1
    std::vector<int> primary_key;  // attnums in key order
    const Column* column(const std::string& column_name) const;
    TupleDescData* descriptor = nullptr;  // owned by `memory`
    // The version of the row type that the descriptor describes; see require_current().
    mutable std::uint64_t row_version = 0;
    MemoryContextData* memory = nullptr;
    ~RelationInfo();
    RelationInfo() = default;
    RelationInfo(const RelationInfo&) = delete;
    RelationInfo& operator=(const RelationInfo&) = delete;
};

// Raises 40001 if the type of a column is no longer the one in the description: rows would be misread. A controller may change its table in
// the middle of an attempt.
void require_current(const RelationInfo& relation);

// Reads a relation's description; null if there is no such relation.
std::unique_ptr<RelationInfo> read_relation(Oid relation);
// All columns in order, but only with name, type and `dropped`. Empty if there is no such relation.
std::vector<Column> table_columns(Oid relation);

bool relation_exists(Oid relation);
std::string relation_name(Oid relation);         // "customer"; "erp.customer" if it is not in schema `public`
std::string quoted_relation_name(Oid relation);  // fully qualified
std::string relation_schema(Oid relation);
// The size of a table in pages; for a partitioned table, that of its partitions; 0 if it has no storage or is gone. Does not wait: nothing
// if somebody holds an exclusive lock on it.
std::optional<std::int64_t> relation_pages(Oid relation);
Oid relation_owner(Oid relation);
bool is_partition_of(Oid relation, Oid ancestor);  // at any depth
Oid row_type_of(Oid relation);                     // the composite type
Oid relation_of_row_type(Oid type);                // no_oid if the type is not the row type of a relation
bool is_composite(Oid type);

// Whether the relation has an index that serves an equality look-up by these columns: its first column is one of them. `unique`: a unique
// index, all of whose columns are among them.
bool has_index_for(Oid relation, const std::vector<int>& columns, bool unique);

// Whether policies restrict what the role sees and writes; no_oid: the current user.
bool row_security_applies(Oid relation, Oid role = no_oid);
// Its partitions and children, at any depth.
std::vector<Oid> descendants(Oid relation);

Oid schema_oid(const std::string& name);  // no_oid if there is none
std::string schema_name(Oid schema);
Oid schema_owner(Oid schema);
Oid relation_oid(Oid schema, const std::string& name);
Oid type_oid(Oid schema, const std::string& name);
std::string quoted_identifier(const std::string& name);
std::string quoted_literal(const std::string& text);

// A function or procedure, as found in pg_proc.
struct FunctionInfo {
    Oid oid = no_oid;
    Oid owner = no_oid;
    std::string schema, name;
    char kind = 'f';  // 'f' function, 'p' procedure
    bool returns_set = false;
    bool strict = false;
    Oid result_type = no_oid;
    std::vector<Oid> argument_types;  // those that a call passes: IN and INOUT; for a procedure, also OUT
    std::string argument_modes;       // one letter each: i, b (INOUT), o, v
    std::vector<std::string> argument_names;  // empty for unnamed ones
    int default_count = 0;                    // how many input arguments, at the end, have a default
    std::string signature;                    // name(argument types)
};

std::vector<FunctionInfo> functions_named(Oid schema, const std::string& name);
// Looks up a function name, given as SQL text with or without a schema. Returns its schema and plain name. Raises 42883 if no function of
// that name is in the search path, 42601 if the text is not a name.
std::pair<Oid, std::string> find_function_name(const std::string& text);

bool may_execute(Oid role, Oid function);
// Has SELECT on the whole relation.
bool may_select(Oid role, Oid relation);
// The same, and no row-level security applies to the role.
bool may_select_all(Oid role, Oid relation);
bool may_use_schema(Oid role, Oid schema);

// --- The extension itself ---
struct ExtensionInfo {
    Oid oid = no_oid;
    Oid schema = no_oid;
    Oid owner = no_oid;
    std::string version;
};
std::optional<ExtensionInfo> find_extension(const char* name);
bool belongs_to_extension(Oid relation, Oid extension);
// Blocks DROP EXTENSION until the transaction ends; waits for one in progress. False if the extension is gone after that.
bool lock_extension(Oid extension);

// --- Invalidation ---
// `callback` is called with a relation's OID when its definition changes, with no_oid when any may have changed.
void on_relation_change(void (*callback)(Oid relation));
// Called when any function, schema, role or membership changes.
void on_function_change(void (*callback)());
// How many invalidations of relations and functions this process has received. Not all of them mean a change: a table may have been
// analyzed, or be temporary.
std::uint64_t definition_changes();
// Tells every backend, at commit, that what it has cached about the relation is stale.
void invalidate_relation(Oid relation);

}  // namespace sync_job::pg
