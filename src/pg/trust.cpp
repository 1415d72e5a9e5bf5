#include "pg/server.hpp"

extern "C" {
#include "catalog/pg_auth_members.h"
#include "catalog/pg_range.h"
#include "utils/acl.h"
}

#include <set>
#include <string>
#include <vector>

#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/trust.hpp"

namespace sync_job::pg {

bool trusted_by(Oid owner, Oid user) {
    return owner == user || is_superuser(owner) || (role_exists(owner) && may_set_role(owner, user));
}

namespace {

struct TypeFacts {
    char kind;  // typtype
    Oid owner, base, element;
};

TypeFacts facts_of(Oid type) {
    return guarded([&] {
        HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", type);
        auto* form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
        Oid element = IsTrueArrayType(form) ? form->typelem : InvalidOid;
        TypeFacts facts{form->typtype, form->typowner, form->typbasetype, element};
        ReleaseSysCache(tuple);
        return facts;
    });
}

struct RangeFacts {
    Oid range, subtype;
    bool canonical;
};

RangeFacts range_facts(Oid type, bool multirange) {
    return guarded([&] {
        RangeFacts facts{multirange ? get_multirange_range(type) : type, InvalidOid, false};
        HeapTuple tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(facts.range));
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for range type %u", facts.range);
        auto* form = reinterpret_cast<Form_pg_range>(GETSTRUCT(tuple));
        facts.subtype = form->rngsubtype;
        facts.canonical = OidIsValid(form->rngcanonical);
        ReleaseSysCache(tuple);
        return facts;
    });
}

std::vector<Oid> column_types(Oid composite) {
    Oid* types = nullptr;
    int count = guarded([&] {
        TupleDesc descriptor = lookup_rowtype_tupdesc(composite, -1);
        types = static_cast<Oid*>(palloc(descriptor->natts * sizeof(Oid) + 1));
        int found = 0;
        for (int i = 0; i < descriptor->natts; i++) {
            if (!TupleDescAttr(descriptor, i)->attisdropped) types[found++] = TupleDescAttr(descriptor, i)->atttypid;
        }
        ReleaseTupleDesc(descriptor);
        return found;
    });
    return {types, types + count};
}

bool has_constraints(Oid domain) {
#if PG_VERSION_NUM >= 190000
    return guarded([&] { return DomainHasConstraints(domain, nullptr); });
#else
    return guarded([&] { return DomainHasConstraints(domain); });
#endif
}

void collect(Oid type, bool in_range, InputCode& code) {  // the server refuses types that contain themselves
    TypeFacts facts = facts_of(type);
    if (facts.element != no_oid) return collect(facts.element, in_range, code);
    switch (facts.kind) {
        case TYPTYPE_DOMAIN:
            if (!in_range) code.domains = true;
            if (in_range && has_constraints(type)) code.of_ranges.push_back(facts.owner);
            return collect(facts.base, in_range, code);
        case TYPTYPE_COMPOSITE:
            for (Oid column : column_types(type)) collect(column, in_range, code);
            return;
        case TYPTYPE_RANGE:
        case TYPTYPE_MULTIRANGE: {
            RangeFacts range = range_facts(type, facts.kind == TYPTYPE_MULTIRANGE);
            if (range.canonical) code.of_ranges.push_back(facts_of(range.range).owner);
            return collect(range.subtype, true, code);
        }
        default:
            return;
    }
}

}  // namespace

InputCode input_code(Oid type) {
    InputCode code;
    collect(type, false, code);
    return code;
}

TypeInputScope::TypeInputScope(const std::vector<Oid>& owners) {
    std::set<Oid> untrusted;
    Oid user = current_user();
    for (Oid owner : owners) {
        if (!trusted_by(owner, user)) untrusted.insert(owner);
    }
    if (untrusted.empty()) return;
    if (untrusted.size() > 1) {
        throw Error("42501", "cannot read a range with the privileges of role \"" + role_name(user) + "\"")
            .detail("Its domains and canonical functions belong to roles \"" + role_name(*untrusted.begin()) + "\" and \"" +
                    role_name(*untrusted.rbegin()) + "\", which cannot SET ROLE to that role.")
            .hint("Make one role the owner of all domains and ranges in the type.");
    }
    owner_ = std::make_unique<OwnerScope>(*untrusted.begin(), OwnerScope::For::code_of_owner);
}

namespace {

// The direct members of `role` that may use its privileges, by inheritance or SET ROLE.
std::vector<Oid> members_of(Oid role) {
    CatCList* list = guarded([&] { return SearchSysCacheList1(AUTHMEMROLEMEM, ObjectIdGetDatum(role)); });
    std::vector<Oid> members;
    for (int i = 0; i < list->n_members; i++) {
        auto* form = reinterpret_cast<Form_pg_auth_members>(GETSTRUCT(&list->members[i]->tuple));
#if PG_VERSION_NUM >= 160000
        if (!form->inherit_option && !form->set_option) continue;
#endif
        members.push_back(form->member);
    }
    guarded([&] { ReleaseSysCacheList(list); });
    return members;
}

Oid database_owner() {
    return guarded([&] {
        HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
        Oid owner = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datdba;
        ReleaseSysCache(tuple);
        return owner;
    });
}

// The owner, and those to whom CREATE was granted; no_oid: PUBLIC.
std::vector<Oid> creators(Oid schema) {
    Oid owner = schema_owner(schema);
    AclItem* items = nullptr;
    int count = guarded([&] {
        HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
        if (!HeapTupleIsValid(tuple)) return 0;
        bool is_null;
        Datum datum = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &is_null);
        Acl* acl = is_null ? nullptr : DatumGetAclPCopy(datum);
        ReleaseSysCache(tuple);
        if (acl == nullptr) return 0;
        items = ACL_DAT(acl);
        return ACL_NUM(acl);
    });
    std::vector<Oid> roles{owner};
    for (int i = 0; i < count; i++) {
        if ((ACLITEM_GET_PRIVS(items[i]) & ACL_CREATE) != 0) roles.push_back(items[i].ai_grantee);
    }
    return roles;
}

}  // namespace

std::optional<Oid> untrusted_creator(Oid schema, Oid user) {
    std::vector<Oid> open = creators(schema);
    std::set<Oid> seen;
    bool for_superuser = is_superuser(user);
    while (!open.empty()) {
        Oid role = open.back();
        open.pop_back();
        if (!seen.insert(role).second) continue;
        if (role == ACL_ID_PUBLIC) return no_oid;
        if (role == ROLE_PG_DATABASE_OWNER) {
            open.push_back(database_owner());
            continue;
        }
        if (!role_exists(role) || trusted_by(role, user)) continue;
        if (for_superuser) return role;
        if (role == database_owner()) continue;
        if (role_can_log_in(role)) return role;
        for (Oid member : members_of(role)) open.push_back(member);
    }
    return std::nullopt;
}

}  // namespace sync_job::pg
