// Actions on jobs. On up to 500 at once: each has its own outcome, and the refusal of one does not undo the others.
#include "serve/api/routes.hpp"

namespace sync_job::serve {

namespace {

std::string act(std::string_view action) {
    return R"(
SELECT json_build_object('done', count(*) FILTER (WHERE a.error IS NULL),
    'outcomes', coalesce(json_agg(json_build_object('id', a.id::text, 'status', a.status, 'job', a.job::text, 'error', a.error) ORDER BY a.n), '[]'))
FROM sync_job_internal.act_on_jobs(')" + std::string(action) + R"(', ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::bigint), $2::jsonb, $3,
    coalesce($4::boolean, false)) WITH ORDINALITY AS a (id, status, job, error, n))";
}

// A worker does it, as run_as: no code of other roles runs in this session.
std::string replay(std::string_view function) {
    return R"(
SELECT json_build_object('done', jsonb_array_length($1::jsonb), 'outcomes', json_build_array(),
    'job', @extschema@.)" + std::string(function) + R"((ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::bigint), conflicts => coalesce($2, 'fail'))::text))";
}

// Only what was given, with the JSON types that enqueue_sync_job(params) expects.
constexpr std::string_view enqueue = R"(
SELECT json_build_object('id', @extschema@.enqueue_sync_job(coalesce(jsonb_object_agg(p.key, p.value), '{}'))::text)
FROM (VALUES
    ('sync_job_type', to_jsonb($1)), ('source_document_name', to_jsonb($2)), ('context', $3::jsonb), ('operation', to_jsonb($4)),
    ('source_document_type', to_jsonb($5)), ('target_document_type', to_jsonb($6)), ('target_document_name', to_jsonb($7)),
    ('queue', to_jsonb($8)), ('priority', to_jsonb($9::integer)), ('timeout', to_jsonb($10)), ('retry_delay', to_jsonb($11)),
    ('max_retries', to_jsonb($12::integer)), ('scheduled_at', to_jsonb($13)), ('queue_on_insert', to_jsonb($14::boolean)),
    ('dry_run', to_jsonb($15::boolean)), ('insert_enabled', to_jsonb($16::boolean)), ('update_enabled', to_jsonb($17::boolean)),
    ('delete_enabled', to_jsonb($18::boolean)), ('update_without_changes_enabled', to_jsonb($19::boolean)),
    ('verbose_logging', to_jsonb($20::boolean)), ('job_id', to_jsonb($21)), ('deduplicate', to_jsonb($22::boolean)),
    ('job_group', to_jsonb($23)), ('parent_sync_job', to_jsonb($24::bigint))) AS p (key, value)
WHERE p.value IS NOT NULL)";

}  // namespace

std::span<const Route> actions_routes() {
    static const std::string start = act("start"), retry = act("retry"), cancel = act("cancel"), pause = act("pause"), rerun = act("rerun"),
                             remove = act("delete"), apply = replay("enqueue_apply"), revert = replay("enqueue_revert");
    static const std::vector<std::string_view> chosen = {"ids", "context", "reason", "running"}, replayed = {"ids", "conflicts"};
    static const std::vector<Route> routes = {
        {Method::post, "/api/jobs/start", true, start, chosen},
        {Method::post, "/api/jobs/retry", true, retry, chosen},
        {Method::post, "/api/jobs/cancel", true, cancel, chosen},
        {Method::post, "/api/jobs/pause", true, pause, chosen},
        {Method::post, "/api/jobs/rerun", true, rerun, chosen},
        {Method::post, "/api/jobs/delete", true, remove, chosen},
        {Method::post, "/api/jobs/apply", true, apply, replayed},
        {Method::post, "/api/jobs/revert", true, revert, replayed},
        {Method::post, "/api/jobs", true, enqueue,
         {"sync_job_type", "source_document_name", "context", "operation", "source_document_type", "target_document_type",
          "target_document_name", "queue", "priority", "timeout", "retry_delay", "max_retries", "scheduled_at", "queue_on_insert", "dry_run",
          "insert_enabled", "update_enabled", "delete_enabled", "update_without_changes_enabled", "verbose_logging", "job_id", "deduplicate",
          "job_group", "parent_sync_job"}},
    };
    return routes;
}

}  // namespace sync_job::serve
