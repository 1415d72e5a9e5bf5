// One job: what it is, what became of it, what belongs to it, and what the caller may do with it.
#include "serve/api/jobs_sql.hpp"
#include "serve/api/rights_sql.hpp"
#include "serve/api/routes.hpp"

namespace sync_job::serve {

namespace {

// Columns that may be long, as text: cut in the job; …/value returns them whole, up to 4 MB.
constexpr std::string_view long_columns = R"(
        ('title', j.title), ('source_document_name', j.source_document_name), ('target_document_name', j.target_document_name),
        ('context', j.context::text), ('multiple_target_documents', j.multiple_target_documents::text), ('job_id', j.job_id),
        ('triggered_by_document_name', j.triggered_by_document_name), ('current_data', j.current_data::text),
        ('updated_data', j.updated_data::text), ('diff_summary', j.diff_summary::text), ('error_message', j.error_message),
        ('messages', j.messages), ('result', j.result::text), ('checkpoint', j.checkpoint::text), ('cancel_reason', j.cancel_reason),
        ('job_group', j.job_group), ('source_documents', to_json(j.source_documents)::text))";

// What is longer than 4 MB is cut by characters, of up to 4 bytes each: a value may have 1 GB, and a whole answer is in memory here.
constexpr std::string_view limited_value = R"(json_build_object(
    'value', CASE WHEN octet_length(t.value) > 4194304 THEN left(t.value, 1048576) ELSE t.value END,
    'cut', (octet_length(t.value) > 4194304) IS TRUE))";

constexpr std::string_view job_columns = R"(
        j.id::text AS id, j.sync_job_type, j.status, j.source_document_type, j.target_document_type, j.operation,
        j.parent_sync_job::text AS parent_sync_job, j.queue, j.priority, j.timeout::text AS timeout, j.retry_delay::text AS retry_delay,
        j.retry_backoff, j.max_retries, j.retry_count, CASE WHEN isfinite(j.retry_after) THEN j.retry_after END AS retry_after,
        j.retry_after = 'infinity' AS retry_held, CASE WHEN isfinite(j.scheduled_at) THEN j.scheduled_at END AS scheduled_at,
        j.insert_enabled, j.update_enabled, j.delete_enabled, j.update_without_changes_enabled, j.verbose_logging, j.dry_run,
        j.queue_on_insert, j.trigger_type, j.triggered_by_document_type, j.trigger_document_timestamp, j.run_as, j.owner, j.enqueued_by,
        j.created_at, j.started_at, j.ended_at, j.time_taken::text AS time_taken, j.procedure, j.on_success, j.on_failure,
        j.after[1:200]::text[] AS after, j.after_failure, j.publish_event, j.depth, j.documents, j.relation, j.held, j.worker_pid,
        j.fingerprint, j.traceparent)";

// What the database would refuse because of the job's state or the user's rights is not offered. The database still decides.
const std::string allowed = R"(
    SELECT json_build_object(
        'retry', j.status IN ('Failed', 'Relayed') AND a.may_run,
        'context', j.status = 'Failed' AND a.may_enqueue,
        'start', j.status = 'Pending' AND a.may_run,
        'cancel', j.status IN ('Pending', 'Queued', 'Failed', 'Started', 'Relayed') AND a.may_steer,
        'pause', j.operation = 'Full Sync' AND j.status IN ('Queued', 'Started') AND a.may_steer,
        'rerun', j.status NOT IN ('Pending', 'Queued', 'Started') AND a.may_enqueue AND j.documents IS NULL AND a.of_one_document,
        'delete', j.status NOT IN ('Pending', 'Queued', 'Started') AND (SELECT has_function_privilege(p.oid, 'EXECUTE') FROM )" + own_function("delete_sync_job") + R"( AS p),
        'apply', j.status = 'Finished' AND j.dry_run AND a.may_replay AND coalesce(j.operation, '') <> 'Full Sync',
        'revert', j.status IN ('Finished', 'Relayed') AND NOT j.dry_run AND j.procedure IS NULL AND coalesce(j.operation, '') <> 'Compare'
            AND a.may_replay,
        'enqueue', a.becomes OR a.granted, 'dry_run', a.becomes OR a.granted OR a.operator)
    FROM (SELECT r.*, r.becomes OR (r.owns AND r.granted) AS may_enqueue, r.becomes OR (r.owns AND r.granted) OR r.operator AS may_run,
              r.becomes OR r.owns OR r.operator AS may_steer, r.becomes OR r.operator AS may_replay,
              coalesce(j.operation, '') NOT IN ('Compare', 'Full Sync', 'Apply', 'Revert') AS of_one_document
          FROM (SELECT )" + may_become("j.run_as") + R"( AS becomes, pg_has_role(j.owner, 'USAGE') AS owns,
                    sync_job_internal.has_level('operator') AS operator, )" + granted_type("j.sync_job_type") + R"( AS granted) AS r) AS a)";

// The newest ten jobs of the same document. If it has more than 5,000 jobs: the newest ten of 5,000 of them.
constexpr std::string_view related = R"(
        SELECT h.sync_job AS id FROM (
            SELECT h.sync_job FROM @extschema@.sync_job_document_history AS h
            WHERE h.source_document_name = j.source_document_name AND h.source_document_type = j.source_document_type AND h.sync_job <> j.id
            LIMIT 5000) AS h
        GROUP BY h.sync_job ORDER BY h.sync_job DESC LIMIT 10)";

std::string whole_job() {
    return R"(
SELECT json_build_object(
    'job', (SELECT json_object_agg(m.key, m.value) FROM (
        SELECT c.key, c.value FROM row_to_json(f) AS r CROSS JOIN json_each(r) AS c
        UNION ALL SELECT t.key, to_json(left(t.value, 2000)) FROM (VALUES )" + std::string(long_columns) + R"() AS t (key, value)) AS m),
    'cut', (SELECT coalesce(json_agg(t.key), '[]') FROM (VALUES )" + std::string(long_columns) + R"() AS t (key, value) WHERE length(t.value) > 2000),
    'attempts', (SELECT coalesce(json_agg(e ORDER BY e.attempt), '[]') FROM (
        SELECT e.attempt, e.occurred_at, e.sqlstate, left(e.message, 2000) AS message, left(e.detail, 2000) AS detail, left(e.hint, 2000) AS hint,
            left(e.context, 2000) AS context, e.counted
        FROM @extschema@.sync_job_error AS e WHERE e.sync_job = j.id ORDER BY e.attempt DESC LIMIT 100) AS e),
    'children', (SELECT coalesce(json_agg(json_build_object('status', s.status, 'count', s.n, 'more', s.n >= 10000)), '[]') FROM (
        SELECT c.status, count(*) AS n FROM (
            SELECT c.status FROM @extschema@.sync_job AS c WHERE c.parent_sync_job = j.id LIMIT 10000) AS c GROUP BY c.status) AS s),
    'parent', )" + job_rows("SELECT j.parent_sync_job AS id") + R"(->0,
    'progress', (SELECT json_build_object('percent', a.percent, 'title', left(a.title, 2000), 'description', left(a.description, 2000), 'pid', a.pid)
        FROM sync_job_internal.activity() AS a WHERE a.sync_job = j.id LIMIT 1),
    'related', )" + job_rows(related) + R"(,
    'waits_for', )" + job_rows("SELECT w AS id FROM unnest(j.after[1:20]) AS w") + R"(,
    'waited_by', )" + job_rows("SELECT w.id FROM @extschema@.sync_job AS w WHERE w.status = 'Pending' AND j.id = ANY (w.after) "
                               "AND w.id > j.id AND w.id < j.id + 200000 ORDER BY w.id LIMIT 20") + R"(,
    'type', (SELECT json_build_object('name', t.name, 'kind', )" + std::string(kind_of_type) + R"(, 'run_as', t.run_as, 'paused', t.paused,
                 'disabled', t.disabled, 'description', t.description)
             FROM @extschema@.sync_job_type AS t WHERE t.name = j.sync_job_type),
    'allowed', ()" + allowed + R"())
FROM (SELECT j.* FROM @extschema@.sync_job AS j WHERE j.id = $1::bigint LIMIT 1) AS j
CROSS JOIN LATERAL (SELECT )" + std::string(job_columns) + R"() AS f)";
}

}  // namespace

std::span<const Route> job_routes() {
    static const std::string one = whole_job();

    static const std::string children = R"(
WITH found AS MATERIALIZED (
    SELECT c.id FROM @extschema@.sync_job AS c
    WHERE c.parent_sync_job = $1::bigint AND c.id < coalesce($2::bigint, 9223372036854775807)
    ORDER BY c.id DESC LIMIT least(greatest(coalesce($3::integer, 50), 1), 200) + 1),
page AS (SELECT id FROM found ORDER BY id DESC LIMIT least(greatest(coalesce($3::integer, 50), 1), 200))
SELECT json_build_object('rows', )" + job_rows("SELECT id FROM page") + R"(,
    'next', CASE WHEN (SELECT count(*) FROM found) > (SELECT count(*) FROM page) THEN (SELECT min(id)::text FROM page) END))";

    // The position of the next page is a name: rows of one job have no other key.
    static const std::string documents = R"(
WITH found AS MATERIALIZED (
    SELECT d.ctid, d.source_document_name, d.target_document_name, d.operation, d.status, d.diff_summary, d.fingerprint,
        row_number() OVER (ORDER BY d.source_document_name, d.target_document_name) AS n
    FROM @extschema@.sync_job_document AS d WHERE d.sync_job = $1::bigint
    ORDER BY d.source_document_name, d.target_document_name
    OFFSET coalesce($2::bigint, 0) LIMIT least(greatest(coalesce($3::integer, 50), 1), 200) + 1)
SELECT json_build_object(
    'rows', (SELECT coalesce(json_agg(r ORDER BY r.n), '[]') FROM (
        SELECT f.n + coalesce($2::bigint, 0) AS n, left(f.source_document_name, 2000) AS source_document_name,
            left(f.target_document_name, 2000) AS target_document_name, f.operation, f.status, left(f.diff_summary::text, 2000) AS diff_summary,
            f.fingerprint, f.ctid::text AS key, length(f.diff_summary::text) > 2000 AS cut FROM found AS f ORDER BY f.n LIMIT least(greatest(coalesce($3::integer, 50), 1), 200)) AS r),
    'next', CASE WHEN (SELECT count(*) FROM found) > least(greatest(coalesce($3::integer, 50), 1), 200)
        THEN (coalesce($2::bigint, 0) + least(greatest(coalesce($3::integer, 50), 1), 200))::text END))";

    // Documents have no key of their own: a row that has moved meanwhile is not found.
    static const std::string document_value = "SELECT " + std::string(limited_value) + R"(
FROM @extschema@.sync_job_document AS d CROSS JOIN LATERAL (VALUES ('diff_summary', d.diff_summary::text)) AS t (key, value)
WHERE d.ctid = $2::tid AND d.sync_job = $1::bigint AND coalesce(left(d.source_document_name, 2000), '') = coalesce($3, '') AND t.key = $4)";

    static const std::string value = "SELECT " + std::string(limited_value) + R"(
FROM @extschema@.sync_job AS j CROSS JOIN LATERAL (VALUES )" + std::string(long_columns) + R"() AS t (key, value)
WHERE j.id = $1::bigint AND t.key = $2 AND $3 IS NULL
UNION ALL
SELECT )" + std::string(limited_value) + R"(
FROM @extschema@.sync_job_error AS e
CROSS JOIN LATERAL (VALUES ('error_message', e.message), ('error_detail', e.detail), ('error_hint', e.hint), ('error_context', e.context)) AS t (key, value)
WHERE e.sync_job = $1::bigint AND e.attempt = $3::integer AND t.key = $2)";

    static const std::vector<Route> routes = {
        {Method::get, "/api/jobs/{id}", false, one, {"id"}},
        {Method::get, "/api/jobs/{id}/children", false, children, {"id", "before", "limit"}},
        {Method::get, "/api/jobs/{id}/documents", false, documents, {"id", "after", "limit"}},
        {Method::get, "/api/jobs/{id}/documents/value", false, document_value, {"id", "key", "name", "column"}},
        {Method::get, "/api/jobs/{id}/value", false, value, {"id", "column", "attempt"}},
    };
    return routes;
}

}  // namespace sync_job::serve
