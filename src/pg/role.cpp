#include "pg/server.hpp"

#include "pg/error.hpp"
#include "pg/role.hpp"

namespace sync_job::pg {

const bool workers_need_login = PG_VERSION_NUM < 170000;

Oid current_user() { return GetUserId(); }
Oid session_user() { return GetSessionUserId(); }
Oid outer_user() { return GetOuterUserId(); }

bool is_superuser(Oid role) {
    return guarded([&] { return superuser_arg(role); });
}

bool has_rights_of(Oid member, Oid role) {
    return guarded([&] { return has_privs_of_role(member, role); });
}

bool may_set_role(Oid member, Oid role) {
#if PG_VERSION_NUM >= 160000
    return guarded([&] { return member_can_set_role(member, role); });
#else
    return guarded([&] { return is_member_of_role(member, role); });
#endif
}

bool role_exists(Oid role) {
    return guarded([&] { return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)); });
}

bool role_can_log_in(Oid role) {
    return guarded([&] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
        if (!HeapTupleIsValid(tuple)) return false;
        bool result = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcanlogin;
        ReleaseSysCache(tuple);
        return result;
    });
}

bool role_can_connect(Oid role) {
    return guarded([&] {
#if PG_VERSION_NUM >= 160000
        return object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#else
        return pg_database_aclcheck(MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
    });
}

std::string role_name(Oid role) {
    const char* name = guarded([&] { return GetUserNameFromId(role, true); });
    return name == nullptr ? "unknown (OID=" + std::to_string(role) + ")" : std::string(name);
}

OwnerScope::OwnerScope(Oid owner, For what)
    : replication_role_(SessionReplicationRole), exceptions_(std::uncaught_exceptions()) {
    int flags = what == For::own_queries ? SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS
                                         : SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION;
    guarded([&] {
        GetUserIdAndSecContext(&user_, &context_);
        nest_level_ = NewGUCNestLevel();
        SetUserIdAndSecContext(owner, context_ | flags);
        // A user's trigger or rule would run with the owner's privileges. ENABLE ALWAYS ones still fire, but only the owner can create
        // those. The variable is set, not the setting, whose assign hook discards all plans.
        if (what == For::own_queries) SessionReplicationRole = SESSION_REPLICATION_ROLE_REPLICA;
        set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                          false);
    });
}

// On an error, the settings are left to the abort of the (sub)transaction, which knows how they are nested.
OwnerScope::~OwnerScope() {
    if (std::uncaught_exceptions() == exceptions_) guarded_cleanup([&] { AtEOXact_GUC(true, nest_level_); });
    SessionReplicationRole = replication_role_;
    SetUserIdAndSecContext(user_, context_);
}

UserScope::UserScope(Oid role) {
    GetUserIdAndSecContext(&user_, &context_);
    SetUserIdAndSecContext(role, context_ | SECURITY_LOCAL_USERID_CHANGE);
}

UserScope::~UserScope() { SetUserIdAndSecContext(user_, context_); }

}  // namespace sync_job::pg
