-- Whose the extension's objects are, what PUBLIC may do with them, and that no name in them is left to a search_path.
BEGIN;
SELECT no_plan();

CREATE TEMPORARY VIEW member AS
    SELECT d.classid, d.objid FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    WHERE e.extname = 'pg_sync_job';
CREATE TEMPORARY VIEW member_function AS
    SELECT p.*, l.lanname FROM member AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    JOIN pg_language AS l ON l.oid = p.prolang;
CREATE TEMPORARY VIEW member_relation AS
    SELECT c.*, n.nspname FROM member AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace;

-- ---- Ownership ----
SELECT is_empty(
    $$SELECT i.type, i.identity FROM member AS m CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) AS i
      LEFT JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
      LEFT JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
      LEFT JOIN pg_namespace AS n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
      LEFT JOIN pg_type AS t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
      WHERE coalesce(p.proowner, c.relowner, n.nspowner, t.typowner) <> (SELECT extowner FROM pg_extension WHERE extname = 'pg_sync_job')
        AND i.type NOT IN ('trigger', 'policy')$$,
    'everything belongs to the owner of the extension');
SELECT ok((SELECT rolsuper FROM pg_roles WHERE oid = (SELECT extowner FROM pg_extension WHERE extname = 'pg_sync_job')), 'who is a superuser');

-- ---- Schemas ----
SELECT schema_privs_are('sync_job_internal', 'public', ARRAY['USAGE'], 'PUBLIC may look into sync_job_internal, and make nothing there');

-- ---- Tables ----
CREATE TEMPORARY TABLE expected_right (relation text, rights text[]);
INSERT INTO expected_right VALUES
    ('public.sync_job', '{SELECT}'), ('public.sync_job_error', '{SELECT}'), ('public.sync_job_document', '{SELECT}'), ('public.sync_job_document_history', '{SELECT}'), ('public.sync_job_type', '{INSERT,SELECT}'),
    ('public.sync_job_queue', '{SELECT}'), ('public.sync_job_event', '{SELECT}'), ('public.sync_job_schedule', '{SELECT}'),
    ('public.sync_job_setup_error', '{SELECT}'), ('public.sync_job_type_change', '{SELECT}'), ('public.sync_job_alert', '{DELETE,INSERT,SELECT,UPDATE}'), ('public.sync_job_freshness', '{SELECT}'), ('public.sync_job_node', '{SELECT}'), ('public.sync_job_node_status', '{SELECT}'), ('public.sync_job_everywhere', '{SELECT}'), ('public.sync_job_queue_status_everywhere', '{SELECT}'), ('public.sync_job_freshness_everywhere', '{SELECT}'), ('sync_job_internal.last_success', '{SELECT}'), ('sync_job_internal.type_grant', '{SELECT}'), ('public.sync_job_activity', '{SELECT}'), ('public.sync_job_stats', '{SELECT}'), ('public.sync_job_queue_status', '{SELECT}'),
    ('public.sync_job_relay', '{SELECT}'), ('public.sync_job_recent', '{SELECT}'), ('public.sync_job_schedules', '{SELECT}'),
    -- pg_dump reads sequences whatever it dumps
    ('sync_job_internal.sync_job_id_seq', '{SELECT}'), ('public.sync_job_deleted_document_id_seq', '{SELECT}'), ('public.sync_job_event_id_seq', '{SELECT}');
SELECT set_eq(
    $$SELECT format('%s.%s', r.nspname, r.relname), array_agg(a.privilege_type ORDER BY a.privilege_type)
      FROM member_relation AS r CROSS JOIN LATERAL aclexplode(r.relacl) AS a WHERE a.grantee = 0 GROUP BY 1$$,
    'SELECT * FROM expected_right',
    'PUBLIC reads what filters for itself, and may try to insert a type');
SELECT is_empty(
    $$SELECT r.relname, a.privilege_type FROM member_relation AS r CROSS JOIN LATERAL aclexplode(r.relacl) AS a
      WHERE a.grantee NOT IN (0, r.relowner)$$,
    'nobody else is given anything');
SELECT is_empty(
    $$SELECT r.relname, t.attname FROM member_relation AS r JOIN pg_attribute AS t ON t.attrelid = r.oid WHERE t.attacl IS NOT NULL$$,
    'no rights on columns');
-- What PUBLIC may read row by row has policies; so has what must stay closed where somebody is given all tables of the schema.
SELECT set_eq(
    $$SELECT relname::text FROM member_relation WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relrowsecurity$$,
    ARRAY['sync_job_queue'],
    'every table of users has row-level security, but that of the queues');
SELECT set_eq(
    $$SELECT tablename || '.' || policyname, cmd FROM pg_policies WHERE tablename LIKE 'sync_job%'$$,
    $$VALUES ('sync_job.see', 'SELECT'), ('sync_job_error.job', 'SELECT'), ('sync_job_document.job', 'SELECT'), ('sync_job_type.see', 'SELECT'),
             ('sync_job_type.make', 'INSERT'), ('sync_job_type.change', 'UPDATE'), ('sync_job_type.remove', 'DELETE'),
             ('sync_job_setup_error.type', 'SELECT'), ('sync_job_type_change.see', 'SELECT'), ('sync_job_alert.see', 'SELECT'), ('sync_job_alert.make', 'INSERT'), ('sync_job_alert.change', 'UPDATE'), ('sync_job_alert.remove', 'DELETE'), ('sync_job_schedule.owner', 'SELECT'), ('sync_job_event.everybody', 'SELECT'), ('sync_job_node.everybody', 'SELECT')$$,
    'the policies');
SELECT is_empty(
    $$SELECT relname FROM member_relation WHERE relkind = 'v' AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)$$,
    'every view reads with the rights of who asks');
SELECT is_empty(
    $$SELECT relname FROM member_relation WHERE relforcerowsecurity$$,
    'the owner, as which the engine works, is not subject to the policies');

-- ---- Functions ----
SELECT set_eq(
    'SELECT proname::text FROM member_function WHERE prosecdef',
    ARRAY['waiting_elsewhere', 'preloaded', 'this_node'],
    'the functions that run with the rights of their owner');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM member_function
      WHERE prosecdef AND (proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig))$$,
    'have a search_path');
-- C functions run no SQL but through statements with a path of their own; a parsed body has no names left. One that commits
-- cannot have a SET clause: every name in it is qualified (the lint suite looks).
SELECT set_eq(
    $$SELECT proname::text FROM member_function
      WHERE lanname <> 'c' AND prosqlbody IS NULL
        AND (proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig))$$,
    ARRAY['clear_sync_job_logs'],
    'every function has a search_path, or needs none');
SELECT set_eq(
    $$SELECT DISTINCT lanname::text FROM member_function$$, ARRAY['c', 'sql', 'plpgsql'], 'the languages');
SELECT set_eq(
    $$SELECT proname::text FROM member_function WHERE NOT has_function_privilege('public', oid, 'EXECUTE')$$,
    ARRAY['adopt_sync_jobs', 'clear_all_sync_jobs', 'clear_old_sync_jobs', 'clear_sync_job_logs', 'enable_sync_job_schedules',
        'disable_sync_job_schedules', 'set_sync_job_node', 'check_queue', 'check_type', 'note_type_change', 'check_http_options', 'check_alert', 'delete_sync_job', 'types_changed', 'rows_restored', 'wake_launcher'],
    'what PUBLIC may not call');
SELECT set_eq(
    $$SELECT DISTINCT proname::text FROM member_function WHERE has_function_privilege('public', oid, 'EXECUTE')$$,
    ARRAY[
        -- for everybody; they check whom they serve
        'enqueue_sync_job', 'enqueue_sync_jobs', 'enqueue_background_job', 'start_sync_job', 'retry_sync_job', 'cancel_sync_job',
        'start_sync_jobs', 'retry_sync_jobs', 'cancel_sync_jobs', 'rerun_sync_job', 'execute_sync_job', 'run_sync_jobs', 'wait_for_sync_job', 'wait_for_sync_jobs', 'apply_sync_job', 'revert_sync_job', 'apply_sync_jobs', 'revert_sync_jobs', 'enqueue_apply', 'enqueue_revert', 'get_sync_job_status',
        'get_sync_document', 'get_source_document', 'get_trigger_document', 'get_target_document', 'validate_sync_job_type', 'validate_sync_job_type_definition', 'export_sync_job_type',
        'compare_sync_documents', 'enqueue_compare', 'enqueue_full_sync', 'pause_sync_job', 'create_sync_job_boilerplate', 'attach_sync_job_triggers', 'detach_sync_job_triggers', 'sync_job_trigger',
        'schedule_sync_job', 'schedule_full_sync', 'unschedule_sync_job', 'run_sync_job_schedule', 'pause_sync_job_schedule', 'resume_sync_job_schedule', 'pause_sync_job_queue', 'resume_sync_job_queue',
        'pause_sync_job_type', 'resume_sync_job_type', 'act_on_jobs', 'write_type', 'sync_job_metrics', 'watch_sync_jobs',
        'get_sync_job', 'sync_jobs_everywhere', 'propagate_sync_job_setup', 'connect_node', 'await_node', 'disconnect_node', 'call_node', 'read_nodes', 'job_of_node', 'take_setup', 'this_node',
        'auto_retry_failed_sync_jobs', 'grant_sync_job_type', 'revoke_sync_job_type', 'grant_sync_job_access', 'revoke_sync_job_access',
        -- of the job in one's own session
        'current_sync_job', 'report_sync_job_progress', 'get_sync_job_checkpoint', 'set_sync_job_checkpoint',
        -- harmless
        'sync_job_target', 'sync_job_result', 'publish_sync_job_event', 'next_cron_time',
        -- what views, policies and workers call
        'activity', 'trouble_of_queue', 'find_trouble_of_queue', 'find_in_the_way', 'waiting_elsewhere', 'in_the_way', 'preloaded', 'has_level', 'may_read', 'run_committing_job'],
    'what PUBLIC may call: a new function is added here, with its reason');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM member_function WHERE proleakproof$$, 'none says that it is leakproof');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM member_function WHERE proparallel = 's' AND lanname = 'c' AND proname <> 'next_cron_time'$$,
    'none is run by a parallel worker, which knows nothing of the session''s job');

-- ---- Comments, also in the schema that is not for users ----
SELECT is_empty(
    $$SELECT i.type, i.identity FROM member AS m CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) AS i
      WHERE i.type IN ('schema', 'table', 'view', 'composite type', 'function', 'procedure')
        AND obj_description(m.objid, m.classid::regclass::name) IS NULL$$,
    'everything has a comment');

-- ---- Dumped: who has which rights is part of it ----
SELECT ok((SELECT extconfig FROM pg_extension WHERE extname = 'pg_sync_job') @> ARRAY[t::oid], t || ' is dumped')
FROM unnest(ARRAY['sync_job_internal.access', 'sync_job_internal.type_grant', 'public.sync_job_type', 'public.sync_job_schedule', 'public.sync_job_node']::regclass[]) AS t;

-- A role or table that was dropped is a number in a dump, and another one where that is restored.
SELECT is_empty(
    $$SELECT c.relname, a.attname FROM pg_extension AS e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS d (relation, condition)
      JOIN pg_class AS c ON c.oid = d.relation JOIN pg_attribute AS a ON a.attrelid = c.oid
      WHERE e.extname = 'pg_sync_job' AND a.attnum > 0 AND a.atttypid IN ('regrole'::regtype, 'regclass'::regtype, 'oid'::regtype)
        -- who did it, which gives no right; and the home, which says that the place is another one
        AND (c.relname, a.attname) NOT IN (('sync_job_deleted_document', 'deleted_by'), ('sync_job_type_change', 'changed_by'), ('sync_job_event', 'created_by'), ('home', 'database'))
        AND a.attname <> 'enqueued_by'
        AND d.condition NOT LIKE '%.oid = ' || a.attname || ')%'$$,
    'every column that names a role or table is looked at before its row is dumped');
-- A restore is the only one to write jobs by SQL.
SELECT set_eq(
    $$SELECT t.tgrelid::regclass::text, t.tgenabled::text FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid WHERE p.proname = 'rows_restored'$$,
    $$VALUES ('sync_job', 'A'), ('sync_job_internal.sync_job_live', 'A'), ('sync_job_internal.sync_job_failed', 'A')$$,
    'jobs that come with a dump are marked, whatever session_replication_role says');

SELECT * FROM finish();
ROLLBACK;
