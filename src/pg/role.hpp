// Roles: the current ones, and which may become which.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

Oid current_user();
Oid session_user();
Oid outer_user();  // the session's role, or that of SET ROLE; not the owner of a SECURITY DEFINER function
bool is_superuser(Oid role);
// `member` is the role itself, or has its privileges without SET ROLE (inherits them).
bool has_rights_of(Oid member, Oid role);
// `member` may SET ROLE to `role` (from PostgreSQL 16 on: with the SET option).
bool may_set_role(Oid member, Oid role);
bool role_exists(Oid role);
bool role_can_log_in(Oid role);
extern const bool workers_need_login;  // before PostgreSQL 17
bool role_can_connect(Oid role);
std::string role_name(Oid role);  // "unknown (OID=5)" if it is gone

// Runs as another role until the end of the scope, inside a transaction, with search_path pinned to pg_catalog, pg_temp. Either for the
// engine's own queries, as the owner of its tables and without triggers and rules (except ENABLE ALWAYS ones); or for that role's own code
// when somebody else's statement calls it, which must not change the session (a restricted operation, as in maintenance commands). Must not
// be open across a commit.
class OwnerScope {
public:
    enum class For { own_queries, code_of_owner };
    explicit OwnerScope(Oid owner, For what = For::own_queries);
    ~OwnerScope();
    OwnerScope(const OwnerScope&) = delete;
    OwnerScope& operator=(const OwnerScope&) = delete;

private:
    Oid user_;
    int context_;
    int nest_level_;
    int replication_role_;
    int exceptions_;
};

// Uses another role's privileges for a check or a look-up; does not change search_path.
class UserScope {
public:
    explicit UserScope(Oid role);
    ~UserScope();
    UserScope(const UserScope&) = delete;
    UserScope& operator=(const UserScope&) = delete;

private:
    Oid user_;
    int context_;
};

}  // namespace sync_job::pg
