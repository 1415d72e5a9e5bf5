// The first page: how many jobs there are, what is in trouble, and why nothing runs.
#include "serve/api/routes.hpp"
#include "serve/api/waiting_sql.hpp"

namespace sync_job::serve {

namespace {

// The jobs that ended, among the newest 200,000 ids, read once: counted by state up to 10,000, which says more than the whole history;
// and by minute for the last hour.
constexpr std::string_view overview_end = R"(,
newest AS MATERIALIZED (SELECT greatest(last_value - 200000, 0) AS id FROM sync_job_internal.sync_job_id_seq),
recent AS MATERIALIZED (
    SELECT j.status, CASE WHEN j.ended_at >= now() - interval '1 hour' THEN date_trunc('minute', j.ended_at) END AS at, count(*) AS jobs
    FROM @extschema@.sync_job AS j
    WHERE j.id > (SELECT id FROM newest) AND ((SELECT sees_all FROM reader) OR j.owner = ANY ((SELECT roles FROM reader)::oid[]))
        AND j.status IN ('Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled', 'Failed')
    GROUP BY 1, 2
),
ended AS MATERIALIZED (SELECT r.status, sum(r.jobs) AS jobs FROM recent AS r WHERE r.status <> 'Failed' GROUP BY r.status),
throughput AS MATERIALIZED (
    SELECT r.at, sum(r.jobs) AS ended, coalesce(sum(r.jobs) FILTER (WHERE r.status = 'Failed'), 0) AS failed
    FROM recent AS r WHERE r.at IS NOT NULL GROUP BY r.at
),
queues AS MATERIALIZED ()";

constexpr std::string_view overview_answer = R"(),
per_type AS MATERIALIZED ()";

constexpr std::string_view overview_types = R"()
SELECT json_build_object(
    'now', now(),
    'counts', (SELECT json_agg(json_build_object('status', s.status, 'count', least(coalesce(s.jobs, 0), 10000), 'more', coalesce(s.jobs > 10000, false) OR s.more))
        FROM (SELECT n.status, n.n, coalesce(c.jobs, e.jobs) AS jobs,
                  coalesce(c.more, n.n > 4 AND (SELECT id FROM newest) > 0) AS more
              FROM unnest(ARRAY['Pending', 'Queued', 'Started', 'Failed', 'Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled'])
                  WITH ORDINALITY AS n (status, n)
              LEFT JOIN (SELECT c.status, sum(c.jobs) AS jobs, bool_or(c.more) AS more FROM counted AS c GROUP BY c.status) AS c ON c.status = n.status
              LEFT JOIN ended AS e ON e.status = n.status ORDER BY n.n) AS s),
    'notes', (SELECT coalesce(json_agg(DISTINCT q.note), '[]') FROM queues AS q WHERE q.note IS NOT NULL),
    'types', (SELECT coalesce(json_agg(t ORDER BY t.failed DESC, t.name), '[]') FROM (
        SELECT t.name, array_remove(ARRAY[
                CASE WHEN s.message IS NOT NULL THEN 'its set-up is broken' END, CASE WHEN s.held THEN 'its jobs are held' END,
                CASE WHEN t.paused THEN 'it is paused' END, CASE WHEN t.disabled THEN 'it is disabled' END,
                CASE WHEN c.failed > 0 THEN c.failed || CASE WHEN c.more THEN ' or more' ELSE '' END || ' of its jobs have failed' END], NULL) AS problems,
            coalesce(c.failed, 0) AS failed, t.paused, t.disabled, left(s.message, 2000) AS setup_error
        FROM @extschema@.sync_job_type AS t
        LEFT JOIN per_type AS c ON c.sync_job_type = t.name
        LEFT JOIN (SELECT s.sync_job_type, min(s.message) AS message, bool_or(s.held_since IS NOT NULL) AS held
                   FROM @extschema@.sync_job_setup_error AS s GROUP BY s.sync_job_type) AS s ON s.sync_job_type = t.name
        WHERE t.paused OR t.disabled OR c.failed > 0 OR s.message IS NOT NULL
        ORDER BY coalesce(c.failed, 0) DESC, t.name LIMIT 20) AS t),
    'queues', (SELECT coalesce(json_agg(q ORDER BY q.queue), '[]') FROM queues AS q),
    'alerts', (SELECT coalesce(json_agg(a ORDER BY a.name), '[]') FROM (
        SELECT a.name, a.sync_job_type, a.queue, a.measure, a.threshold, a.hold::text AS hold, a.procedure, a.owner, a.state, a.since, a.value
        FROM @extschema@.sync_job_alert AS a WHERE a.state = 'firing') AS a),
    'freshness', (SELECT coalesce(json_agg(f ORDER BY f.oldest_change), '[]') FROM (
        SELECT c.sync_job_type, c.oldest_change, c.waiting, c.retrying, c.failed, s.at AS last_success
        FROM per_type AS c LEFT JOIN sync_job_internal.last_success AS s ON s.sync_job_type = c.sync_job_type
        WHERE c.oldest_change IS NOT NULL ORDER BY c.oldest_change LIMIT 5) AS f),
    'throughput', (SELECT coalesce(json_agg(t ORDER BY t.at), '[]') FROM throughput AS t),
    'workers', (SELECT json_build_object('running', count(*) FILTER (WHERE a.state = 'running'), 'total', count(*)) FROM sync_job_internal.activity() AS a)))";

}  // namespace

std::span<const Route> overview_routes() {
    static const std::string overview = "WITH " + std::string(counted_jobs) + std::string(overview_end) + std::string(queue_rows) +
                                        std::string(overview_answer) + std::string(type_counts) + std::string(overview_types);
    static const std::vector<Route> routes = {{Method::get, "/api/overview", false, overview, {}}};
    return routes;
}

}  // namespace sync_job::serve
