// Counts of what waits, runs and has failed: among the oldest 100,000 live and the newest 100,000 failed jobs that the user may see.
#pragma once

#include <string_view>

namespace sync_job::serve {

// `counted`: a row for each type, queue and state; `more` if there are more than were counted.
inline constexpr std::string_view counted_jobs = R"(
reader AS MATERIALIZED (
    SELECT sync_job_internal.has_level('operator', 'viewer') AS sees_all,
        ARRAY(SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE pg_has_role(r.oid, 'USAGE')) AS roles
),
counted AS MATERIALIZED (
    SELECT j.sync_job_type, j.queue, j.status, count(*) AS jobs, sum(count(*)) OVER (PARTITION BY j.live) >= 100000 AS more,
        count(*) FILTER (WHERE j.status = 'Queued' AND j.since <= now() AND j.held IS NOT TRUE) AS waiting,
        count(*) FILTER (WHERE j.status = 'Queued' AND j.since > now()) AS scheduled,
        count(*) FILTER (WHERE j.status = 'Failed' AND j.retry_after < 'infinity') AS retrying,
        count(*) FILTER (WHERE j.status = 'Failed' AND coalesce(j.retry_after, 'infinity') = 'infinity') AS failed,
        min(j.since) FILTER (WHERE j.status = 'Queued' AND j.since <= now()) AS oldest_waiting,
        min(j.since) FILTER (WHERE j.since <= now() AND NOT j.dry_run AND j.status <> 'Pending' AND (j.status <> 'Failed' OR j.retry_after IS NOT NULL))
            AS oldest_change
    FROM (
        (SELECT true AS live, j.sync_job_type, j.queue, j.status, coalesce(j.scheduled_at, j.created_at) AS since, j.held, j.retry_after, j.dry_run
         FROM @extschema@.sync_job AS j
         WHERE j.status IN ('Pending', 'Queued', 'Started')
             AND ((SELECT sees_all FROM reader) OR j.owner = ANY ((SELECT roles FROM reader)::oid[]))
         ORDER BY j.id LIMIT 100000)
        UNION ALL
        (SELECT false, j.sync_job_type, j.queue, j.status, coalesce(j.scheduled_at, j.created_at), j.held, j.retry_after, j.dry_run
         FROM @extschema@.sync_job AS j
         WHERE j.status = 'Failed' AND ((SELECT sees_all FROM reader) OR j.owner = ANY ((SELECT roles FROM reader)::oid[]))
         ORDER BY j.id DESC LIMIT 100000)) AS j
    GROUP BY j.live, j.sync_job_type, j.queue, j.status
))";

// The rows of sync_job_queue_status with these counts. Without its own counts, the view reads no jobs.
inline constexpr std::string_view queue_rows = R"(
    SELECT s.queue, s.paused, s.max_workers, s.workers, s.running, coalesce(c.waiting, 0) AS waiting, coalesce(c.scheduled, 0) AS scheduled,
        c.oldest_waiting, s.note, coalesce(c.failed, 0) AS failed, coalesce(c.retrying, 0) AS retrying, coalesce(c.more, false) AS more
    FROM @extschema@.sync_job_queue_status AS s
    LEFT JOIN (SELECT c.queue, sum(c.waiting) AS waiting, sum(c.scheduled) AS scheduled, min(c.oldest_waiting) AS oldest_waiting,
                   sum(c.failed) AS failed, sum(c.retrying) AS retrying, bool_or(c.more) AS more
               FROM counted AS c GROUP BY c.queue) AS c ON c.queue = s.queue)";

// Per type, like sync_job_freshness, but without the figures of the last hour.
inline constexpr std::string_view type_counts = R"(
    SELECT c.sync_job_type, sum(c.waiting) AS waiting, sum(c.retrying) AS retrying, sum(c.failed) AS failed, min(c.oldest_change) AS oldest_change,
        bool_or(c.more) AS more
    FROM counted AS c GROUP BY c.sync_job_type)";

}  // namespace sync_job::serve
