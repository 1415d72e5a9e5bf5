#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

#include "core/claim_position.hpp"
#include "engine/claim.hpp"
#include "engine/full_sync_job.hpp"
#include "engine/runner.hpp"
#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/record.hpp"
#include "queue/set_aside.hpp"
#include "queue/setup_error.hpp"
#include "queue/transition.hpp"
#include "shared/activity.hpp"
#include "shared/endpoints.hpp"
#include "shared/metrics.hpp"
#include "shared/slots.hpp"
#include "worker/scheduler_queries.hpp"

namespace sync_job {

namespace {

using Row = InternalStatement::Row;

}  // namespace

namespace {

DueGroup group_of(const Row& row) { return {text_of(row[0]), pg::datum_oid(row[1].datum)}; }

std::optional<DueGroup> first_group(InternalStatement& select, const std::vector<pg::Value>& arguments) {
    auto rows = select.run(arguments);
    if (rows.empty()) return std::nullopt;
    return group_of(rows[0]);
}

// The first group with jobs that are due at once, between two groups (`before` null: to the end). Takes a few index probes, however many
// jobs wait in the groups. A range scan with (queue, run_as) < ($3, $4) would not stop before the end of the last queue
// (_bt_check_rowcompare() continues where the second column decides).
std::optional<DueGroup> next_ready_group(const DueGroup& after, const DueGroup* before) {
    static const std::string ready =
        "SELECT queue, run_as::oid FROM sync_job_internal.sync_job_live WHERE status = 'Queued' AND scheduled_at IS "
        "NULL AND held IS NOT TRUE";
    static const std::string first = " ORDER BY queue, run_as LIMIT 1";
    static auto& of_queue =
        *new InternalStatement(ready + " AND queue = $1 AND run_as::oid > $2 AND run_as::oid < $3" + first,
                          {pg::type::text, pg::type::oid, pg::type::oid});
    static auto& of_queues_between =
        *new InternalStatement(ready + " AND queue > $1 AND queue < $2" + first, {pg::type::text, pg::type::text});
    static auto& of_queues_after = *new InternalStatement(ready + " AND queue > $1" + first, {pg::type::text});
    constexpr Oid past_all_roles = std::numeric_limits<Oid>::max();
    auto text = [](const std::string& queue) { return pg::Value{pg::text_datum(queue), false}; };
    auto role = [](Oid oid) { return pg::Value{pg::oid_datum(oid), false}; };
    bool same_queue = before != nullptr && before->queue == after.queue;
    auto found =
        first_group(of_queue, {text(after.queue), role(after.role), role(same_queue ? before->role : past_all_roles)});
    if (found || same_queue) return found;
    if (before == nullptr) return first_group(of_queues_after, {text(after.queue)});
    found = first_group(of_queues_between, {text(after.queue), text(before->queue)});
    if (found) return found;
    return first_group(of_queue, {text(before->queue), role(pg::no_oid), role(before->role)});
}

void add_ready_groups(const std::map<DueGroup, ClaimPosition>& served, std::vector<DueGroup>& groups) {
    DueGroup at{"", pg::no_oid};  // before all groups
    auto add_until = [&](const DueGroup* before) {
        while (auto found = next_ready_group(at, before)) groups.push_back(at = *found);
    };
    for (const auto& [group, start] : served) {
        add_until(&group);
        if (any_claimable(group.queue, group.role, start)) groups.push_back(group);
        at = group;
    }
    add_until(nullptr);
}

// HTTP pushes are held, and have no claim position. Those in flight also count: there may be no worker left for them. Takes a few index
// probes per group.
void add_push_groups(std::vector<DueGroup>& groups) {
    static auto& select = *new InternalStatement(
        "WITH RECURSIVE push (queue, run_as, type) AS ("
        "  (SELECT queue, run_as::oid, sync_job_type FROM sync_job_internal.sync_job_live WHERE status = 'Queued' AND held"
        "   ORDER BY queue, run_as, sync_job_type LIMIT 1)"
        "  UNION ALL"
        "  SELECT n.queue, n.run_as, n.sync_job_type FROM push AS p CROSS JOIN LATERAL"
        "   (SELECT l.queue, l.run_as::oid, l.sync_job_type FROM sync_job_internal.sync_job_live AS l WHERE l.status = 'Queued' AND l.held"
        "     AND (l.queue, l.run_as::oid, l.sync_job_type) > (p.queue, p.run_as, p.type)"
        "    ORDER BY l.queue, l.run_as, l.sync_job_type LIMIT 1) AS n)"
        " SELECT p.queue, p.run_as FROM push AS p JOIN {}.sync_job_type AS t ON t.name = p.type WHERE t.http IS NOT NULL AND NOT t.paused"
        " UNION SELECT l.queue, l.run_as FROM sync_job_internal.http_request AS r JOIN sync_job_internal.sync_job_live AS l ON l.id = r.sync_job"
        "  JOIN {}.sync_job_type AS t ON t.name = l.sync_job_type WHERE l.status = 'Started' AND t.http IS NOT NULL AND NOT t.paused",
        std::vector<Oid>{});
    for (const Row& row : select.run({})) groups.push_back({text_of(row[0]), pg::datum_oid(row[1].datum), true});
}

// Adds the groups with due scheduled jobs; returns when the next one is due.
std::int64_t add_scheduled_groups(std::vector<DueGroup>& groups) {
    static auto& select = *new InternalStatement(
        "WITH RECURSIVE scheduled (queue, run_as, at) AS ("
        "  (SELECT queue, run_as::oid, scheduled_at FROM sync_job_internal.sync_job_live"
        "   WHERE status = 'Queued' AND scheduled_at IS NOT NULL AND held IS NOT TRUE ORDER BY queue, run_as, scheduled_at LIMIT 1)"
        "  UNION ALL"
        "  SELECT n.queue, n.run_as, n.scheduled_at FROM scheduled AS r CROSS JOIN LATERAL"
        "   (SELECT l.queue, l.run_as::oid, l.scheduled_at FROM sync_job_internal.sync_job_live AS l"
        "    WHERE l.status = 'Queued' AND l.scheduled_at IS NOT NULL AND l.held IS NOT TRUE AND (l.queue, l.run_as::oid) > (r.queue, "
        "r.run_as)"
        "    ORDER BY l.queue, l.run_as, l.scheduled_at LIMIT 1) AS n"
        "), at_once AS MATERIALIZED (SELECT clock_timestamp() AS now)"
        " SELECT s.queue, s.run_as, s.at <= now,"
        "  CASE WHEN s.at > now THEN s.at ELSE (SELECT l.scheduled_at FROM sync_job_internal.sync_job_live AS l"
        "   WHERE l.status = 'Queued' AND l.queue = s.queue AND l.run_as::oid = s.run_as AND l.scheduled_at > now AND l.held IS NOT TRUE"
        "   ORDER BY l.scheduled_at LIMIT 1) END"
        " FROM scheduled AS s CROSS JOIN at_once",
        std::vector<Oid>{});
    std::int64_t next = never;
    for (const Row& row : select.run({})) {
        if (pg::datum_bool(row[2].datum)) groups.push_back(group_of(row));
        if (!row[3].null) next = std::min(next, pg::datum_int64(row[3].datum));
    }
    return next;
}

std::int64_t next_retry_time(std::int64_t after) {
    static auto& select = *new InternalStatement(
        "SELECT retry_after FROM sync_job_internal.sync_job_failed WHERE retry_after > $1"
        " ORDER BY retry_after LIMIT 1",
        {pg::type::timestamptz});
    auto rows = select.run({{pg::int64_datum(after), false}});
    return rows.empty() ? never : pg::datum_int64(rows[0][0].datum);
}

}  // namespace

DueWork due_work(const std::map<DueGroup, ClaimPosition>& served, std::int64_t retried) {
    DueWork work;
    add_ready_groups(served, work.groups);
    if (!push_types().empty()) add_push_groups(work.groups);
    work.next = std::min(add_scheduled_groups(work.groups), next_retry_time(retried));
    std::sort(work.groups.begin(), work.groups.end());
    work.groups.erase(std::unique(work.groups.begin(), work.groups.end()), work.groups.end());
    return work;
}

int requeue_due_retries(Oid run_as) {
    static auto& select = *new InternalStatement(
        "SELECT f.id, NOT EXISTS (SELECT FROM {}.sync_job_error AS e"
        "  WHERE e.sync_job = f.id AND e.attempt = f.retry_count + 1 AND NOT e.counted)"
        " FROM sync_job_internal.sync_job_failed AS f"
        " WHERE f.retry_after <= clock_timestamp() AND ($1 = 0::oid OR f.run_as::oid = $1) AND f.id <> ALL ($2)"
        " ORDER BY f.retry_after LIMIT 500 FOR UPDATE SKIP LOCKED",
        {pg::type::oid, pg::type::int8_array});
    static auto& set_aside = *new SetAside("queued for its retry");
    std::vector<std::int64_t> jobs;
    std::vector<bool> counted;
    for (const Row& row : select.run({{pg::oid_datum(run_as), false}, {pg::int64_array_datum(set_aside.jobs()), false}})) {
        jobs.push_back(pg::datum_int64(row[0].datum));
        counted.push_back(pg::datum_bool(row[1].datum));
    }
    return set_aside.for_each(jobs, [&](std::size_t i) {
        auto stored = lock_job(jobs[i], false);
        if (!stored || stored->job.status() != Status::failed) return false;
        if (stored->job.is_null(JobColumn::retry_after) || stored->job.int64(JobColumn::retry_after) > pg::now())
            return false;
        if (counted[i] || !keep_for_change(*stored)) retry_job(*stored, {}, counted[i]);
        return true;
    });
}

// Releases jobs in their order; a later one is not claimed before an earlier one that is still held (Claim::comes_after_held).
ReleasedHeld release_held_jobs(Oid run_as) {
    static auto& select = *new InternalStatement(
        "WITH RECURSIVE held (type) AS ("
        "  (SELECT sync_job_type FROM sync_job_internal.sync_job_live WHERE status = 'Queued' AND held"
        "   ORDER BY sync_job_type LIMIT 1)"
        "  UNION ALL"
        "  SELECT (SELECT l.sync_job_type FROM sync_job_internal.sync_job_live AS l"
        "   WHERE l.status = 'Queued' AND l.held AND l.sync_job_type > h.type ORDER BY l.sync_job_type LIMIT 1)"
        "  FROM held AS h WHERE h.type IS NOT NULL)"
        " SELECT j.id FROM held AS h CROSS JOIN LATERAL (SELECT l.id FROM sync_job_internal.sync_job_live AS l"
        "  WHERE l.status = 'Queued' AND l.held AND l.sync_job_type = h.type"
        "   AND ($1 = 0::oid OR l.run_as::oid = $1) AND l.id <> ALL ($2) ORDER BY l.priority, l.id LIMIT 500) AS j"
        " WHERE NOT EXISTS (SELECT FROM {}.sync_job_type AS t WHERE t.name = h.type AND (t.paused OR t.http IS NOT NULL))",
        {pg::type::oid, pg::type::int8_array});
    static auto& set_aside = *new SetAside("released after a pause");
    std::vector<std::int64_t> jobs;
    for (const Row& row : select.run({{pg::oid_datum(run_as), false}, {pg::int64_array_datum(set_aside.jobs()), false}})) {
        jobs.push_back(pg::datum_int64(row[0].datum));
    }
    int released = set_aside.for_each(jobs, [&](std::size_t i) {
        auto stored = lock_job(jobs[i], false);
        if (!stored || !stored->job.is_held()) return false;
        release_job(*stored);
        return true;
    });
    return {released, !jobs.empty() && released == 0};
}

namespace {

// How often the job's process was ended while it ran, without a crash of the server.
int times_ended(std::int64_t id) {
    static auto& times = *new std::unordered_map<std::int64_t, int>;
    constexpr std::size_t most = 10000;
    if (times.size() >= most) times.clear();
    return ++times[id];
}

// A job that is cut short by a crash for the second time is blamed for it, whatever else was running: after the first time, cautious
// workers run such jobs one at a time (engine/claim.cpp).
void recover_after_crash(const StoredJob& stored, bool only_one) {
    if (!only_one && !cut_short_by_crash(stored.job.id())) {
        record_error(stored.job, pg::Error("57P02", "the server crashed while the job and others ran").report(), false);
        recover_job(stored, nullptr, 0);
        return;
    }
    pg::Error died("57P02", "the server crashed while the job ran");
    died.detail(only_one ? "The job was the only one known to be running, so the crash is counted as its failure."
                         : "The job also ran at a crash before, so this one is counted as its failure.");
    recover_job(stored, &died, 0);
}

// Somebody may have had good reasons to call pg_terminate_backend(); or the job calls it for its own process each time.
void recover_after_end(const StoredJob& stored) {
    constexpr int most = 4;
    int times = times_ended(stored.job.id());
    pg::Error ended("57P01", "the process that ran the job was ended");
    if (times >= most) {
        ended.detail("That has happened " + std::to_string(times) + " times, so it is counted as a failure of the job.");
        recover_job(stored, &ended, 0);
        return;
    }
    constexpr std::int64_t second = 1000000;
    if (times > 1) record_error(stored.job, ended.report(), false);
    recover_job(stored, nullptr, times > 1 ? second << 2 * (times - 2) : 0);
}

bool recover(std::int64_t id, bool after_crash, bool only_one) {
    auto stored = lock_job(id, false);
    if (!stored || stored->job.status() != Status::started) return false;
    FullSyncCheckpoint checkpoint = full_sync_checkpoint_of(stored->job);
    if (checkpoint.moved) {  // it goes on, and is not what caused it
        checkpoint.moved = false;
        stored->job = stored->job.copy();
        stored->job.set(JobColumn::checkpoint, as_json(checkpoint));
        recover_job(*stored, nullptr, 0);
    } else if (after_crash) {
        recover_after_crash(*stored, only_one);
    } else {
        recover_after_end(*stored);
    }
    pg::log("sync " + describe(stored->job) + " was cut short");
    return true;
}

}  // namespace

// Leaves out what an HTTP worker has left unfinished: the next HTTP worker sends it again.
void recover_orphans(bool after_crash) {
    static auto& select = *new InternalStatement(
        "SELECT l.id FROM sync_job_internal.sync_job_live AS l WHERE l.status = 'Started'"
        " AND NOT EXISTS (SELECT FROM sync_job_internal.http_request AS r JOIN {}.sync_job_type AS t ON t.name = l.sync_job_type"
        "  WHERE r.sync_job = l.id AND t.http IS NOT NULL) ORDER BY l.id", std::vector<Oid>{});
    static auto& set_aside = *new SetAside("recovered");
    std::vector<std::int64_t> orphans;
    for (const Row& row : select.run({})) {
        std::int64_t id = pg::datum_int64(row[0].datum);
        if (set_aside.has(id) || !lock_job_number(id)) continue;
        if (runs_now(pg::my_database(), id)) {  // a ROLLBACK in its procedure has released the lock
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
    for (std::int64_t id : orphans) set_aside.for_each({id}, [&](std::size_t) { return recover(id, after_crash, orphans.size() == 1); });
}

// Deletes the requests of jobs that were canceled, deleted or have failed for good, and of jobs that came back as ordinary ones.
void sweep_http_requests() {
    static const std::string gone =
        " AS r WHERE NOT EXISTS (SELECT FROM sync_job_internal.sync_job_live AS l WHERE l.id = r.sync_job)"
        " AND NOT EXISTS (SELECT FROM sync_job_internal.sync_job_failed AS f WHERE f.id = r.sync_job AND f.retry_after IS NOT NULL)";
    static auto& requests = *new InternalStatement("DELETE FROM sync_job_internal.http_request" + gone, std::vector<Oid>{});
    static auto& documents = *new InternalStatement("DELETE FROM sync_job_internal.http_document" + gone, std::vector<Oid>{});
    requests.run({});
    documents.run({});
    static auto& exists = *new InternalStatement("SELECT FROM pg_catalog.pg_foreign_server WHERE oid = $1", {pg::type::oid});
    for_each_endpoint(pg::my_database(), [](SharedEndpoint& endpoint) {
        if (exists.run({{pg::oid_datum(endpoint.server), false}}).empty()) forget_endpoint(endpoint);
    });
}

void make_room_for_counts(DatabaseSlot& database) {
    static auto& select = *new InternalStatement("SELECT name FROM {}.sync_job_type", std::vector<Oid>{});
    if (!database.series_lacking) return;
    std::vector<std::string> types{background_type_name};
    for (const Row& row : select.run({})) types.push_back(text_of(row[0]));
    forget_series_but(database, types);
}

void make_old_view_tell() {
    static auto& select = *new InternalStatement(
        "SELECT format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS %s', v.view,"
        "  regexp_replace(v.definition, 'CASE',"
        "   'CASE WHEN sync_job_internal.preloaded() AND current_setting(''sync_job.library_version'', true) IS NOT NULL"
        "     THEN ''waits for ALTER EXTENSION pg_sync_job UPDATE''')) FROM (SELECT c.oid::regclass AS view,"
        "  pg_get_viewdef(c.oid) AS definition FROM pg_class AS c WHERE c.oid = '{}.sync_job_queue_status'::regclass) AS v"
        " WHERE v.definition !~ 'library_version'",
        std::vector<Oid>{});
    pg::SnapshotScope snapshot;
    for (const Row& row : select.run({})) {
        pg::SettingsScope settings;
        pg::set_local_as_superuser("lock_timeout", "100ms");
        pg::OwnerScope owner(schema_objects().owner);
        pg::SpiScope spi;
        pg::execute_sql(text_of(row[0]));
        // The update may have replaced the view before we got its lock: then this is rolled back.
        if (!other_version()) throw pg::Error("55P03", "the extension was updated meanwhile");
    }
}

bool waiting_for_adoption() {
    static auto& select = *new InternalStatement("SELECT sync_job_internal.waiting_elsewhere()", std::vector<Oid>{});
    return pg::datum_bool(select.run({})[0][0].datum);
}

namespace {

using SettingsFound = std::map<std::string, std::string>;

SettingsFound find_settings_of_database() {
    static auto& select = *new InternalStatement(
        "SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)"
        " FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS c"
        " WHERE s.setdatabase = $1 AND s.setrole = 0"
        "  AND split_part(c, '=', 1) IN ('sync_job.enabled', 'sync_job.log_retention_days')",
        {pg::type::oid});
    SettingsFound found;
    for (const Row& row : select.run({{pg::oid_datum(pg::my_database()), false}})) found.emplace(text_of(row[0]), text_of(row[1]));
    return found;
}

std::string as_text(const SettingsFound& settings) {
    std::string text;
    for (const auto& [name, value] : settings) text += name + '=' + value + '\n';
    return text;
}

}  // namespace

std::string settings_of_database() { return as_text(find_settings_of_database()); }

bool prepared_transactions_exist() {
    static auto& select = *new InternalStatement(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database())", std::vector<Oid>{});
    return pg::datum_bool(select.run({})[0][0].datum);
}

std::optional<std::string> take_settings_of_database() {
    static auto& select = *new InternalStatement(
        "SELECT name FROM pg_settings WHERE source = 'database' AND name IN ('sync_job.enabled', 'sync_job.log_retention_days')",
        std::vector<Oid>{});
    SettingsFound found = find_settings_of_database();
    for (const Row& row : select.run({})) {
        if (found.count(text_of(row[0])) == 0) return std::nullopt;
    }
    for (const auto& [name, value] : found) pg::set_from_database(name.c_str(), value);
    return as_text(found);
}

}  // namespace sync_job
