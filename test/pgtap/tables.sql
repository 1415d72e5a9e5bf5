-- The tables and views users read, their columns and the types of these: part of the contract, so nothing here may vanish
-- or change its type. A column may be added, and then belongs here.
BEGIN;
SELECT no_plan();

SELECT has_extension('pg_sync_job');
SELECT has_schema('sync_job_internal');

SELECT has_table('public', name::name, 'table ' || name)
FROM unnest(ARRAY['sync_job_queue', 'sync_job_type', 'sync_job_error', 'sync_job_deleted_document']) AS name;
SELECT is_partitioned('public', 'sync_job', 'jobs are partitioned by state');
SELECT has_view('public', name::name, 'view ' || name)
FROM unnest(ARRAY['sync_job_activity', 'sync_job_stats', 'sync_job_queue_status']) AS name;

SELECT columns_are('public', 'sync_job_queue', ARRAY['name', 'max_workers', 'timeout', 'paused', 'publish_events']);
SELECT col_is_pk('public', 'sync_job_queue', 'name', 'a queue is known by its name');
SELECT col_is_pk('public', 'sync_job_type', 'name', 'a type is known by its name');

CREATE TEMPORARY TABLE expected (relation name, name name, type text);
INSERT INTO expected VALUES
    ('sync_job_queue', 'name', 'text'),
    ('sync_job_queue', 'max_workers', 'integer'),
    ('sync_job_queue', 'timeout', 'interval'),
    ('sync_job_queue', 'paused', 'boolean'),
    ('sync_job_queue', 'publish_events', 'boolean'),
    ('sync_job_type', 'name', 'text'),
    ('sync_job_type', 'source_document_type', 'regclass'),
    ('sync_job_type', 'target_document_type', 'regclass'),
    ('sync_job_type', 'source_key', 'text[]'),
    ('sync_job_type', 'target_key', 'text[]'),
    ('sync_job_type', 'module', 'text'),
    ('sync_job_type', 'field_map', 'jsonb'),
    ('sync_job_type', 'match', 'jsonb'),
    ('sync_job_type', 'batchable', 'boolean'),
    ('sync_job_type', 'queue', 'text'),
    ('sync_job_type', 'priority', 'integer'),
    ('sync_job_type', 'timeout', 'interval'),
    ('sync_job_type', 'retry_delay', 'interval'),
    ('sync_job_type', 'retry_backoff', 'text'),
    ('sync_job_type', 'max_retries', 'integer'),
    ('sync_job_type', 'concurrency_limit', 'integer'),
    ('sync_job_type', 'verbose_logging', 'boolean'),
    ('sync_job_type', 'disabled', 'boolean'),
    ('sync_job_type', 'is_standard', 'boolean'),
    ('sync_job_type', 'run_as', 'regrole'),
    ('sync_job_type', 'publish_events', 'boolean'),
    ('sync_job_type', 'description', 'text'),
    ('sync_job_type', 'created_at', 'timestamp with time zone'),
    ('sync_job_type', 'modified_at', 'timestamp with time zone'),
    ('sync_job', 'id', 'bigint'),
    ('sync_job', 'sync_job_type', 'text'),
    ('sync_job', 'title', 'text'),
    ('sync_job', 'status', 'text'),
    ('sync_job', 'source_document_type', 'regclass'),
    ('sync_job', 'source_document_name', 'text'),
    ('sync_job', 'target_document_type', 'regclass'),
    ('sync_job', 'target_document_name', 'text'),
    ('sync_job', 'operation', 'text'),
    ('sync_job', 'context', 'jsonb'),
    ('sync_job', 'parent_sync_job', 'bigint'),
    ('sync_job', 'multiple_target_documents', 'jsonb'),
    ('sync_job', 'queue', 'text'),
    ('sync_job', 'priority', 'integer'),
    ('sync_job', 'timeout', 'interval'),
    ('sync_job', 'retry_delay', 'interval'),
    ('sync_job', 'retry_backoff', 'text'),
    ('sync_job', 'max_retries', 'integer'),
    ('sync_job', 'retry_count', 'integer'),
    ('sync_job', 'retry_after', 'timestamp with time zone'),
    ('sync_job', 'scheduled_at', 'timestamp with time zone'),
    ('sync_job', 'insert_enabled', 'boolean'),
    ('sync_job', 'update_enabled', 'boolean'),
    ('sync_job', 'delete_enabled', 'boolean'),
    ('sync_job', 'update_without_changes_enabled', 'boolean'),
    ('sync_job', 'verbose_logging', 'boolean'),
    ('sync_job', 'dry_run', 'boolean'),
    ('sync_job', 'queue_on_insert', 'boolean'),
    ('sync_job', 'trigger_type', 'text'),
    ('sync_job', 'triggered_by_document_type', 'regclass'),
    ('sync_job', 'triggered_by_document_name', 'text'),
    ('sync_job', 'trigger_document_timestamp', 'timestamp with time zone'),
    ('sync_job', 'job_id', 'text'),
    ('sync_job', 'current_data', 'jsonb'),
    ('sync_job', 'updated_data', 'jsonb'),
    ('sync_job', 'diff_summary', 'jsonb'),
    ('sync_job', 'error_message', 'text'),
    ('sync_job', 'messages', 'text'),
    ('sync_job', 'result', 'jsonb'),
    ('sync_job', 'checkpoint', 'jsonb'),
    ('sync_job', 'cancel_reason', 'text'),
    ('sync_job', 'run_as', 'regrole'),
    ('sync_job', 'owner', 'regrole'),
    ('sync_job', 'enqueued_by', 'regrole'),
    ('sync_job', 'created_at', 'timestamp with time zone'),
    ('sync_job', 'started_at', 'timestamp with time zone'),
    ('sync_job', 'ended_at', 'timestamp with time zone'),
    ('sync_job', 'time_taken', 'interval'),
    ('sync_job_error', 'sync_job', 'bigint'),
    ('sync_job_error', 'attempt', 'integer'),
    ('sync_job_error', 'occurred_at', 'timestamp with time zone'),
    ('sync_job_error', 'sqlstate', 'text'),
    ('sync_job_error', 'message', 'text'),
    ('sync_job_error', 'detail', 'text'),
    ('sync_job_error', 'hint', 'text'),
    ('sync_job_error', 'context', 'text');

SELECT col_type_is('public', relation, name, type, format('%s.%s is %s', relation, name, type)) FROM expected;

SELECT col_default_is('public', 'sync_job_type', name::name, value, format('default of sync_job_type.%s', name))
FROM (VALUES ('queue', 'default'), ('priority', '0'), ('retry_backoff', 'linear'), ('max_retries', '3'),
             ('verbose_logging', 'false'), ('disabled', 'false'), ('is_standard', 'false')) AS v (name, value);
SELECT results_eq(
    'SELECT name COLLATE "default", timeout FROM sync_job_queue ORDER BY name',
    $$VALUES ('default', interval '5 minutes'), ('long', interval '25 minutes'), ('short', interval '5 minutes')$$,
    'the queues that are there from the start');

SELECT * FROM finish();
ROLLBACK;
