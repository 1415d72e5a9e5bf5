-- The functions users call: their arguments, whose names are part of the contract, and their results.
BEGIN;
SELECT no_plan();

-- name(arguments) as pg_get_function_arguments() gives them, and the result; NULL: a procedure.
CREATE TEMPORARY TABLE expected (name name, arguments text, result text);
INSERT INTO expected VALUES
    ('sync_job_target', 'operation text, target_document_type regclass DEFAULT NULL::regclass, target_document_name text DEFAULT NULL::text, context jsonb DEFAULT NULL::jsonb', 'sync_job_target'),
    ('sync_job_result', 'target_document_type regclass DEFAULT NULL::regclass, target_document_name text DEFAULT NULL::text, operation text DEFAULT NULL::text, diff jsonb DEFAULT NULL::jsonb', 'sync_job_result'),
    ('enqueue_sync_job', 'params jsonb', 'bigint'),
    ('start_sync_job', 'id bigint', 'sync_job'),
    ('start_sync_job', 'ids bigint[]', 'SETOF sync_job'),
    ('retry_sync_job', 'id bigint, context jsonb DEFAULT NULL::jsonb', 'sync_job'),
    ('retry_sync_job', 'ids bigint[], context jsonb DEFAULT NULL::jsonb', 'SETOF sync_job'),
    ('cancel_sync_job', 'id bigint, reason text DEFAULT NULL::text, running boolean DEFAULT false', 'sync_job'),
    ('cancel_sync_job', 'ids bigint[], reason text DEFAULT NULL::text, running boolean DEFAULT false', 'SETOF sync_job'),
    ('execute_sync_job', 'id bigint', 'sync_job'),
    ('run_sync_jobs', 'IN queue text DEFAULT NULL::text, IN max_jobs integer DEFAULT NULL::integer', NULL),
    ('wait_for_sync_job', 'IN id bigint, IN timeout interval DEFAULT NULL::interval', NULL),
    ('current_sync_job', '', 'bigint'),
    ('adopt_sync_jobs', '', 'void'),
    ('get_sync_document', 'document_type regclass, name text', 'jsonb'),
    ('get_source_document', 'sync_job sync_job', 'jsonb'),
    ('get_trigger_document', 'sync_job sync_job', 'jsonb'),
    ('get_target_document', 'sync_job sync_job, for_update boolean DEFAULT false', 'jsonb'),
    ('apply_sync_job', 'id bigint', 'bigint'),
    ('revert_sync_job', 'id bigint', 'bigint'),
    ('pause_sync_job_queue', 'queue text', 'void'),
    ('resume_sync_job_queue', 'queue text', 'void'),
    ('auto_retry_failed_sync_jobs', '', 'bigint'),
    ('clear_all_sync_jobs', '', 'bigint'),
    ('grant_sync_job_access', 'role regrole, level text', 'void'),
    ('revoke_sync_job_access', 'role regrole, level text', 'void'),
    ('grant_sync_job_type', 'name text, role regrole', 'void'),
    ('revoke_sync_job_type', 'name text, role regrole', 'void'),
    ('sync_job_trigger', '', 'trigger');

CREATE TEMPORARY VIEW actual AS
    SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result, p.*
    FROM pg_proc AS p
    JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_sync_job';

SELECT ok(
    EXISTS (SELECT FROM actual AS a WHERE a.name = e.name AND a.arguments = e.arguments AND a.result IS NOT DISTINCT FROM e.result),
    format('%s(%s)%s', e.name, e.arguments, ' returns ' || e.result))
FROM expected AS e;

-- The long forms of enqueue_sync_job have the same arguments, but for what names the source document.
CREATE TEMPORARY VIEW enqueue AS
    SELECT pronargs, proargnames, proargtypes::regtype[] AS types FROM actual WHERE name = 'enqueue_sync_job' AND pronargs > 1;
SELECT is(count(*), 2::bigint, 'enqueue_sync_job by name and by document') FROM enqueue;
SELECT is(count(DISTINCT (proargnames[3:], types[2:])), 1::bigint, 'both take the same further arguments') FROM enqueue;
SELECT set_eq(
    'SELECT proargnames[2], types[1]::text FROM enqueue',
    $$VALUES ('source_document_name', 'text'), ('source_doc', 'anyelement')$$,
    'the second argument is the document''s name or the document');
SELECT is(proargnames[3:], ARRAY['context', 'operation', 'source_document_type', 'target_document_type', 'target_document_name',
    'parent_sync_job', 'queue', 'priority', 'timeout', 'retry_delay', 'max_retries', 'scheduled_at', 'trigger_type',
    'triggered_by_document_type', 'triggered_by_document_name', 'trigger_document_timestamp', 'queue_on_insert', 'dry_run',
    'insert_enabled', 'update_enabled', 'delete_enabled', 'update_without_changes_enabled', 'verbose_logging', 'job_id',
    'deduplicate', 'target_doc', 'triggered_by_doc'], 'the names of the further arguments')
FROM enqueue LIMIT 1;

-- Whatever is there, also what is not listed above.
SELECT is_empty(
    $$SELECT oid::regprocedure FROM actual WHERE prosecdef
        AND NOT EXISTS (SELECT FROM unnest(proconfig) AS c WHERE c LIKE 'search_path=%pg_temp')$$,
    'no SECURITY DEFINER function without a pinned search_path');
SELECT set_eq(
    $$SELECT proname::text FROM actual WHERE pronamespace = 'sync_job_internal'::regnamespace
        AND has_function_privilege('public', oid, 'EXECUTE')$$,
    ARRAY['activity', 'has_level', 'may_read', 'next_cron_time', 'preloaded', 'run_committing_job', 'waiting_elsewhere'],
    'of sync_job_internal PUBLIC may call what views, policies and workers need, and nothing else');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM actual WHERE pronargs > 0 AND coalesce(array_length(proargnames, 1), 0) < pronargs$$,
    'every argument has a name');

SELECT * FROM finish();
ROLLBACK;
