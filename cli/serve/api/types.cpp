// Job types: the list, one of them with everything known about it, and creating and changing them.
#include "serve/api/rights_sql.hpp"
#include "serve/api/routes.hpp"
#include "serve/api/runs_sql.hpp"
#include "serve/api/waiting_sql.hpp"

namespace sync_job::serve {

namespace {

const std::string list = "WITH " + std::string(counted_jobs) + R"(,
per_type AS MATERIALIZED ()" + std::string(type_counts) + R"(),
running AS MATERIALIZED (SELECT a.sync_job_type, count(*) AS running FROM sync_job_internal.activity() AS a GROUP BY a.sync_job_type),
runs AS MATERIALIZED (
    SELECT DISTINCT ON (j.sync_job_type) j.sync_job_type, j.id::text AS id, j.operation, j.status,
        (SELECT max(a.percent) FROM sync_job_internal.activity() AS a WHERE a.sync_job = j.id) AS percent
    FROM @extschema@.sync_job AS j
    WHERE j.status IN ('Pending', 'Queued', 'Started') AND j.operation IN ('Compare', 'Full Sync')
    ORDER BY j.sync_job_type, j.id DESC)
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.name), '[]'))
FROM (SELECT t.name, t.source_document_type, t.target_document_type, t.queue, t.run_as, )" + std::string(kind_of_type) + R"( AS kind, t.paused,
          t.disabled, left(t.description, 300) AS description, coalesce(c.waiting, 0) AS waiting, coalesce(a.running, 0) AS running,
          coalesce(c.retrying, 0) AS retrying, coalesce(c.failed, 0) AS failed, coalesce(c.more, false) AS more, l.at AS last_success, c.oldest_change,
          left(s.message, 2000) AS setup_error, coalesce(s.held, false) AS held,
          (SELECT json_build_object('id', u.id, 'operation', u.operation, 'status', u.status, 'percent', u.percent)
           FROM runs AS u WHERE u.sync_job_type = t.name) AS run
      FROM @extschema@.sync_job_type AS t
      LEFT JOIN per_type AS c ON c.sync_job_type = t.name
      LEFT JOIN running AS a ON a.sync_job_type = t.name
      LEFT JOIN sync_job_internal.last_success AS l ON l.sync_job_type = t.name
      LEFT JOIN (SELECT s.sync_job_type, min(s.message) AS message, bool_or(s.held_since IS NOT NULL) AS held
                 FROM @extschema@.sync_job_setup_error AS s GROUP BY s.sync_job_type) AS s ON s.sync_job_type = t.name) AS r)";

constexpr std::string_view columns = R"(
        t.name, t.source_document_type, t.target_document_type, t.source_key, t.target_key, t.module, t.field_map::text AS field_map,
        t.match::text AS match, t.batchable, t.queue, t.priority, t.timeout::text AS timeout, t.retry_delay::text AS retry_delay,
        t.retry_backoff, t.max_retries, t.concurrency_limit, t.verbose_logging, t.disabled, t.is_standard, t.publish_events, t.run_as,
        t.description, t.created_at, t.modified_at, t.set_size, t.insert_enabled, t.update_enabled, t.delete_enabled, t.paused,
        t.source_condition, t.on_delete, t.ignore_synced, t.surplus_condition, t.secret_columns, t.publish_starts,
        t.library, t.library_trusted, t.http::text AS http)";

// validate_sync_job_type() may read a whole target, so it has a route of its own.
const std::string one = "WITH " + std::string(counted_jobs) + R"(,
per_type AS MATERIALIZED ()" + std::string(type_counts) + R"()
SELECT json_build_object(
    'type', (SELECT row_to_json(r) FROM (SELECT )" + std::string(columns) + R"() AS r),
    'kind', )" + std::string(kind_of_type) + R"(,
    'setup_errors', (SELECT coalesce(json_agg(s ORDER BY s.since), '[]') FROM (
        SELECT s.since, s.sqlstate, left(s.message, 2000) AS message, left(s.detail, 2000) AS detail, left(s.hint, 2000) AS hint, s.held_since
        FROM @extschema@.sync_job_setup_error AS s WHERE s.sync_job_type = t.name ORDER BY s.since LIMIT 20) AS s),
    'queue', (SELECT row_to_json(q) FROM ()" + std::string(queue_rows) + R"() AS q WHERE q.queue = t.queue),
    'freshness', (SELECT json_build_object('sync_job_type', t.name, 'oldest_change', c.oldest_change, 'waiting', coalesce(c.waiting, 0),
            'running', (SELECT count(*) FROM sync_job_internal.activity() AS a WHERE a.sync_job_type = t.name),
            'retrying', coalesce(c.retrying, 0), 'failed', coalesce(c.failed, 0), 'last_success', l.at, 'compared_at', l.compared_at,
            'out_of_step', l.out_of_step)
        FROM (SELECT) AS one LEFT JOIN per_type AS c ON c.sync_job_type = t.name
        LEFT JOIN sync_job_internal.last_success AS l ON l.sync_job_type = t.name),
    'changes', (SELECT coalesce(json_agg(c ORDER BY c.changed_at DESC), '[]') FROM (
        SELECT c.operation, c.changed_at, c.changed_by, left(c.old::text, 2000) AS old, left(c.new::text, 2000) AS new
        FROM @extschema@.sync_job_type_change AS c WHERE c.sync_job_type = t.name ORDER BY c.changed_at DESC LIMIT 20) AS c),
    'export', @extschema@.export_sync_job_type(t.name),
    'triggers', (SELECT coalesce(json_agg(format('%s on %s', g.tgname, g.tgrelid::regclass) ORDER BY g.tgname), '[]')
        FROM pg_catalog.pg_trigger AS g JOIN )" + own_function("sync_job_trigger") + R"( AS p ON g.tgfoid = p.oid
        WHERE NOT g.tgisinternal
            AND split_part(encode(g.tgargs, 'escape'), '\000', 1) = encode(convert_to(t.name, getdatabaseencoding()), 'escape')),
    'grants', (SELECT coalesce(json_agg(g.role::text ORDER BY g.role::text), '[]') FROM sync_job_internal.type_grant AS g
        WHERE g.sync_job_type = t.name),
    'allowed', (SELECT json_build_object('change', sync_job_internal.has_level('manager') AND r.becomes,
            'delete', sync_job_internal.has_level('manager') AND r.becomes, 'pause', r.becomes OR r.operator,
            'enqueue', r.becomes OR r.granted, 'dry_run', r.becomes OR r.granted OR r.operator, 'compare', r.becomes OR r.granted OR r.operator, 'full_sync', r.becomes, 'condition', r.becomes)
        FROM (SELECT )" + may_become("t.run_as") + " AS becomes, " + granted_type("t.name") + R"( AS granted, sync_job_internal.has_level('operator') AS operator) AS r))
FROM @extschema@.sync_job_type AS t WHERE t.name = $1)";

constexpr std::string_view findings_of_one = R"(
SELECT json_build_object('findings', coalesce(json_agg(f), '[]')) FROM @extschema@.validate_sync_job_type($1) AS f)";

// For an existing type, columns that the definition does not name are those of the type.
constexpr std::string_view findings = R"(
SELECT json_build_object('findings', coalesce(json_agg(f), '[]'))
FROM @extschema@.validate_sync_job_type_definition(coalesce((
    SELECT to_jsonb(t) FROM @extschema@.sync_job_type AS t WHERE t.name = $2), '{}') || $1::jsonb) AS f)";

constexpr std::string_view create = "SELECT json_build_object('name', sync_job_internal.write_type(NULL, $1::jsonb))";
constexpr std::string_view change = "SELECT json_build_object('name', sync_job_internal.write_type($1, $2::jsonb))";
constexpr std::string_view remove = R"(
WITH gone AS (DELETE FROM @extschema@.sync_job_type AS t WHERE t.name = $1 RETURNING t.name) SELECT json_build_object('name', name) FROM gone)";
constexpr std::string_view pause = "SELECT json_build_object() FROM @extschema@.pause_sync_job_type($1)";
constexpr std::string_view resume = "SELECT json_build_object() FROM @extschema@.resume_sync_job_type($1)";

// The functions refuse a condition from a caller who may not become run_as.
constexpr std::string_view compare = R"(
SELECT json_build_object('id', @extschema@.enqueue_compare($1, nullif($2, ''), coalesce($3::integer, 1000))::text))";
constexpr std::string_view full_sync = R"(
SELECT json_build_object('id', @extschema@.enqueue_full_sync($1, nullif($2, ''), coalesce($3::boolean, false), coalesce($4::boolean, false),
    coalesce($5::numeric, 50), $6::bigint, coalesce($7::numeric, 10), $8::integer, coalesce($9::integer, 500), coalesce($10::boolean, false),
    coalesce($11::boolean, false), $12, $13::integer, $14::timestamptz, $15, coalesce($16::boolean, false))::text))";

}  // namespace

std::span<const Route> types_routes() {
    static const std::vector<Route> routes = {
        {Method::get, "/api/types", false, list, {}},
        {Method::get, "/api/types/{name}", false, one, {"name"}},
        {Method::get, "/api/types/{name}/findings", false, findings_of_one, {"name"}},
        {Method::post, "/api/types", true, create, {"definition"}},
        {Method::post, "/api/types/validate", false, findings, {"definition", "name"}},
        {Method::post, "/api/types/{name}", true, change, {"name", "definition"}},
        {Method::post, "/api/types/{name}/delete", true, remove, {"name"}},
        {Method::post, "/api/types/{name}/pause", true, pause, {"name"}},
        {Method::post, "/api/types/{name}/resume", true, resume, {"name"}},
        {Method::post, "/api/types/{name}/compare", true, compare, {"name", "condition", "max_rows"}},
        {Method::post, "/api/types/{name}/full-sync", true, full_sync,
         {"name", "condition", "dry_run", "delete_surplus", "max_change_percent", "max_changes", "max_delete_percent", "documents_per_second",
          "chunk_size", "check_first", "adopt", "queue", "priority", "scheduled_at", "job_id", "deduplicate"}},
    };
    return routes;
}

}  // namespace sync_job::serve
