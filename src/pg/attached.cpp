#include "pg/server.hpp"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
}

#include "pg/attached.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

namespace {

// The bits of pg_trigger.tgtype for the commands that write rows.
constexpr int16 row_commands = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;

// Whether the trigger fires in an ordinary session. A trigger for the replica role does not.
bool fires(const Trigger& trigger) {
    return trigger.tgenabled == TRIGGER_FIRES_ON_ORIGIN || trigger.tgenabled == TRIGGER_FIRES_ALWAYS;
}

// The extension's own statement trigger, which notices that a restore writes with SQL. Rows written below SQL do not need it.
bool marks_restores(const Trigger& trigger) {
    return !TRIGGER_FOR_ROW(trigger.tgtype) && TRIGGER_FOR_BEFORE(trigger.tgtype) &&
           std::strcmp(trigger.tgname, "rows_restored") == 0;
}

// The name that the user knows: the triggers of a foreign key have numbers for names. Raises as the server does.
const char* name_of_trigger(const char* trigger, Oid constraint, bool internal) {
    if (!internal || !OidIsValid(constraint)) return psprintf("trigger \"%s\"", trigger);
    char* name = get_constraint_name(constraint);
    return psprintf("constraint \"%s\"", name == nullptr ? trigger : name);
}

// The first thing that would have to act on each row; null: there is none. Raises as the server does.
const char* first_attached(::Relation relation) {
    if (const TriggerDesc* triggers = relation->trigdesc) {
        for (int i = 0; i < triggers->numtriggers; i++) {
            const Trigger& trigger = triggers->triggers[i];
            if ((trigger.tgtype & row_commands) == 0 || !fires(trigger) || marks_restores(trigger)) continue;
            return name_of_trigger(trigger.tgname, trigger.tgconstraint, trigger.tgisinternal);
        }
    }
    if (relation->rd_rules != nullptr) return "a rule";
    const TupleConstr* constraints = RelationGetDescr(relation)->constr;
    if (constraints == nullptr) return nullptr;
    if (constraints->num_check > 0) return psprintf("constraint \"%s\"", constraints->check[0].ccname);
    if (constraints->has_generated_stored) return "a generated column";
    return nullptr;
}

}  // namespace

void require_nothing_attached(RelationData* relation) {
    const char* found = guarded([&] { return first_attached(relation); });
    if (found == nullptr) return;
    std::string name = relation_name(RelationGetRelid(relation));
    throw Error("55000", "cannot write to table \"" + name + "\": it has " + found)
        .detail("pg_sync_job writes the rows of this table below SQL, which would bypass it.")
        .hint("Drop it, or disable the trigger. Waiting writes then continue.");
}

std::string attached_to(Oid relation) {
    const char* found = guarded([&] {
        ::Relation opened = try_relation_open(relation, AccessShareLock);
        if (opened == nullptr) return static_cast<const char*>(nullptr);
        const char* attached = first_attached(opened);
        relation_close(opened, AccessShareLock);
        return attached;
    });
    return found == nullptr ? std::string() : std::string(found);
}

namespace {

bool owned_by_superuser(Oid function) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) return false;
    Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
    ReleaseSysCache(tuple);
    return superuser_arg(owner);
}

const char* other_word(const TriggerDesc* triggers, Oid function) {
    constexpr int16 ours = TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | row_commands;
    bool found = false;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; i++) {
        const Trigger& trigger = triggers->triggers[i];
        if (trigger.tgfoid == function) {
            found = found || (trigger.tgtype == ours && fires(trigger) &&
                              trigger.tgqual == nullptr && trigger.tgnattr == 0);
            continue;
        }
        bool changes_rows = TRIGGER_FOR_ROW(trigger.tgtype) && TRIGGER_FOR_BEFORE(trigger.tgtype);
        if (!changes_rows || trigger.tgenabled == TRIGGER_DISABLED || owned_by_superuser(trigger.tgfoid)) continue;
        return psprintf("trigger \"%s\" may change its rows after they were checked", trigger.tgname);
    }
    return found ? nullptr : "the trigger that checks its rows is missing or disabled";
}

}  // namespace

std::string other_word_on_rows(Oid relation, Oid function) {
    const char* found = guarded([&] {
        ::Relation opened = relation_open(relation, AccessShareLock);
        const char* other = other_word(opened->trigdesc, function);
        relation_close(opened, AccessShareLock);
        return other;
    });
    return found == nullptr ? std::string() : std::string(found);
}

std::string foreign_key_to(Oid relation) {
    const char* found = guarded([&] {
        const char* key = nullptr;
        ::Relation opened = relation_open(relation, AccessShareLock);
        const TriggerDesc* triggers = opened->trigdesc;
        for (int i = 0; triggers != nullptr && i < triggers->numtriggers && key == nullptr; i++) {
            const Trigger& trigger = triggers->triggers[i];
            if (RI_FKey_trigger_type(trigger.tgfoid) != RI_TRIGGER_PK) continue;
            char* name = get_constraint_name(trigger.tgconstraint);
            char* of = get_rel_name(trigger.tgconstrrelid);
            if (name != nullptr && of != nullptr) key = psprintf("foreign key \"%s\" of table \"%s\"", name, of);
        }
        relation_close(opened, AccessShareLock);
        return key;
    });
    return found == nullptr ? std::string() : std::string(found);
}

namespace {

object_access_hook_type previous_hook = nullptr;
AttachHook attach_hook = {};

// Reads with SnapshotSelf: an ordinary snapshot does not see the trigger's row yet.
NewTrigger read_trigger(Oid oid) {
    FormData_pg_trigger form;
    const char* argument = "";
    const char* name = guarded([&] {
        ::Relation catalog = table_open(TriggerRelationId, AccessShareLock);
        ScanKeyData key;
        ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
        SysScanDesc scan = systable_beginscan(catalog, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
        HeapTuple tuple = systable_getnext(scan);
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "could not find tuple for trigger %u", oid);
        std::memcpy(&form, GETSTRUCT(tuple), offsetof(FormData_pg_trigger, tgattr));
        bool none;
        Datum arguments = heap_getattr(tuple, Anum_pg_trigger_tgargs, RelationGetDescr(catalog), &none);
        if (form.tgnargs > 0 && !none) argument = VARDATA_ANY(DatumGetByteaPCopy(arguments));  // each argument ends with a zero byte
        systable_endscan(scan);
        table_close(catalog, AccessShareLock);
        return name_of_trigger(NameStr(form.tgname), form.tgconstraint, form.tgisinternal);
    });
    NewTrigger trigger;
    trigger.relation = form.tgrelid;
    trigger.function = form.tgfoid;
    trigger.name = name;
    trigger.of_constraint = form.tgisinternal;
    trigger.of_truncate = (form.tgtype & row_commands) == 0;
    trigger.deferrable = form.tgdeferrable;
    trigger.argument = argument;
    return trigger;
}

void on_access(ObjectAccessType access, Oid catalog, Oid object, int part, void* argument) {
    if (previous_hook != nullptr) previous_hook(access, catalog, object, part, argument);
    bool trigger = access == OAT_POST_CREATE && catalog == TriggerRelationId;
    bool truncate = access == OAT_TRUNCATE && catalog == RelationRelationId;
    if ((!trigger && !truncate) || creating_extension || IsBinaryUpgrade) return;
    boundary([&] {
        if (trigger) {
            attach_hook.trigger(read_trigger(object));
        } else {
            attach_hook.truncate(object);
        }
    });
}

}  // namespace

void on_attach(AttachHook hook) {
    attach_hook = hook;
    previous_hook = object_access_hook;
    object_access_hook = on_access;
}

}  // namespace sync_job::pg
