#include "engine/own_sql.hpp"
#include "engine/record.hpp"
#include "engine/runner.hpp"
#include "engine/transition.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "worker/activity.hpp"
#include "worker/scheduler.hpp"
#include "worker/shared.hpp"

namespace sync_job {

namespace {

using Row = OwnStatement::Row;

std::string text_of(const pg::Value& value) { return std::string(pg::datum_text(value.datum)); }

}  // namespace

// A loose index scan: one probe a group, however many jobs wait in it.
std::vector<DueGroup> due_groups() {
    static auto& select = *new OwnStatement(
        "WITH RECURSIVE ready (queue, run_as) AS ("
        "  (SELECT queue, run_as::oid FROM sync_job_internal.sync_job_live"
        "   WHERE status = 'Queued' AND scheduled_at IS NULL ORDER BY queue, run_as LIMIT 1)"
        "  UNION ALL"
        "  SELECT n.queue, n.run_as FROM ready AS r CROSS JOIN LATERAL"
        "   (SELECT l.queue, l.run_as::oid FROM sync_job_internal.sync_job_live AS l"
        "    WHERE l.status = 'Queued' AND l.scheduled_at IS NULL AND (l.queue, l.run_as::oid) > (r.queue, r.run_as)"
        "    ORDER BY l.queue, l.run_as LIMIT 1) AS n"
        "), scheduled (queue, run_as, at) AS ("
        "  (SELECT queue, run_as::oid, scheduled_at FROM sync_job_internal.sync_job_live"
        "   WHERE status = 'Queued' AND scheduled_at IS NOT NULL ORDER BY queue, run_as, scheduled_at LIMIT 1)"
        "  UNION ALL"
        "  SELECT n.queue, n.run_as, n.scheduled_at FROM scheduled AS r CROSS JOIN LATERAL"
        "   (SELECT l.queue, l.run_as::oid, l.scheduled_at FROM sync_job_internal.sync_job_live AS l"
        "    WHERE l.status = 'Queued' AND l.scheduled_at IS NOT NULL AND (l.queue, l.run_as::oid) > (r.queue, "
        "r.run_as)"
        "    ORDER BY l.queue, l.run_as, l.scheduled_at LIMIT 1) AS n"
        ") SELECT queue, run_as FROM ready UNION SELECT queue, run_as FROM scheduled WHERE at <= clock_timestamp()",
        std::vector<Oid>{});
    std::vector<DueGroup> groups;
    for (const Row& row : select.run({})) groups.push_back({text_of(row[0]), pg::datum_oid(row[1].datum)});
    return groups;
}

std::int64_t next_due_time() {
    static auto& select = *new OwnStatement(
        "SELECT least("
        " (SELECT min(scheduled_at) FROM sync_job_internal.sync_job_live"
        "  WHERE status = 'Queued' AND scheduled_at > clock_timestamp()),"
        " (SELECT min(retry_after) FROM sync_job_internal.sync_job_failed WHERE retry_after IS NOT NULL))",
        std::vector<Oid>{});
    auto rows = select.run({});
    return rows[0][0].null ? never : pg::datum_int64(rows[0][0].datum);
}

int requeue_due_retries(Oid run_as) {
    static auto& select = *new OwnStatement(
        "SELECT f.id, NOT EXISTS (SELECT FROM {}.sync_job_error AS e"
        "  WHERE e.sync_job = f.id AND e.attempt = f.retry_count + 1 AND NOT e.counted)"
        " FROM sync_job_internal.sync_job_failed AS f"
        " WHERE f.retry_after <= clock_timestamp() AND ($1 = 0::oid OR f.run_as::oid = $1)"
        " ORDER BY f.retry_after LIMIT 500",
        {pg::type::oid});
    int count = 0;
    for (const Row& row : select.run({{pg::oid_datum(run_as), false}})) {
        auto stored = lock_job(pg::datum_int64(row[0].datum), false);
        if (!stored || stored->job.status() != Status::failed) continue;
        if (stored->job.is_null(JobColumn::retry_after) || stored->job.int64(JobColumn::retry_after) > pg::now())
            continue;
        retry_job(*stored, {}, pg::datum_bool(row[1].datum));
        count++;
    }
    return count;
}

namespace {

// The second time a job's attempt is found cut short by a crash, it is charged whoever else ran.
bool cut_short_before(const Job& job) {
    static auto& select =
        *new OwnStatement("SELECT FROM {}.sync_job_error WHERE sync_job = $1 AND attempt = $2 AND sqlstate = '57P02'",
                          {pg::type::int8, pg::type::int4});
    return !select
                .run({{pg::int64_datum(job.id()), false},
                      {pg::int32_datum(job.int32(JobColumn::retry_count) + 1), false}})
                .empty();
}

void recover(std::int64_t id, bool after_crash, bool only_one) {
    auto stored = lock_job(id, false);
    if (!stored || stored->job.status() != Status::started) return;
    bool charged = after_crash && (only_one || cut_short_before(stored->job));
    if (after_crash && !charged) {
        pg::Error died("57P02", "the server crashed while the job and others ran");
        record_error(stored->job, died.report(), false);
    }
    pg::log("sync " + describe(stored->job) + " was cut short",
            charged ? "The crash counts as its failure." : "It is queued again.");
    recover_job(*stored, charged);
}

}  // namespace

void recover_orphans(bool after_crash) {
    static auto& select = *new OwnStatement(
        "SELECT id FROM sync_job_internal.sync_job_live WHERE status = 'Started' ORDER BY id", std::vector<Oid>{});
    std::vector<std::int64_t> orphans;
    for (const Row& row : select.run({})) {
        std::int64_t id = pg::datum_int64(row[0].datum);
        if (!lock_job_number(id)) continue;
        if (runs_now(pg::my_database(), id)) {  // a ROLLBACK in its procedure has let go of the lock
            unlock_job_number(id);
        } else {
            orphans.push_back(id);
        }
    }
    struct Unlock {
        const std::vector<std::int64_t>& ids;
        ~Unlock() {
            for (std::int64_t id : ids) unlock_job_number(id);
        }
    } unlock{orphans};
    for (std::int64_t id : orphans) recover(id, after_crash, orphans.size() == 1);
}

bool waiting_for_adoption() {
    static auto& select = *new OwnStatement("SELECT sync_job_internal.waiting_elsewhere()", std::vector<Oid>{});
    return pg::datum_bool(select.run({})[0][0].datum);
}

std::string enabled_setting_of_database() {
    static auto& select = *new OwnStatement(
        "SELECT split_part(c, '=', 2) FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS c"
        " WHERE s.setdatabase = $1 AND s.setrole = 0 AND split_part(c, '=', 1) = 'sync_job.enabled'",
        {pg::type::oid});
    auto rows = select.run({{pg::oid_datum(pg::my_database()), false}});
    return rows.empty() ? std::string() : text_of(rows[0][0]);
}

}  // namespace sync_job
