-- The data of the workload `console`: a history mostly of forty types, with rare ones and one from long ago, in which twenty jobs belong to a role of their own;
-- failed jobs with long errors; and waiting ones. fill_console(n) makes it, with n finished jobs of the last twenty days.
CREATE ROLE console_app LOGIN;
CREATE ROLE console_viewer LOGIN PASSWORD 'secret';
CREATE ROLE console_twenty LOGIN PASSWORD 'secret';
SELECT grant_sync_job_access('console_viewer', 'viewer');
CREATE SCHEMA app AUTHORIZATION console_app;
CREATE SCHEMA twenty AUTHORIZATION console_twenty;
CREATE TABLE app.source (id bigint PRIMARY KEY, name text, amount numeric);
CREATE TABLE app.target (id bigint PRIMARY KEY, source_id bigint UNIQUE, name text, amount numeric);
CREATE TABLE twenty.source (LIKE app.source INCLUDING ALL);
CREATE TABLE twenty.target (LIKE app.target INCLUDING ALL);
ALTER TABLE app.source OWNER TO console_app;
ALTER TABLE app.target OWNER TO console_app;
ALTER TABLE twenty.source OWNER TO console_twenty;
ALTER TABLE twenty.target OWNER TO console_twenty;
INSERT INTO app.source SELECT i, 'Customer ' || i, i FROM generate_series(1, 1000) AS i;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as)
SELECT name, (owner || '.source')::regclass, (owner || '.target')::regclass, '{"source_id": "id"}', '{"name": "name", "amount": "amount"}', role
FROM (SELECT 'Customer Sync ' || lpad(i::text, 2, '0'), 'app', 'console_app'::regrole FROM generate_series(1, 40) AS i
      UNION ALL SELECT n, 'app', 'console_app' FROM unnest('{Rare Sync,Uncommon Sync,Seldom Sync,Former Sync}'::text[]) AS n
      UNION ALL SELECT 'Own Sync', 'twenty', 'console_twenty') AS t (name, owner, role);

-- The jobs from first to last, of n.
CREATE FUNCTION fill_ended(n bigint, first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
INSERT INTO sync_job_internal.sync_job_ended (id, sync_job_type, title, status, source_document_type, source_document_name, target_document_type, target_document_name,
    operation, context, queue, priority, timeout, retry_delay, retry_backoff, max_retries, retry_count, insert_enabled, update_enabled, delete_enabled,
    update_without_changes_enabled, verbose_logging, dry_run, queue_on_insert, trigger_type, diff_summary, run_as, owner, enqueued_by, created_at, started_at,
    ended_at, time_taken, publish_event, worker_pid)
SELECT i, CASE WHEN own THEN 'Own Sync' WHEN i % (n / 20) = 17 THEN 'Rare Sync' WHEN i % 10000 = 18 THEN 'Uncommon Sync' WHEN i % 3333 = 19 THEN 'Seldom Sync'
        WHEN i BETWEEN n / 100 AND n / 4 AND i % 3 = 0 THEN 'Former Sync'
        ELSE 'Customer Sync ' || lpad((1 + floor(40 * power(random(), 3)))::int::text, 2, '0') END,
    'source > target: ' || document,
    CASE WHEN i % 20000 = 3 THEN 'Canceled' WHEN i % 1000 = 4 THEN 'Relayed' WHEN i % 20 = 5 THEN 'No Target' WHEN i % 10 = 6 THEN 'Skipped' ELSE 'Finished' END,
    (CASE WHEN own THEN 'twenty.source' ELSE 'app.source' END)::regclass, document, (CASE WHEN own THEN 'twenty.target' ELSE 'app.target' END)::regclass, document,
    'Update', jsonb_build_object('trigger_operation', 'Update', 'tenant', i % 1000), CASE WHEN i % 7 = 0 THEN 'long' ELSE 'default' END, 0, '5 min', '1 min', 'linear',
    3, 0, true, true, true, false, false, false, true, 'Document Hook',
    jsonb_build_object('name', jsonb_build_object('old', 'Customer ' || i, 'new', 'Customer ' || i || ' Ltd'), 'amount', jsonb_build_object('old', i, 'new', 9007199254740993 + i)),
    role, role, 'console_app'::regrole, at, at + '1 s', at + '2 s', '1 s', false, 4711
FROM (SELECT i, i % (n / 20) = n / 40 AS own, (1 + floor(random() * n / 20))::int::text AS document,
          (CASE WHEN i % (n / 20) = n / 40 THEN 'console_twenty' ELSE 'console_app' END)::regrole AS role,
          now() - interval '20 days' + i * (interval '20 days' / n) AS at
      FROM generate_series(first, last) AS i) AS s
$$;

-- Copies of these jobs, in another state.
CREATE FUNCTION fill_part(part text, first bigint, number bigint, changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                     WHERE attrelid = 'sync_job_internal.sync_job_ended'::regclass AND attnum > 0 AND NOT attisdropped);
    copied text := (SELECT string_agg(coalesce(changes ->> attname, 'j.' || quote_ident(attname)), ', ' ORDER BY attnum) FROM pg_attribute
                    WHERE attrelid = 'sync_job_internal.sync_job_ended'::regclass AND attnum > 0 AND NOT attisdropped);
BEGIN
    EXECUTE format('INSERT INTO sync_job_internal.%I (%s) SELECT %s FROM generate_series(0::bigint, %s) AS n
        JOIN sync_job_internal.sync_job_ended AS j ON j.id = 1 + n %% 1000', part, columns, copied, number - 1);
END $$;

CREATE PROCEDURE fill_console(n bigint) LANGUAGE plpgsql AS $$
DECLARE
    step CONSTANT bigint := 200000;
    created CONSTANT text := 'now() - interval ''1 day'' + n * interval ''0.1 s''';
BEGIN
    PERFORM pause_sync_job_queue(name) FROM sync_job_queue;
    FOR i IN 1 .. n BY step LOOP
        PERFORM fill_ended(n, i, least(i + step - 1, n));
        COMMIT;
    END LOOP;
    PERFORM fill_part('sync_job_failed', n + 1, n / 100, jsonb_build_object('id', format('n + %s', n + 1), 'status', '''Failed''', 'created_at', created,
        'started_at', created, 'ended_at', created || ' + interval ''1 s''',
        'error_message', '''duplicate key value violates unique constraint "target_source_id_key" Key (source_id)='' || n || '' already exists. '' || repeat(''PL/pgSQL function f line '' || n % 17 || '' '', 8)'));
    PERFORM fill_part('sync_job_live', n + n / 100 + 1, n / 200, jsonb_build_object('id', format('n + %s', n + n / 100 + 1), 'status', '''Queued''',
        'created_at', created, 'started_at', 'NULL', 'ended_at', 'NULL', 'time_taken', 'NULL', 'diff_summary', 'NULL'));
    INSERT INTO sync_job_error (sync_job, attempt, occurred_at, sqlstate, message, counted)
    SELECT id, 1, ended_at, '23505', 'duplicate key value violates unique constraint', true FROM sync_job_internal.sync_job_failed;
    PERFORM setval('sync_job_internal.sync_job_id_seq', n + n / 100 + n / 200);
END $$;
