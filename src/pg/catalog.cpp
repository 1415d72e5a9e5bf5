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

const Column* RelationInfo::column(const std::string& column_name) const {
    for (const Column& column : columns) {
        if (!column.dropped && column.name == column_name) return &column;
    }
    return nullptr;
}

RelationInfo::~RelationInfo() {
    if (memory != nullptr) MemoryContextDelete(memory);
}

namespace {

// Also empty when SQL that names it would find another operator, because of casts that the type's owner has defined.
std::string operator_text(Oid operator_oid, Oid type) {
    if (!OidIsValid(operator_oid)) return {};
    const char* text = guarded([&] {
        HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator %u", operator_oid);
        auto* form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
        char* schema = get_namespace_name(form->oprnamespace);
        char* symbol = pstrdup(NameStr(form->oprname));
        bool exact = form->oprleft == type && form->oprright == type;  // which no cast comes before
        ReleaseSysCache(tuple);
        if (exact) return psprintf("OPERATOR(%s.%s)", quote_identifier(schema), symbol);
        Operator found = oper(nullptr, list_make2(makeString(schema), makeString(symbol)), type, type, true, -1);
        bool same = found != nullptr && oprid(found) == operator_oid;
        if (found != nullptr) ReleaseSysCache(found);
        return same ? psprintf("OPERATOR(%s.%s)", quote_identifier(schema), symbol) : nullptr;
    });
    return text == nullptr ? std::string() : std::string(text);
}

// Types of the server whose own = is that of their default ordering. To look it up takes long for the first column of each type in a
// session, and a type of jobs has fifty columns.
bool has_known_equality(Oid type) {
    switch (type) {
        case BOOLOID:
        case BYTEAOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case FLOAT4OID:
        case FLOAT8OID:
        case NUMERICOID:
        case TEXTOID:
        case BPCHAROID:
        case NAMEOID:
        case OIDOID:
        case DATEOID:
        case TIMEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID:
        case INTERVALOID:
        case UUIDOID:
        case JSONBOID:
            return true;
        default:
            return false;
    }
}

std::string equality_of(Oid type) {
    if (has_known_equality(type)) return "OPERATOR(pg_catalog.=)";
    return operator_text(guarded([&] { return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr; }), type);
}

// Takes a copy: looking things up may rebuild the relation's own descriptor.
Column read_column(const FormData_pg_attribute attribute) {
    Column column;
    column.name = NameStr(attribute.attname);
    column.number = attribute.attnum;
    column.dropped = attribute.attisdropped;
    if (column.dropped) return column;
    column.type = attribute.atttypid;
    column.typmod = attribute.atttypmod;
    column.collation = attribute.attcollation;
    column.length = attribute.attlen;
    column.by_value = attribute.attbyval;
    column.generated = attribute.attgenerated != '\0';
    column.always_identity = attribute.attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
    column.not_null = attribute.attnotnull;
    column.filled_by_default = attribute.atthasdef || attribute.attidentity != '\0';
    Oid base = base_type(column.type);
    column.equality = equality_of(base);
    if (base != column.type) {
        const char* name = guarded([&] { return format_type_extended(base, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY); });
        column.base_cast = std::string("::") + name;
    }
    return column;
}

}  // namespace

namespace {

// A row of one can be read as a row of the other, even after columns have been added, dropped or renamed.
bool same_storage(TupleDesc now, TupleDesc then) {
    if (now->natts < then->natts) return false;
    for (int i = 0; i < then->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(now, i), b = TupleDescAttr(then, i);
        bool same_type = a->atttypid == b->atttypid || a->attisdropped;
        if (!same_type || a->attlen != b->attlen || a->attbyval != b->attbyval || a->attalign != b->attalign) return false;
    }
    return true;
}

}  // namespace

void require_current(const RelationInfo& relation) {
    if (!relation_exists(relation.oid)) {
        throw Error("42P01", "relation \"" + relation.schema + "." + relation.name + "\" does not exist");
    }
    std::uint64_t version = guarded([&] { return assign_record_type_identifier(relation.row_type, -1); });
    if (version == relation.row_version) return;
    bool same = guarded([&] {
        TupleDesc now = lookup_rowtype_tupdesc(relation.row_type, -1);
        bool equal = same_storage(now, relation.descriptor);
        ReleaseTupleDesc(now);
        return equal;
    });
    if (!same) {
        throw Error("40001", "a column of \"" + relation.name + "\" changed type while a row of it was in use");
    }
    relation.row_version = version;
}

std::unique_ptr<RelationInfo> read_relation(Oid oid) {
    ::Relation opened = guarded([&] { return try_relation_open(oid, AccessShareLock); });
    if (opened == nullptr) return nullptr;
    auto info = std::make_unique<RelationInfo>();
    // On an error the relation's reference is released with the (sub)transaction that the caller has to end.
    info->oid = oid;
    info->row_type = opened->rd_rel->reltype;
    info->owner = opened->rd_rel->relowner;
    info->name = RelationGetRelationName(opened);
    info->kind = opened->rd_rel->relkind;
    info->temporary = opened->rd_rel->relpersistence == RELPERSISTENCE_TEMP;
    info->schema = schema_name(opened->rd_rel->relnamespace);
    info->quoted = quoted_identifier(info->schema) + "." + quoted_identifier(info->name);
    info->memory = guarded(
        [] { return AllocSetContextCreate(CacheMemoryContext, "sync job document type", ALLOCSET_SMALL_SIZES); });
    guarded([&] {
        MemoryContext previous = MemoryContextSwitchTo(info->memory);
        info->descriptor = CreateTupleDescCopy(RelationGetDescr(opened));
        MemoryContextSwitchTo(previous);
    });
    for (int i = 0; i < info->descriptor->natts; i++) {
        info->columns.push_back(read_column(*TupleDescAttr(RelationGetDescr(opened), i)));
    }
    if (OidIsValid(info->row_type)) {
        info->row_version = guarded([&] { return assign_record_type_identifier(info->row_type, -1); });
    }
    info->alias = "t";
    while (info->column(info->alias) != nullptr) info->alias += '_';
    guarded([&] {  // not rd_pkindex, which leaves out a deferrable one
        ListCell* cell;
        foreach (cell, RelationGetIndexList(opened)) {
            Oid index = lfirst_oid(cell);
            HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
            if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for index %u", index);
            auto* form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
            if (form->indisprimary && form->indisvalid) {
                for (int i = 0; i < form->indnkeyatts; i++) info->primary_key.push_back(form->indkey.values[i]);
            }
            ReleaseSysCache(tuple);
        }
    });
    guarded([&] { relation_close(opened, NoLock); });
    return info;
}

std::vector<Column> table_columns(Oid oid) {
    std::vector<Column> columns;
    ::Relation opened = guarded([&] { return try_relation_open(oid, AccessShareLock); });
    if (opened == nullptr) return columns;
    TupleDesc descriptor = RelationGetDescr(opened);
    for (int i = 0; i < descriptor->natts; i++) {
        const FormData_pg_attribute& attribute = *TupleDescAttr(descriptor, i);
        Column& column = columns.emplace_back();
        column.name = NameStr(attribute.attname);
        column.type = attribute.atttypid;
        column.dropped = attribute.attisdropped;
    }
    guarded([&] { relation_close(opened, NoLock); });
    return columns;
}

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

// Of a table alone; -1: somebody has it for himself.
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

// A unique one keeps values apart at once, and tells them apart as their columns do.
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

namespace {

void read_arguments(FunctionInfo& info, HeapTuple tuple) {
    Oid* types = nullptr;
    char** names = nullptr;
    char* modes = nullptr;
    int count = guarded([&] { return get_func_arg_info(tuple, &types, &names, &modes); });
    for (int i = 0; i < count; i++) {
        char mode = modes == nullptr ? static_cast<char>(FUNC_PARAM_IN) : modes[i];
        bool passed = mode == FUNC_PARAM_IN || mode == FUNC_PARAM_INOUT || mode == FUNC_PARAM_VARIADIC ||
                      (mode == FUNC_PARAM_OUT && info.kind == PROKIND_PROCEDURE);
        if (!passed) continue;
        info.argument_types.push_back(types[i]);
        info.argument_modes.push_back(mode);
        info.argument_names.emplace_back(names != nullptr && names[i] != nullptr ? names[i] : "");
    }
}

FunctionInfo read_function(HeapTuple tuple, const std::string& schema) {
    auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    FunctionInfo info;
    info.oid = form->oid;
    info.owner = form->proowner;
    info.schema = schema;
    info.name = NameStr(form->proname);
    info.kind = form->prokind;
    info.returns_set = form->proretset;
    info.strict = form->proisstrict;
    info.result_type = form->prorettype;
    info.default_count = form->pronargdefaults;
    read_arguments(info, tuple);
    const char* signature = guarded([&] { return format_procedure(form->oid); });
    info.signature = signature;
    return info;
}

}  // namespace

std::vector<FunctionInfo> functions_named(Oid schema, const std::string& name) {
    std::string schema_text = schema_name(schema);
    std::vector<Oid> oids;
    CatCList* list = guarded([&] { return SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name.c_str())); });
    for (int i = 0; i < list->n_members; i++) {
        auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple));
        if (form->pronamespace == schema) oids.push_back(form->oid);
    }
    guarded([&] { ReleaseSysCacheList(list); });
    std::vector<FunctionInfo> found;
    for (Oid oid : oids) {
        HeapTuple tuple = guarded([&] { return SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(oid)); });
        if (HeapTupleIsValid(tuple)) found.push_back(read_function(tuple, schema_text));
    }
    return found;
}

namespace {

List* name_list(const char* text) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(text, nullptr);
#else
    return stringToQualifiedNameList(text);
#endif
}

}  // namespace

std::pair<Oid, std::string> find_function_name(const std::string& text) {
    Oid schema = no_oid;
    const char* name = nullptr;
    guarded([&] {
        char* schema_name = nullptr;
        char* function_name = nullptr;
        DeconstructQualifiedName(name_list(text.c_str()), &schema_name, &function_name);
        name = function_name;
        if (schema_name != nullptr) {
            schema = LookupExplicitNamespace(schema_name, false);
            return;
        }
        ListCell* cell;
        foreach (cell, fetch_search_path(true)) {
            CatCList* list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(function_name));
            for (int i = 0; i < list->n_members && schema == InvalidOid; i++) {
                auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple));
                if (form->pronamespace == lfirst_oid(cell)) schema = form->pronamespace;
            }
            ReleaseSysCacheList(list);
            if (schema != InvalidOid) break;
        }
    });
    if (schema == no_oid) throw Error("42883", "procedure \"" + text + "\" does not exist");
    return {schema, name};
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
