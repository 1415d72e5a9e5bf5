// The part of catalog.hpp that describes a relation: its columns, its key, its row type.
#include "pg/server.hpp"

#include "pg/catalog.hpp"
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

// Also empty if SQL that names the operator would find another one, because of casts that the type's owner has defined.
std::string operator_text(Oid operator_oid, Oid type) {
    if (!OidIsValid(operator_oid)) return {};
    const char* text = guarded([&] {
        HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator %u", operator_oid);
        auto* form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
        char* schema = get_namespace_name(form->oprnamespace);
        char* symbol = pstrdup(NameStr(form->oprname));
        bool exact = form->oprleft == type && form->oprright == type;  // no cast takes precedence over this
        ReleaseSysCache(tuple);
        if (exact) return psprintf("OPERATOR(%s.%s)", quote_identifier(schema), symbol);
        Operator found = oper(nullptr, list_make2(makeString(schema), makeString(symbol)), type, type, true, -1);
        bool same = found != nullptr && oprid(found) == operator_oid;
        if (found != nullptr) ReleaseSysCache(found);
        return same ? psprintf("OPERATOR(%s.%s)", quote_identifier(schema), symbol) : nullptr;
    });
    return text == nullptr ? std::string() : std::string(text);
}

// Built-in types whose = operator in pg_catalog is that of their default ordering. The look-up takes long for the first column of each type
// in a session, and sync_job_type has fifty columns.
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

// Whether a row of one type can be read as a row of the other, even after columns have been added, dropped or renamed.
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
    // On an error, the reference to the relation is released with the (sub)transaction, which the caller has to end.
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
    guarded([&] {  // not rd_pkindex, which leaves out a deferrable primary key
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

}  // namespace sync_job::pg
