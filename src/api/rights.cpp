// Grants of levels and types.
#include "queue/rights.hpp"

#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"

namespace sync_job {

namespace {

// No level includes the right to give levels: it would spread.
void require_superuser(const char* function) {
    if (pg::is_superuser(pg::current_user())) return;
    throw pg::Error("42501", std::string("permission denied for function ") + function + "()")
        .detail("Only superusers may give levels.");
}

std::string checked_level(const std::string& text) {
    std::string level = lower(text);
    if (level == "manager" || level == "operator" || level == "viewer") return level;
    throw pg::Error("22023", "invalid level " + quoted(text)).hint("Valid levels are: manager, operator, viewer.");
}

Oid checked_role(Oid role) {
    if (pg::role_exists(role)) return role;
    throw pg::Error("42704", "role with OID " + std::to_string(role) + " does not exist");
}

// Only managers may UPDATE and DELETE types: these rights include the right to lock the table, which would stop all jobs.
// INSERT, which everybody may try, does not.
void give_table(Oid role, bool give) {
    const SchemaObjects& o = schema_objects();
    pg::OwnerScope owner(o.owner);
    pg::SpiScope spi;
    pg::execute_sql((give ? "GRANT UPDATE, DELETE ON " : "REVOKE UPDATE, DELETE ON ") + o.in_schema("sync_job_type") +
                    (give ? " TO " : " FROM ") + pg::quoted_identifier(pg::role_name(role)));
}

void change_access(pg::Arguments& args, InternalStatement& statement, bool give) {
    Oid role = checked_role(*args.oid(0));
    std::string level = checked_level(*args.text(1));
    statement.run({{pg::oid_datum(role), false}, {pg::text_datum(level), false}});
    if (level == "manager") give_table(role, give);
}

void change_type_grant(pg::Arguments& args, InternalStatement& statement) {
    auto type = require_job_type(*args.text(0));
    Oid user = pg::current_user();
    bool may_change = may_do_all(*type, user) && has_level(user, Level::manager);
    if (!may_change) {
        throw pg::Error("42501", "permission denied for sync job type " + quoted(type->name))
            .detail("Its grants may be changed by a role that has level manager and may become role " +
                    quoted(pg::role_name(type->run_as)) + ".");
    }
    Oid role = checked_role(*args.oid(1));
    statement.run({{pg::text_datum(type->name), false}, {pg::oid_datum(role), false}});
    pg::invalidate_relation(schema_objects().type_table);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_grant_access) {
    static auto& insert =
        *new InternalStatement("INSERT INTO sync_job_internal.access (role, level) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                          {pg::type::regrole, pg::type::text});
    require_superuser("grant_sync_job_access");
    change_access(args, insert, true);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_revoke_access) {
    static auto& remove = *new InternalStatement("DELETE FROM sync_job_internal.access WHERE role = $1 AND level = $2",
                                            {pg::type::regrole, pg::type::text});
    require_superuser("revoke_sync_job_access");
    change_access(args, remove, false);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_grant_type) {
    static auto& insert = *new InternalStatement(
        "INSERT INTO sync_job_internal.type_grant (sync_job_type, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        {pg::type::text, pg::type::regrole});
    change_type_grant(args, insert);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_revoke_type) {
    static auto& remove =
        *new InternalStatement("DELETE FROM sync_job_internal.type_grant WHERE sync_job_type = $1 AND role = $2",
                          {pg::type::text, pg::type::regrole});
    change_type_grant(args, remove);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_has_level) {
    Oid user = pg::current_user();
    for (const std::string& name : args.text_array(0)) {
        Level level = name == "manager" ? Level::manager : name == "operator" ? Level::operator_ : Level::viewer;
        if (has_level(user, level)) return pg::bool_datum(true);
    }
    return pg::bool_datum(false);
}

// For the policy of sync_job: owner, run_as and target_document_type of a row.
SYNC_JOB_FUNCTION(sync_job_may_read) {
    Oid target = args.oid(2).value_or(pg::no_oid);
    return pg::bool_datum(may_read(pg::current_user(), *args.oid(0), *args.oid(1), target));
}

SYNC_JOB_FUNCTION(sync_job_types_changed) {
    pg::trigger_call(args, "types_changed");
    pg::invalidate_relation(schema_objects().type_table);
    return pg::trigger_suppress(args);
}
