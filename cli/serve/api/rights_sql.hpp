// Parts of statements that say what the caller may do. The database decides when it is done; these decide what is offered.
#pragma once

#include <string>
#include <string_view>

namespace sync_job::serve {

// Whether the session may SET ROLE to a role. From PostgreSQL 16 on, not every member may.
inline std::string may_become(std::string_view role) {
    return "pg_has_role(" + std::string(role) +
           ", CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)";
}

// Whether the session was granted the type.
inline std::string granted_type(std::string_view name) {
    return "EXISTS (SELECT FROM sync_job_internal.type_grant AS g WHERE g.sync_job_type = " + std::string(name) +
           " AND pg_has_role(g.role, 'USAGE'))";
}

// The extension's function of that name. The session has checked that nobody else has a function of the same name in the schema. The
// name is never put into a literal, which the schema's name could end.
inline std::string own_function(std::string_view name) {
    return "(SELECT p.oid FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_proc AS p ON p.pronamespace = e.extnamespace"
           " WHERE e.extname = 'pg_sync_job' AND p.proname = '" + std::string(name) + "')";
}

// The kind of controller of a job type t.
inline constexpr std::string_view kind_of_type = R"(CASE WHEN t.http IS NOT NULL THEN 'http' WHEN t.library IS NOT NULL THEN 'native' WHEN t.match IS NOT NULL THEN 'declarative'
                 WHEN EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.proname = 'execute' AND p.pronamespace =
                     (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = t.module)) THEN 'bypass'
                 ELSE 'standard' END)";

}  // namespace sync_job::serve
