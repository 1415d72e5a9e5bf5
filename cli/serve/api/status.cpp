// Queues, workers, schedules, alerts, freshness, and the work on whole types.
#include "serve/api/jobs_sql.hpp"
#include "serve/api/routes.hpp"
#include "serve/api/runs_sql.hpp"
#include "serve/api/waiting_sql.hpp"

namespace sync_job::serve {

namespace {

// From the newest ids backwards, like lists of jobs; the operation is in the same index.
const std::string runs = R"(
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.id::bigint DESC), '[]'))
FROM (SELECT )" + run_row() + R"(
      FROM @extschema@.sync_job AS j
      WHERE j.operation = ANY (CASE WHEN $2 IS NULL THEN ARRAY['Compare', 'Full Sync', 'Apply', 'Revert'] ELSE string_to_array($2, ',') END)
          AND ($1 IS NULL OR j.sync_job_type = $1)
          AND ($3 IS NULL OR j.id < $3::bigint)
      ORDER BY j.id + 0 DESC LIMIT least(greatest(coalesce($4::integer, 50), 1), 200)) AS r)";

const std::string queues = "WITH " + std::string(counted_jobs) + R"(
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.queue), '[]'))
FROM (SELECT q.*, s.timeout::text AS timeout, s.publish_events, json_build_object(
          'pause', sync_job_internal.has_level('operator'),
          'change', has_table_privilege(s.tableoid, 'UPDATE')) AS allowed
      FROM ()" + std::string(queue_rows) + R"() AS q JOIN @extschema@.sync_job_queue AS s ON s.name = q.queue) AS r)";

constexpr std::string_view change_queue = R"(
WITH changed AS (
    UPDATE @extschema@.sync_job_queue AS q
    SET max_workers = coalesce($2::integer, q.max_workers), timeout = coalesce($3::interval, q.timeout),
        publish_events = coalesce($4::boolean, q.publish_events)
    WHERE q.name = $1 RETURNING q.name)
SELECT json_build_object('name', name) FROM changed)";

constexpr std::string_view workers = R"(
SELECT json_build_object('rows', coalesce(json_agg(a ORDER BY a.queue, a.pid), '[]'))
FROM (SELECT a.pid, a.queue, a.sync_job::text AS sync_job, a.sync_job_type, a.started_at, a.percent, left(a.title, 2000) AS title,
          left(a.description, 2000) AS description, a.run_as, a.state FROM @extschema@.sync_job_activity AS a) AS a)";

constexpr std::string_view schedules = R"(
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.name), '[]'))
FROM (SELECT s.name, s.schedule, s.enqueues, left(s.params::text, 2000) AS params, s.queue, s.overlap, s.owner, s.next_run,
          s.last_sync_job::text AS last_sync_job, s.last_run, s.last_status, left(s.last_error, 300) AS last_error, s.paused,
          json_build_object('run', current_user::regrole = s.owner,
              'pause', pg_has_role(s.owner, 'USAGE') OR sync_job_internal.has_level('operator')) AS allowed
      FROM @extschema@.sync_job_schedules AS s) AS r)";

constexpr std::string_view alerts = R"(
SELECT json_build_object('rows', coalesce(json_agg(a ORDER BY a.state DESC, a.name), '[]'))
FROM (SELECT a.name, a.sync_job_type, a.queue, a.measure, a.threshold, a.hold::text AS hold, a.procedure, a.owner, a.state, a.since, a.value
      FROM @extschema@.sync_job_alert AS a) AS a)";

const std::string freshness = "WITH " + std::string(counted_jobs) + R"(,
per_type AS MATERIALIZED ()" + std::string(type_counts) + R"()
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.oldest_change NULLS LAST, r.sync_job_type), '[]'))
FROM (SELECT n.name AS sync_job_type, c.oldest_change, coalesce(c.waiting, 0) AS waiting, coalesce(a.running, 0) AS running,
          coalesce(c.retrying, 0) AS retrying, coalesce(c.failed, 0) AS failed, s.at AS last_success, s.compared_at, s.out_of_step
      FROM (SELECT t.name FROM @extschema@.sync_job_type AS t UNION SELECT c.sync_job_type FROM per_type AS c) AS n (name)
      LEFT JOIN per_type AS c ON c.sync_job_type = n.name
      LEFT JOIN sync_job_internal.last_success AS s ON s.sync_job_type = n.name
      LEFT JOIN (SELECT a.sync_job_type, count(*) AS running FROM sync_job_internal.activity() AS a GROUP BY a.sync_job_type) AS a
          ON a.sync_job_type = n.name) AS r)";

constexpr std::string_view pause_queue = "SELECT json_build_object('name', $1) FROM @extschema@.pause_sync_job_queue($1)";
constexpr std::string_view resume_queue = "SELECT json_build_object('name', $1) FROM @extschema@.resume_sync_job_queue($1)";
constexpr std::string_view run_schedule = "SELECT json_build_object('job', @extschema@.run_sync_job_schedule($1)::text)";
constexpr std::string_view pause_schedule = "SELECT json_build_object('name', $1) FROM @extschema@.pause_sync_job_schedule($1)";
constexpr std::string_view resume_schedule = "SELECT json_build_object('name', $1) FROM @extschema@.resume_sync_job_schedule($1)";

}  // namespace

std::span<const Route> status_routes() {
    static const std::vector<Route> routes = {
        {Method::get, "/api/runs", false, runs, {"type", "operation", "before", "limit"}},
        {Method::get, "/api/queues", false, queues, {}},
        {Method::post, "/api/queues/{name}", true, change_queue, {"name", "max_workers", "timeout", "publish_events"}},
        {Method::post, "/api/queues/{name}/pause", true, pause_queue, {"name"}},
        {Method::post, "/api/queues/{name}/resume", true, resume_queue, {"name"}},
        {Method::get, "/api/workers", false, workers, {}},
        {Method::get, "/api/schedules", false, schedules, {}},
        {Method::post, "/api/schedules/{name}/run", true, run_schedule, {"name"}},
        {Method::post, "/api/schedules/{name}/pause", true, pause_schedule, {"name"}},
        {Method::post, "/api/schedules/{name}/resume", true, resume_schedule, {"name"}},
        {Method::get, "/api/alerts", false, alerts, {}},
        {Method::get, "/api/freshness", false, freshness, {}},
    };
    return routes;
}

}  // namespace sync_job::serve
