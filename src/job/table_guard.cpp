#include "job/table_guard.hpp"

#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/attached.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"

namespace sync_job {

namespace {

// Users write these two with SQL. The engine writes the others: some below SQL, the rest without triggers, as a trigger
// would have the rights of the tables' owner (pg::OwnerScope).
bool written_by_users(const std::string& name) { return name == "sync_job_type" || name == "sync_job_queue"; }

bool written_below_sql(const std::string& name) {
    for (const char* table : {"sync_job", "sync_job_live", "sync_job_failed", "sync_job_ended", "sync_job_deleted_document",
                              "sync_job_document"}) {
        if (name == table) return true;
    }
    return false;
}

// The unqualified name of one of our tables; else empty. From the catalog alone: the extension may have any version.
std::string own_table(Oid relation) {
    auto extension = pg::find_extension("pg_sync_job");
    if (!extension || !pg::belongs_to_extension(relation, extension->oid)) return {};
    std::string name = pg::relation_name(relation);
    return name.substr(name.rfind('.') + 1);
}

pg::Error refused(const pg::NewTrigger& trigger, const std::string& table, const char* sqlstate) {
    return pg::Error(sqlstate, (trigger.of_constraint ? "cannot let " : "cannot create ") + trigger.name +
                                   (trigger.of_constraint ? " act on table " : " on table ") + quoted(table));
}

// A deferred trigger fires at COMMIT, when no job runs any more: it would react to what a job has written.
void check_echo(const pg::NewTrigger& trigger) {
    if (!trigger.deferrable || pg::restores() || !pg::find_extension("pg_sync_job")) return;
    static auto& select = *new InternalStatement("SELECT WHERE $1 = '{}.sync_job_trigger()'::regprocedure", {pg::type::oid});
    if (select.run({{pg::oid_datum(trigger.function), false}}).empty()) return;
    auto type = find_job_type(trigger.argument);
    if (type == nullptr || !type->ignore_synced) return;
    throw pg::Error("0A000", "cannot create deferrable " + trigger.name + ": sync job type " + quoted(type->name) + " has ignore_synced")
        .detail("When it fires at COMMIT, it cannot know which job has written the row, and ignores nothing.")
        .hint("Make it a trigger that is not deferrable.");
}

void check_new_trigger(const pg::NewTrigger& trigger) {
    std::string table = own_table(trigger.relation);
    if (table.empty()) return check_echo(trigger);
    if (!trigger.of_truncate && written_below_sql(table)) {
        throw refused(trigger, table, "0A000")
            .detail("pg_sync_job writes its rows below SQL: it would not see them.")
            .hint("Use events to be notified of ended jobs (publish_events). Tools that track a table with a trigger, such as "
                  "pg_repack, cannot be used on it; VACUUM FULL can.");
    }
    if (trigger.of_constraint && !written_by_users(table)) {
        throw refused(trigger, table, "0A000").detail("pg_sync_job writes and deletes its rows without asking it.");
    }
    if (!pg::is_superuser(pg::current_user())) {
        throw refused(trigger, table, "42501")
            .detail("It would act on what others write, with their rights.")
            .hint("Only superusers may do that on the tables of extension pg_sync_job.");
    }
    if (!trigger.of_truncate && !written_by_users(table)) {
        pg::notice(trigger.name + " does not fire for what pg_sync_job itself writes to table " + quoted(table),
                   "ALTER TABLE ... ENABLE ALWAYS TRIGGER makes it fire there, with the rights of the table's owner.");
    }
}

void check_truncate(Oid relation) {
    std::string table = own_table(relation);
    if (table.empty() || pg::is_superuser(pg::current_user())) return;
    throw pg::Error("42501", "permission denied to truncate table " + quoted(table))
        .detail("It also contains rows of other roles.")
        .hint("Use clear_old_sync_jobs() or clear_sync_job_logs(), and cancel_sync_job() for waiting jobs.");
}

}  // namespace

void register_table_guard() { pg::on_attach({check_new_trigger, check_truncate}); }

std::string in_the_way() {
    const SchemaObjects& o = schema_objects();
    for (Oid table : {o.live, o.failed, o.ended, o.deleted_table, o.document_table}) {
        if (table == pg::no_oid) continue;
        std::string attached = pg::attached_to(table);
        if (!attached.empty()) return attached + " of table " + pg::relation_name(table) + " keeps it from being written";
    }
    return o.type_table_problem;
}

void require_not_referred_to(Oid relation) {
    std::string key = pg::foreign_key_to(relation);
    if (key.empty()) return;
    throw pg::Error("55000", "rows of table " + quoted(pg::relation_name(relation)) + " cannot be deleted: " + key +
                                 " refers to them")
        .hint("Drop the foreign key.");
}

}  // namespace sync_job
