-- The functions users call: their arguments, whose names are part of the contract, and their results.
BEGIN;
SELECT no_plan();

-- name(arguments) as pg_get_function_arguments() gives them, and the result (NULL: a procedure); volatile, stable or immutable;
-- parallel unsafe, restricted or safe; whether a null argument is the end of it. Any other function is one too many.
CREATE TEMPORARY TABLE expected (name name, arguments text, result text, volatility "char", parallel "char", strict boolean);
INSERT INTO expected VALUES
    ('sync_job_metrics', 'names text[] DEFAULT NULL::text[], OUT name text, OUT type text, OUT help text, OUT labels jsonb, OUT value double precision', 'SETOF record', 'v', 'u', false),
    ('watch_sync_jobs', '', 'boolean', 'v', 'u', false),
    ('set_sync_job_node', 'node integer', 'void', 'v', 'u', false),
    ('get_sync_job', 'id bigint', 'sync_job', 'v', 'u', false),
    ('sync_jobs_everywhere', 'condition text DEFAULT NULL::text, max_rows integer DEFAULT 1000', 'SETOF sync_job_everywhere', 'v', 'u', false),
    ('propagate_sync_job_setup', 'INOUT node integer DEFAULT NULL::integer, OUT server text, OUT written integer, OUT problem text', 'SETOF record', 'v', 'u', false),
    ('adopt_sync_jobs', '', 'void', 'v', 'u', false),
    ('apply_sync_job', 'id bigint', 'bigint', 'v', 'u', false),
    ('attach_sync_job_triggers', 'sync_job_type text, source regclass, level text DEFAULT ''row''::text, deduplicate boolean DEFAULT true, keep_deleted boolean DEFAULT true, columns text[] DEFAULT NULL::text[], OUT trigger_name text', 'SETOF text', 'v', 'u', false),
    ('auto_retry_failed_sync_jobs', '', 'bigint', 'v', 'u', false),
    ('cancel_sync_job', 'id bigint, reason text DEFAULT NULL::text, running boolean DEFAULT false', 'sync_job', 'v', 'u', false),
    ('cancel_sync_job', 'ids bigint[], reason text DEFAULT NULL::text, running boolean DEFAULT false', 'SETOF sync_job', 'v', 'u', false),
    ('cancel_sync_job', 'id text, reason text DEFAULT NULL::text, running boolean DEFAULT false', 'sync_job', 'v', 'u', false),
    ('cancel_sync_jobs', 'ids bigint[], reason text DEFAULT NULL::text, running boolean DEFAULT false', 'SETOF sync_job', 'v', 'u', false),
    ('clear_all_sync_jobs', '', 'bigint', 'v', 'u', true),
    ('clear_old_sync_jobs', 'days integer DEFAULT 30, max_jobs integer DEFAULT 10000', 'bigint', 'v', 'u', true),
    ('clear_sync_job_logs', 'IN days integer DEFAULT NULL::integer', NULL, 'v', 'u', false),
    ('compare_sync_documents', 'sync_job_type text, condition text DEFAULT NULL::text, max_rows integer DEFAULT 1000, OUT difference text, OUT source_document_name text, OUT target_document_name text, OUT diff jsonb, OUT waiting boolean, OUT documents bigint', 'SETOF record', 'v', 'u', false),
    ('create_sync_job_boilerplate', 'sync_job_type text, language text DEFAULT ''plpgsql''::text', 'text', 'v', 'u', true),
    ('current_sync_job', '', 'bigint', 's', 'r', false),
    ('delete_sync_job', 'id bigint', 'void', 'v', 'u', false),
    ('detach_sync_job_triggers', 'sync_job_type text, source regclass, OUT trigger_name text', 'SETOF text', 'v', 'u', true),
    ('disable_sync_job_schedules', '', 'void', 'v', 'u', false),
    ('enable_sync_job_schedules', 'OUT cron_job text', 'SETOF text', 'v', 'u', false),
    ('enqueue_background_job', 'procedure text, args jsonb DEFAULT NULL::jsonb, queue text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, job_id text DEFAULT NULL::text, deduplicate boolean DEFAULT false, scheduled_at timestamp with time zone DEFAULT NULL::timestamp with time zone, priority integer DEFAULT NULL::integer, at_front boolean DEFAULT false, now boolean DEFAULT false, on_success text DEFAULT NULL::text, on_failure text DEFAULT NULL::text, after bigint[] DEFAULT NULL::bigint[], after_failure text DEFAULT ''cancel''::text, job_group text DEFAULT NULL::text, title text DEFAULT NULL::text, max_retries integer DEFAULT 0, retry_delay interval DEFAULT NULL::interval, verbose_logging boolean DEFAULT false, publish_event boolean DEFAULT false', 'bigint', 'v', 'u', false),
    ('enqueue_sync_job', 'params jsonb', 'bigint', 'v', 'u', false),
    ('execute_sync_job', 'IN id bigint, INOUT job sync_job', NULL, 'v', 'u', false),
    ('execute_sync_job', 'id bigint', 'sync_job', 'v', 'u', false),
    ('get_source_document', 'sync_job sync_job', 'jsonb', 'v', 'u', true),
    ('get_sync_document', 'document_type regclass, name text', 'jsonb', 'v', 'u', true),
    ('get_sync_job_checkpoint', '', 'jsonb', 'v', 'u', false),
    ('get_sync_job_status', 'id bigint, OUT status text, OUT created_at timestamp with time zone, OUT scheduled_at timestamp with time zone, OUT started_at timestamp with time zone, OUT ended_at timestamp with time zone, OUT retry_count integer, OUT retry_after timestamp with time zone', 'record', 'v', 'u', false),
    ('get_sync_job_status', 'job_id text, OUT id bigint, OUT status text, OUT percent numeric, OUT created_at timestamp with time zone, OUT started_at timestamp with time zone, OUT ended_at timestamp with time zone, OUT result jsonb, OUT error_message text', 'record', 'v', 'u', false),
    ('get_target_document', 'sync_job sync_job, for_update boolean DEFAULT false', 'jsonb', 'v', 'u', true),
    ('get_trigger_document', 'sync_job sync_job', 'jsonb', 'v', 'u', true),
    ('grant_sync_job_access', 'role regrole, level text', 'void', 'v', 'u', true),
    ('grant_sync_job_type', 'name text, role regrole', 'void', 'v', 'u', true),
    ('pause_sync_job_queue', 'queue text', 'void', 'v', 'u', true),
    ('enqueue_compare', 'sync_job_type text, condition text DEFAULT NULL::text, max_rows integer DEFAULT 1000, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, timeout interval DEFAULT NULL::interval, scheduled_at timestamp with time zone DEFAULT NULL::timestamp with time zone, job_id text DEFAULT NULL::text, deduplicate boolean DEFAULT false', 'bigint', 'v', 'u', false),
    ('enqueue_full_sync', 'sync_job_type text, condition text DEFAULT NULL::text, dry_run boolean DEFAULT false, delete_surplus boolean DEFAULT false, max_change_percent numeric DEFAULT 50, max_changes bigint DEFAULT NULL::bigint, max_delete_percent numeric DEFAULT 10, documents_per_second integer DEFAULT NULL::integer, chunk_size integer DEFAULT 500, check_first boolean DEFAULT false, adopt boolean DEFAULT false, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, scheduled_at timestamp with time zone DEFAULT NULL::timestamp with time zone, job_id text DEFAULT NULL::text, deduplicate boolean DEFAULT false', 'bigint', 'v', 'u', false),
    ('pause_sync_job', 'id bigint', 'sync_job', 'v', 'u', false),
    ('pause_sync_job_type', 'sync_job_type text', 'void', 'v', 'u', true),
    ('pause_sync_job_schedule', 'name text', 'void', 'v', 'u', true),
    ('resume_sync_job_schedule', 'name text', 'void', 'v', 'u', true),
    ('publish_sync_job_event', 'event text, message jsonb DEFAULT NULL::jsonb', 'void', 'v', 'u', false),
    ('report_sync_job_progress', 'percent numeric, title text DEFAULT NULL::text, description text DEFAULT NULL::text', 'void', 'v', 'u', false),
    ('resume_sync_job_queue', 'queue text', 'void', 'v', 'u', true),
    ('resume_sync_job_type', 'sync_job_type text', 'void', 'v', 'u', true),
    ('retry_sync_job', 'id bigint, context jsonb DEFAULT NULL::jsonb', 'sync_job', 'v', 'u', false),
    ('retry_sync_job', 'ids bigint[], context jsonb DEFAULT NULL::jsonb', 'SETOF sync_job', 'v', 'u', false),
    ('rerun_sync_job', 'id bigint, context jsonb DEFAULT NULL::jsonb', 'bigint', 'v', 'u', false),
    ('retry_sync_job', 'id text, context jsonb DEFAULT NULL::jsonb', 'sync_job', 'v', 'u', false),
    ('retry_sync_jobs', 'ids bigint[], context jsonb DEFAULT NULL::jsonb', 'SETOF sync_job', 'v', 'u', false),
    ('revert_sync_job', 'id bigint', 'bigint', 'v', 'u', false),
    ('revoke_sync_job_access', 'role regrole, level text', 'void', 'v', 'u', true),
    ('revoke_sync_job_type', 'name text, role regrole', 'void', 'v', 'u', true),
    ('run_sync_job_schedule', 'name text', 'bigint', 'v', 'u', true),
    ('run_sync_jobs', 'IN queue text DEFAULT NULL::text, IN max_jobs integer DEFAULT NULL::integer', NULL, 'v', 'u', false),
    ('schedule_full_sync', 'name text, schedule text, sync_job_type text, condition text DEFAULT NULL::text, dry_run boolean DEFAULT false, delete_surplus boolean DEFAULT false, max_change_percent numeric DEFAULT 50, max_changes bigint DEFAULT NULL::bigint, max_delete_percent numeric DEFAULT 10, documents_per_second integer DEFAULT NULL::integer, chunk_size integer DEFAULT 500, check_first boolean DEFAULT false, adopt boolean DEFAULT false, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer', 'void', 'v', 'u', false),
    ('apply_sync_jobs', 'ids bigint[] DEFAULT NULL::bigint[], run bigint DEFAULT NULL::bigint, conflicts text DEFAULT ''fail''::text, OUT sync_job bigint, OUT source_document_name text, OUT target_document_type regclass, OUT target_document_name text, OUT outcome text, OUT fields text[], OUT detail text, OUT recorded_by bigint', 'SETOF record', 'v', 'u', false),
    ('revert_sync_jobs', 'ids bigint[] DEFAULT NULL::bigint[], run bigint DEFAULT NULL::bigint, conflicts text DEFAULT ''fail''::text, OUT sync_job bigint, OUT source_document_name text, OUT target_document_type regclass, OUT target_document_name text, OUT outcome text, OUT fields text[], OUT detail text, OUT recorded_by bigint', 'SETOF record', 'v', 'u', false),
    ('enqueue_apply', 'ids bigint[] DEFAULT NULL::bigint[], run bigint DEFAULT NULL::bigint, conflicts text DEFAULT ''fail''::text, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, timeout interval DEFAULT NULL::interval, scheduled_at timestamp with time zone DEFAULT NULL::timestamp with time zone, job_id text DEFAULT NULL::text', 'bigint', 'v', 'u', false),
    ('enqueue_revert', 'ids bigint[] DEFAULT NULL::bigint[], run bigint DEFAULT NULL::bigint, conflicts text DEFAULT ''fail''::text, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, timeout interval DEFAULT NULL::interval, scheduled_at timestamp with time zone DEFAULT NULL::timestamp with time zone, job_id text DEFAULT NULL::text', 'bigint', 'v', 'u', false),
    ('schedule_sync_job', 'name text, schedule text, sync_job_type text DEFAULT NULL::text, procedure text DEFAULT NULL::text, params jsonb DEFAULT NULL::jsonb, queue text DEFAULT NULL::text, overlap boolean DEFAULT false', 'void', 'v', 'u', false),
    ('set_sync_job_checkpoint', 'checkpoint jsonb', 'void', 'v', 'u', false),
    ('start_sync_job', 'id bigint', 'sync_job', 'v', 'u', false),
    ('start_sync_job', 'ids bigint[]', 'SETOF sync_job', 'v', 'u', false),
    ('start_sync_job', 'id text', 'sync_job', 'v', 'u', false),
    ('start_sync_jobs', 'ids bigint[]', 'SETOF sync_job', 'v', 'u', false),
    ('sync_job_result', 'target_document_type regclass DEFAULT NULL::regclass, target_document_name text DEFAULT NULL::text, operation text DEFAULT NULL::text, diff jsonb DEFAULT NULL::jsonb', 'sync_job_result', 'i', 's', false),
    ('sync_job_target', 'operation text, target_document_type regclass DEFAULT NULL::regclass, target_document_name text DEFAULT NULL::text, context jsonb DEFAULT NULL::jsonb', 'sync_job_target', 'i', 's', false),
    ('sync_job_trigger', '', 'trigger', 'v', 'u', false),
    ('unschedule_sync_job', 'name text', 'void', 'v', 'u', true),
    ('export_sync_job_type', 'name text', 'text', 'v', 'u', false),
    ('validate_sync_job_type', 'name text, OUT severity text, OUT object text, OUT message text, OUT detail text, OUT hint text, OUT field text', 'SETOF record', 'v', 'u', false),
    ('validate_sync_job_type_definition', 'definition jsonb, OUT severity text, OUT object text, OUT message text, OUT detail text, OUT hint text, OUT field text', 'SETOF record', 'v', 'u', false),
    ('wait_for_sync_job', 'IN id bigint, IN timeout interval DEFAULT NULL::interval', NULL, 'v', 'u', false),
    ('wait_for_sync_jobs', 'IN ids bigint[] DEFAULT NULL::bigint[], IN job_group text DEFAULT NULL::text, IN timeout interval DEFAULT NULL::interval', NULL, 'v', 'u', false);
-- The long forms of enqueueing take the same from the third argument on.
INSERT INTO expected
SELECT name, first_two || ', context jsonb DEFAULT NULL::jsonb, operation text DEFAULT NULL::text, source_document_type regclass DEFAULT NULL::regclass, target_document_type regclass DEFAULT NULL::regclass, target_document_name text DEFAULT NULL::text, parent_sync_job bigint DEFAULT NULL::bigint, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, timeout interval DEFAULT NULL::interval, retry_delay interval DEFAULT NULL::interval, max_retries integer DEFAULT NULL::integer, scheduled_at timestamp with time zone DEFAULT NULL::timestamp with time zone, trigger_type text DEFAULT ''Manual''::text, triggered_by_document_type regclass DEFAULT NULL::regclass, triggered_by_document_name text DEFAULT NULL::text, trigger_document_timestamp timestamp with time zone DEFAULT NULL::timestamp with time zone, queue_on_insert boolean DEFAULT true, dry_run boolean DEFAULT false, insert_enabled boolean DEFAULT NULL::boolean, update_enabled boolean DEFAULT NULL::boolean, delete_enabled boolean DEFAULT NULL::boolean, update_without_changes_enabled boolean DEFAULT false, verbose_logging boolean DEFAULT NULL::boolean, job_id text DEFAULT NULL::text, deduplicate boolean DEFAULT false, target_doc record DEFAULT NULL::record, triggered_by_doc record DEFAULT NULL::record' || CASE WHEN name = 'enqueue_sync_jobs' THEN ', job_group text DEFAULT NULL::text' ELSE '' END,
    'bigint', 'v', 'u', false
FROM (VALUES
    ('enqueue_sync_job', 'sync_job_type text, source_document_name text DEFAULT NULL::text'),
    ('enqueue_sync_job', 'sync_job_type text, source_doc anyelement'),
    ('enqueue_sync_jobs', 'sync_job_type text, source_document_names text[]')) AS form (name, first_two);

CREATE TEMPORARY VIEW actual AS
    SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result, p.*
    FROM pg_proc AS p
    JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_sync_job';

SELECT ok(
    EXISTS (SELECT FROM actual AS a WHERE a.name = e.name AND a.arguments = e.arguments AND a.result IS NOT DISTINCT FROM e.result
        AND (a.provolatile, a.proparallel, a.proisstrict) = (e.volatility, e.parallel, e.strict)),
    format('%s(%s)%s, %s, %s%s', e.name, e.arguments, ' returns ' || e.result, e.volatility, e.parallel, CASE WHEN e.strict THEN ', strict' END))
FROM expected AS e;
SELECT is_empty(
    $$SELECT oid::regprocedure FROM actual AS a WHERE pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM expected AS e WHERE e.name = a.name AND e.arguments = a.arguments)$$,
    'no other function in the schema of the user');

-- Whatever is there, also what is not listed above.
SELECT is_empty(
    $$SELECT oid::regprocedure FROM actual WHERE prosecdef
        AND NOT EXISTS (SELECT FROM unnest(proconfig) AS c WHERE c LIKE 'search_path=%pg_temp')$$,
    'no SECURITY DEFINER function without a pinned search_path');
SELECT set_eq(
    $$SELECT proname::text FROM actual WHERE pronamespace = 'sync_job_internal'::regnamespace
        AND has_function_privilege('public', oid, 'EXECUTE')$$,
    ARRAY['act_on_jobs', 'activity', 'await_node', 'call_node', 'connect_node', 'disconnect_node', 'job_of_node', 'read_nodes', 'take_setup', 'this_node', 'find_in_the_way', 'find_trouble_of_queue', 'has_level', 'in_the_way', 'may_read', 'next_cron_time', 'preloaded', 'run_committing_job', 'trouble_of_queue', 'waiting_elsewhere', 'write_type'],
    'of sync_job_internal PUBLIC may call what views, policies, workers, the console and other nodes need, and nothing else');

-- Many drivers send parameters without types: of the functions of a name, one must fit best, however many arguments are given.
CREATE FUNCTION pg_temp.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'PREPARE untyped AS ' || statement;
    DEALLOCATE untyped;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
SELECT is_empty(
    $$SELECT statement, pg_temp.error_of(statement)
      FROM actual, generate_series(pronargs::int - pronargdefaults, pronargs::int) AS n,
          LATERAL (SELECT format('SELECT %I(%s)', name, string_agg('$' || i, ', ')) AS statement FROM generate_series(1, n) AS i) AS s
      WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND prorettype <> 'trigger'::regtype AND pg_temp.error_of(statement) IS NOT NULL$$,
    'each function resolves from parameters without types');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM actual WHERE pronargs > 0 AND coalesce(array_length(proargnames, 1), 0) < pronargs$$,
    'every argument has a name');

SELECT * FROM finish();
ROLLBACK;
