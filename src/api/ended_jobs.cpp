// rerun_sync_job() and delete_sync_job(): what may be done with a job that has ended.
#include "api/nodes.hpp"
#include "api/params.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"
#include "queue/rerun.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::int64_t required_id(pg::Arguments& args) {
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    return *args.int64(0);
}

// The new job has the arguments of the old one, and belongs to the caller: so a caller who may not read the old one must not
// get the new one. Enqueuer checks whether the caller may enqueue it.
void require_may_rerun(const Job& job) {
    Oid user = pg::current_user();
    bool readable = may_read_row(job);
    bool background = !job.is_null(C::procedure);
    if (readable && (!background || pg::may_set_role(user, job.oid(C::run_as)))) return;
    pg::Error error("42501", "permission denied for sync job " + std::to_string(job.id()));
    if (!readable) throw error;
    throw error.detail("It runs as role " + quoted(pg::role_name(job.oid(C::run_as))) + ", which role " +
                       quoted(pg::role_name(user)) + " may not become.");
}

// Comparisons and full syncs have their arguments in the context.
void require_no_context(pg::Arguments& args, std::int64_t id) {
    if (args.is_null(1)) return;
    throw pg::Error("22023", "sync job " + std::to_string(id) + " is about many documents, and is rerun as it was")
        .hint("Leave out context; with other arguments use enqueue_compare() or enqueue_full_sync().");
}

// Jobs that wait for it would go on, as if it had ended well.
void require_nobody_waits(std::int64_t id) {
    static auto& select = *new InternalStatement(
        "SELECT job FROM sync_job_internal.dependency WHERE waits_for = $1 ORDER BY job LIMIT 1", {pg::type::int8});
    auto rows = select.run({{pg::int64_datum(id), false}});
    if (rows.empty()) return;
    throw pg::Error("55006", "cannot delete sync job " + std::to_string(id))
        .detail("Sync job " + std::to_string(pg::datum_int64(rows[0][0].datum)) + " waits for it.");
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_rerun) {
    pg::require_writable("rerun_sync_job()");
    std::int64_t id = required_id(args);
    if (auto there = number_elsewhere(id, "rerun_sync_job(" + std::to_string(id) + ", " + jsonb_argument(args, 1) + ")")) return pg::int64_datum(*there);
    auto stored = find_job(id);
    if (!stored) no_such_job(id);
    require_may_rerun(stored->job);
    EnqueueRequest request = request_again(stored->job);
    if (request.task) {
        require_no_context(args, id);
        return pg::int64_datum(enqueue_task_again(stored->job, request));
    }
    if (!args.is_null(1)) request.context = {args.datum(1), false};
    return pg::int64_datum(enqueue(request));
}

SYNC_JOB_FUNCTION(sync_job_delete) {
    static auto& remove = *new InternalStatement(
        "WITH gone AS (DELETE FROM {}.sync_job WHERE id = $1 RETURNING id),"
        " documents AS (DELETE FROM {}.sync_job_document AS d WHERE d.sync_job IN"
        "  (SELECT id FROM {}.sync_job WHERE id = $1 AND " + std::string(may_have_documents) + "))"
        " DELETE FROM {}.sync_job_error AS e USING gone WHERE e.sync_job = gone.id", {pg::type::int8});
    pg::require_writable("delete_sync_job()");
    std::int64_t id = required_id(args);
    if (number_elsewhere(id, "delete_sync_job(" + std::to_string(id) + ")")) return args.null_result();
    const SchemaObjects& o = schema_objects();
    for (Oid table : {o.ended, o.failed, o.error_table, o.document_table}) require_not_referred_to(table);
    auto stored = lock_job(id);
    if (!stored) no_such_job(id);
    if (!has_ended(stored->job.status())) {
        throw pg::Error("55000", "cannot delete sync job " + std::to_string(id) + " with status " +
                                     std::string(to_text(stored->job.status())))
            .detail("The job must have ended.")
            .hint("Use cancel_sync_job(" + std::to_string(id) + ") first.");
    }
    require_nobody_waits(id);
    remove.run({{pg::int64_datum(id), false}});
    return args.null_result();
}
