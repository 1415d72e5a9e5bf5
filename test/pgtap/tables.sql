-- The tables and views users read, their columns and the types of these: part of the contract, so nothing here may vanish
-- or change its type. A column may be added, and then belongs here.
BEGIN;
SELECT no_plan();

SELECT has_extension('pg_sync_job');
SELECT has_schema('sync_job_internal');

SELECT has_table('public', name::name, 'table ' || name)
FROM unnest(ARRAY['sync_job_queue', 'sync_job_type', 'sync_job_error', 'sync_job_setup_error', 'sync_job_type_change', 'sync_job_deleted_document', 'sync_job_alert', 'sync_job_node']) AS name;
SELECT is_partitioned('public', 'sync_job', 'jobs are partitioned by state');
SELECT has_view('public', name::name, 'view ' || name)
FROM unnest(ARRAY['sync_job_activity', 'sync_job_stats', 'sync_job_queue_status', 'sync_job_freshness', 'sync_job_node_status', 'sync_job_everywhere', 'sync_job_queue_status_everywhere', 'sync_job_freshness_everywhere']) AS name;

SELECT columns_are('public', 'sync_job_queue', ARRAY['name', 'max_workers', 'timeout', 'paused', 'publish_events']);
SELECT col_is_pk('public', 'sync_job_queue', 'name', 'a queue is known by its name');
SELECT col_is_pk('public', 'sync_job_type', 'name', 'a type is known by its name');

CREATE TEMPORARY TABLE expected (relation name, name name, type text);
INSERT INTO expected VALUES
    ('sync_job_node', 'node', 'integer'),
    ('sync_job_node', 'server', 'text'),
    ('sync_job_node_status', 'node', 'integer'),
    ('sync_job_node_status', 'server', 'text'),
    ('sync_job_node_status', 'version', 'text'),
    ('sync_job_node_status', 'note', 'text'),
    ('sync_job_everywhere', 'node', 'integer'),
    ('sync_job_everywhere', 'id', 'bigint'),
    ('sync_job_everywhere', 'sync_job_type', 'text'),
    ('sync_job_everywhere', 'title', 'text'),
    ('sync_job_everywhere', 'status', 'text'),
    ('sync_job_everywhere', 'source_document_type', 'text'),
    ('sync_job_everywhere', 'source_document_name', 'text'),
    ('sync_job_everywhere', 'target_document_type', 'text'),
    ('sync_job_everywhere', 'target_document_name', 'text'),
    ('sync_job_everywhere', 'operation', 'text'),
    ('sync_job_everywhere', 'queue', 'text'),
    ('sync_job_everywhere', 'priority', 'integer'),
    ('sync_job_everywhere', 'retry_count', 'integer'),
    ('sync_job_everywhere', 'retry_after', 'timestamp with time zone'),
    ('sync_job_everywhere', 'scheduled_at', 'timestamp with time zone'),
    ('sync_job_everywhere', 'created_at', 'timestamp with time zone'),
    ('sync_job_everywhere', 'started_at', 'timestamp with time zone'),
    ('sync_job_everywhere', 'ended_at', 'timestamp with time zone'),
    ('sync_job_everywhere', 'error_message', 'text'),
    ('sync_job_everywhere', 'job_id', 'text'),
    ('sync_job_everywhere', 'parent_sync_job', 'bigint'),
    ('sync_job_everywhere', 'run_as', 'text'),
    ('sync_job_everywhere', 'owner', 'text'),
    ('sync_job_everywhere', 'job', 'jsonb'),
    ('sync_job_queue_status_everywhere', 'node', 'integer'),
    ('sync_job_queue_status_everywhere', 'server', 'text'),
    ('sync_job_queue_status_everywhere', 'queue', 'text'),
    ('sync_job_queue_status_everywhere', 'paused', 'boolean'),
    ('sync_job_queue_status_everywhere', 'max_workers', 'integer'),
    ('sync_job_queue_status_everywhere', 'workers', 'bigint'),
    ('sync_job_queue_status_everywhere', 'running', 'bigint'),
    ('sync_job_queue_status_everywhere', 'waiting', 'bigint'),
    ('sync_job_queue_status_everywhere', 'scheduled', 'bigint'),
    ('sync_job_queue_status_everywhere', 'oldest_waiting', 'timestamp with time zone'),
    ('sync_job_queue_status_everywhere', 'note', 'text'),
    ('sync_job_queue_status_everywhere', 'failed', 'bigint'),
    ('sync_job_queue_status_everywhere', 'retrying', 'bigint'),
    ('sync_job_freshness_everywhere', 'node', 'integer'),
    ('sync_job_freshness_everywhere', 'server', 'text'),
    ('sync_job_freshness_everywhere', 'sync_job_type', 'text'),
    ('sync_job_freshness_everywhere', 'oldest_change', 'timestamp with time zone'),
    ('sync_job_freshness_everywhere', 'waiting', 'bigint'),
    ('sync_job_freshness_everywhere', 'running', 'bigint'),
    ('sync_job_freshness_everywhere', 'retrying', 'bigint'),
    ('sync_job_freshness_everywhere', 'failed', 'bigint'),
    ('sync_job_freshness_everywhere', 'last_success', 'timestamp with time zone'),
    ('sync_job_freshness_everywhere', 'per_minute', 'numeric'),
    ('sync_job_freshness_everywhere', 'latency_p50', 'interval'),
    ('sync_job_freshness_everywhere', 'latency_p95', 'interval'),
    ('sync_job_freshness_everywhere', 'note', 'text'),
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
    ('sync_job_type', 'insert_enabled', 'boolean'),
    ('sync_job_type', 'update_enabled', 'boolean'),
    ('sync_job_type', 'delete_enabled', 'boolean'),
    ('sync_job_type', 'set_size', 'integer'),
    ('sync_job_type', 'paused', 'boolean'),
    ('sync_job_type', 'source_condition', 'text'),
    ('sync_job_type', 'on_delete', 'text'),
    ('sync_job_type', 'ignore_synced', 'boolean'),
    ('sync_job_type', 'secret_columns', 'text[]'),
    ('sync_job_type', 'publish_starts', 'boolean'),
    ('sync_job_type', 'http', 'jsonb'),
    ('sync_job_type_change', 'sync_job_type', 'text'),
    ('sync_job_type_change', 'operation', 'text'),
    ('sync_job_type_change', 'changed_at', 'timestamp with time zone'),
    ('sync_job_type_change', 'changed_by', 'regrole'),
    ('sync_job_type_change', 'run_as', 'regrole'),
    ('sync_job_type_change', 'old', 'jsonb'),
    ('sync_job_type_change', 'new', 'jsonb'),
    ('sync_job_type', 'surplus_condition', 'text'),
    ('sync_job_type', 'library', 'text'),
    ('sync_job_type', 'library_trusted', 'boolean'),
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
    ('sync_job_error', 'context', 'text'),
    ('sync_job_error', 'counted', 'boolean'),
    ('sync_job', 'procedure', 'text'),
    ('sync_job', 'on_success', 'text'),
    ('sync_job', 'on_failure', 'text'),
    ('sync_job', 'after', 'bigint[]'),
    ('sync_job', 'after_failure', 'text'),
    ('sync_job', 'job_group', 'text'),
    ('sync_job', 'publish_event', 'boolean'), ('sync_job', 'depth', 'integer'), ('sync_job', 'documents', 'integer'), ('sync_job', 'source_documents', 'text[]'), ('sync_job', 'relation', 'text'), ('sync_job', 'held', 'boolean'),
    ('sync_job', 'worker_pid', 'integer'), ('sync_job', 'fingerprint', 'uuid'),
    ('sync_job', 'traceparent', 'text');

SELECT col_type_is('public', relation, name, type, format('%s.%s is %s', relation, name, type)) FROM expected;

-- Defaults, and the columns that must have a value.
CREATE TEMPORARY TABLE expected_default (relation regclass, name name, value text);
INSERT INTO expected_default VALUES
    ('sync_job_queue', 'max_workers', '2'), ('sync_job_queue', 'timeout', $$'00:05:00'::interval$$), ('sync_job_queue', 'paused', 'false'),
    ('sync_job_queue', 'publish_events', 'false'),
    ('sync_job_type', 'queue', $$'default'::text$$), ('sync_job_type', 'priority', '0'), ('sync_job_type', 'retry_delay', $$'00:01:00'::interval$$),
    ('sync_job_type', 'retry_backoff', $$'linear'::text$$), ('sync_job_type', 'max_retries', '3'), ('sync_job_type', 'verbose_logging', 'false'),
    ('sync_job_type', 'disabled', 'false'), ('sync_job_type', 'is_standard', 'false'), ('sync_job_type', 'publish_events', 'false'),
    ('sync_job_type', 'created_at', 'now()'), ('sync_job_type', 'modified_at', 'now()'), ('sync_job_type', 'insert_enabled', 'true'),
    ('sync_job_type', 'update_enabled', 'true'), ('sync_job_type', 'delete_enabled', 'true'), ('sync_job_type', 'paused', 'false'), ('sync_job_type', 'set_size', '1'),
    ('sync_job_type', 'on_delete', $$'delete'::text$$), ('sync_job_type', 'ignore_synced', 'false'), ('sync_job_type', 'publish_starts', 'false'),
    ('sync_job_event', 'created_at', 'now()'), ('sync_job_schedule', 'created_at', 'now()'), ('sync_job_schedule', 'paused', 'false'), ('sync_job_deleted_document', 'deleted_at', 'now()'), ('sync_job_deleted_document', 'is_deletion', 'true');
SELECT set_eq(
    $$SELECT attrelid::regclass, attname, pg_get_expr(adbin, adrelid)
        FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = ANY ('{sync_job,sync_job_queue,sync_job_type,sync_job_error,sync_job_event,sync_job_schedule,sync_job_deleted_document}'::regclass[])$$,
    'SELECT relation, name, value FROM expected_default',
    'these columns have these defaults, and no others');
SELECT set_eq(
    $$SELECT attname::text FROM pg_attribute WHERE attrelid = 'sync_job_type'::regclass AND attnum > 0 AND NOT attnotnull$$,
    ARRAY['source_document_type', 'target_document_type', 'source_key', 'target_key', 'module', 'field_map', 'match', 'batchable', 'timeout',
        'concurrency_limit', 'description', 'source_condition', 'secret_columns', 'surplus_condition', 'library', 'library_trusted', 'http'],
    'what may be null in sync_job_type');
SELECT set_eq(
    $$SELECT attname::text FROM pg_attribute WHERE attrelid = 'sync_job'::regclass AND attnum > 0 AND attnotnull$$,
    ARRAY['id', 'sync_job_type', 'title', 'status', 'queue', 'priority', 'timeout', 'retry_delay', 'retry_backoff', 'max_retries', 'retry_count',
        'insert_enabled', 'update_enabled', 'delete_enabled', 'update_without_changes_enabled', 'verbose_logging', 'dry_run', 'queue_on_insert',
        'trigger_type', 'run_as', 'owner', 'enqueued_by', 'created_at', 'publish_event'],
    'what a job always has');
SELECT is_empty(
    $$SELECT r.name, a.attname FROM (SELECT DISTINCT relation FROM expected) AS r (name) JOIN pg_attribute AS a ON a.attrelid = r.name::text::regclass
        WHERE a.attnum > 0 AND NOT a.attisdropped
        AND NOT EXISTS (SELECT FROM expected AS e WHERE e.relation = r.name AND e.name = a.attname)$$,
    'every column of these tables is listed here');
SELECT set_eq(
    $$SELECT format('%s: %s', c.oid::regclass, pg_get_expr(c.relpartbound, c.oid)) FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
        WHERE inhparent = 'sync_job'::regclass$$,
    $$VALUES ('sync_job_internal.sync_job_ended: FOR VALUES IN (''Finished'', ''Skipped'', ''No Target'', ''Relayed'', ''Canceled'')'),
        ('sync_job_internal.sync_job_failed: FOR VALUES IN (''Failed'')'),
        ('sync_job_internal.sync_job_live: FOR VALUES IN (''Pending'', ''Queued'', ''Started'')')$$,
    'the partitions of sync_job');
SELECT results_eq(
    'SELECT name COLLATE "default", timeout FROM sync_job_queue ORDER BY name',
    $$VALUES ('default', interval '5 minutes'), ('long', interval '25 minutes'), ('short', interval '5 minutes')$$,
    'the queues that are there from the start');
SELECT is_empty(
    $$SELECT c.oid::regclass FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_sync_job'
        WHERE c.relkind = 'r' AND c.relreplident NOT IN ('f', 'i') AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)$$,
    'rows of every table can be deleted where all tables are published');

SELECT is_empty(
    $$SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relkind = 'v' AND n.nspname = 'public' AND c.relname LIKE 'sync\_job%' AND a.atttypid IN ('regclass'::regtype, 'regrole'::regtype)
        AND NOT EXISTS (SELECT FROM pg_attribute AS t WHERE t.attrelid = c.oid AND t.attname = a.attname || '_name' AND t.atttypid = 'text'::regtype)$$,
    'each number of a relation or role in a view has its name beside it');

SELECT * FROM finish();
ROLLBACK;
