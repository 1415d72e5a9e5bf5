#include "pg/server.hpp"

extern "C" {
#include "storage/bufmgr.h"
}

extern "C" {
#include "catalog/pg_am_d.h"
#include "utils/rls.h"
}

#include "pg/catalog.hpp"
#include "pg/citus.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

bool relation_exists(Oid relation) {
    return guarded([&] { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); });
}

std::string relation_name(Oid relation) {
    const char* name = guarded([&] { return get_rel_name(relation); });
    if (name == nullptr) return std::to_string(relation);
    std::string schema = schema_name(guarded([&] { return get_rel_namespace(relation); }));
    return schema == "public" ? std::string(name) : schema + "." + name;
}

std::string quoted_relation_name(Oid relation) {
    const char* name = guarded([&] { return get_rel_name(relation); });
    if (name == nullptr) return std::to_string(relation);
    std::string schema = schema_name(guarded([&] { return get_rel_namespace(relation); }));
    return quoted_identifier(schema) + "." + quoted_identifier(name);
}

std::string relation_schema(Oid relation) {
    return schema_name(guarded([&] { return get_rel_namespace(relation); }));
}

namespace {

// The size of this table alone; -1: somebody holds an exclusive lock on it.
std::int64_t own_pages(Oid relation) {
    if (!ConditionalLockRelationOid(relation, AccessShareLock)) return -1;
    ::Relation table = try_relation_open(relation, NoLock);
    if (table == nullptr) return 0;
    std::int64_t pages = table->rd_rel->relkind == RELKIND_RELATION ? RelationGetNumberOfBlocks(table) : 0;
    relation_close(table, AccessShareLock);
    return pages;
}

}  // namespace

std::optional<std::int64_t> relation_pages(Oid relation) {
    if (auto distributed = citus::distributed_table(relation)) {
        std::int64_t sum = 0;
        for (const auto& shard : distributed->shards) {
            std::int64_t part = shard.table == no_oid ? 0 : guarded([&] { return own_pages(shard.table); });
            if (part < 0) return std::nullopt;
            sum += part;
        }
        return sum;
    }
    std::int64_t pages = guarded([&] {
        std::int64_t sum = own_pages(relation);
        if (sum < 0 || get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE) return sum;
        ListCell* cell;
        foreach (cell, find_all_inheritors(relation, NoLock, nullptr)) {
            std::int64_t part = own_pages(lfirst_oid(cell));
            if (part < 0) return part;
            sum += part;
        }
        return sum;
    });
    if (pages < 0) return std::nullopt;
    return pages;
}

Oid relation_owner(Oid relation) {
    return guarded([&] {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
        if (!HeapTupleIsValid(tuple)) return InvalidOid;
        Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

bool is_partition_of(Oid relation, Oid ancestor) {
    return guarded([&] {
        return get_rel_relispartition(relation) && list_member_oid(get_partition_ancestors(relation), ancestor);
    });
}

std::vector<Oid> descendants(Oid relation) {
    List* list = guarded([&] {
        return has_subclass(relation) ? find_all_inheritors(relation, NoLock, nullptr) : NIL;
    });
    std::vector<Oid> found;
    ListCell* cell;
    foreach (cell, list) {
        if (lfirst_oid(cell) != relation) found.push_back(lfirst_oid(cell));
    }
    return found;
}

Oid row_type_of(Oid relation) {
    return guarded([&] { return get_rel_type_id(relation); });
}

Oid relation_of_row_type(Oid type) {
    return guarded([&] { return get_typ_typrelid(type); });
}

bool is_composite(Oid type) {
    return guarded([&] { return type_is_rowtype(type); });
}

namespace {

// Whether the index serves a look-up by these columns. A unique one must be checked immediately, and must compare with the collations of
// the columns.
bool serves(::Relation relation, ::Relation table, const std::vector<int>& columns, bool unique) {
    const FormData_pg_index* index = relation->rd_index;
    auto wanted = [&](int column) {
        for (int candidate : columns) {
            if (candidate == column) return true;
        }
        return false;
    };
    if (!index->indisvalid || (unique && (!index->indisunique || !index->indimmediate))) return false;
    int count = unique ? index->indnkeyatts : 1;
    for (int i = 0; i < count; i++) {
        int column = index->indkey.values[i];
        if (!wanted(column)) return false;
        if (unique && relation->rd_indcollation[i] != TupleDescAttr(RelationGetDescr(table), column - 1)->attcollation) return false;
    }
    return true;
}

}  // namespace

bool has_index_for(Oid relation, const std::vector<int>& columns, bool unique) {
    return guarded([&] {
        ::Relation table = relation_open(relation, AccessShareLock);
        List* indexes = table->rd_rel->relhasindex ? RelationGetIndexList(table) : NIL;
        bool found = false;
        ListCell* cell;
        foreach (cell, indexes) {
            ::Relation index = index_open(lfirst_oid(cell), AccessShareLock);
            bool partial = !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
            bool equality = index->rd_rel->relam == BTREE_AM_OID || index->rd_rel->relam == HASH_AM_OID;
            found = found || (equality && !partial && serves(index, table, columns, unique));
            index_close(index, AccessShareLock);
        }
        relation_close(table, AccessShareLock);
        return found;
    });
}

bool row_security_applies(Oid relation, Oid role) {
    return guarded([&] { return check_enable_rls(relation, role, true) == RLS_ENABLED; });
}

Oid schema_oid(const std::string& name) {
    return guarded([&] { return get_namespace_oid(name.c_str(), true); });
}

std::string schema_name(Oid schema) {
    const char* name = guarded([&] { return get_namespace_name(schema); });
    return name == nullptr ? std::to_string(schema) : std::string(name);
}

Oid schema_owner(Oid schema) {
    return guarded([&] {
        HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
        if (!HeapTupleIsValid(tuple)) return InvalidOid;
        Oid owner = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

Oid relation_oid(Oid schema, const std::string& name) {
    return guarded([&] { return get_relname_relid(name.c_str(), schema); });
}

Oid type_oid(Oid schema, const std::string& name) {
    return guarded([&] {
        return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name.c_str()), ObjectIdGetDatum(schema));
    });
}

std::string quoted_identifier(const std::string& name) {
    const char* quoted = guarded([&] { return quote_identifier(name.c_str()); });
    return quoted;
}

std::string quoted_literal(const std::string& text) {
    const char* quoted = guarded([&] { return quote_literal_cstr(text.c_str()); });
    return quoted;
}

bool may_execute(Oid role, Oid function) {
    return guarded([&] {
#if PG_VERSION_NUM >= 160000
        return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
        return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
    });
}

bool may_select(Oid role, Oid relation) {
    return guarded([&] { return pg_class_aclcheck(relation, role, ACL_SELECT) == ACLCHECK_OK; });
}

bool may_select_all(Oid role, Oid relation) {
    return guarded([&] {
        return pg_class_aclcheck(relation, role, ACL_SELECT) == ACLCHECK_OK &&
               check_enable_rls(relation, role, true) != RLS_ENABLED;
    });
}

bool may_use_schema(Oid role, Oid schema) {
    return guarded([&] {
#if PG_VERSION_NUM >= 160000
        return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
        return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
    });
}

std::optional<ExtensionInfo> find_extension(const char* name) {
    ExtensionInfo info;
    const char* version = nullptr;
    bool found = guarded([&] {
        ::Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
        ScanKeyData key;
        ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(name));
        SysScanDesc scan = systable_beginscan(catalog, ExtensionNameIndexId, true, nullptr, 1, &key);
        HeapTuple tuple = systable_getnext(scan);
        if (HeapTupleIsValid(tuple)) {
            auto* form = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple));
            info.oid = form->oid;
            info.schema = form->extnamespace;
            info.owner = form->extowner;
            bool is_null;
            Datum datum = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &is_null);
            version = is_null ? "" : TextDatumGetCString(datum);
        }
        systable_endscan(scan);
        table_close(catalog, AccessShareLock);
        return version != nullptr;
    });
    if (!found) return std::nullopt;
    info.version = version;
    return info;
}

bool belongs_to_extension(Oid relation, Oid extension) {
    return guarded([&] { return getExtensionOfObject(RelationRelationId, relation) == extension; });
}

bool lock_extension(Oid extension) {
    return guarded([&] {
        LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
        return get_extension_name(extension) != nullptr;
    });
}

namespace {

void (*relation_callback)(Oid) = nullptr;
void (*function_callback)() = nullptr;

std::uint64_t changes = 0;

void at_relation_change(Datum, Oid relation) {
    changes++;
    relation_callback(relation);
}

#if PG_VERSION_NUM >= 190000
using CacheId = SysCacheIdentifier;
#else
using CacheId = int;
#endif

void at_function_change(Datum, CacheId, uint32) {
    changes++;
    function_callback();
}

}  // namespace

std::uint64_t definition_changes() { return changes; }

void on_relation_change(void (*callback)(Oid)) {
    relation_callback = callback;
    CacheRegisterRelcacheCallback(at_relation_change, 0);
}

void on_function_change(void (*callback)()) {
    function_callback = callback;
    for (CacheId cache : {PROCOID, NAMESPACEOID, AUTHOID, AUTHMEMROLEMEM, DATABASEOID}) {
        CacheRegisterSyscacheCallback(cache, at_function_change, 0);
    }
}

void invalidate_relation(Oid relation) {
    guarded([&] { CacheInvalidateRelcacheByRelid(relation); });
}

}  // namespace sync_job::pg
