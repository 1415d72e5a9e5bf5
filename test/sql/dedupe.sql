-- What deduplication takes for the same request, and what not. Sessions that meet are in test/isolation.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- nothing runs
\set SHOW_CONTEXT never
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
CREATE TABLE other (id int PRIMARY KEY, note text);
INSERT INTO source VALUES (1), (2);
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('S', 'source', 'target');
INSERT INTO sync_job_type (name, source_document_type) VALUES ('Open', 'source');
INSERT INTO sync_job_type (name) VALUES ('None');

-- The answer to a request: absorbed by the how manieth job, or a new one.
CREATE FUNCTION ask(request jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT count(*) FROM sync_job);
    answer bigint := enqueue_sync_job('{"sync_job_type": "S", "source_document_name": "1", "deduplicate": true}'::jsonb || request);
BEGIN
    RETURN CASE WHEN answer > before THEN 'job ' ELSE 'absorbed by ' END || answer;
END $$;
SELECT ask('{}');
SELECT ask('{}');
-- In which request what differs keeps them apart; each is asked twice.
SELECT r, ask(r), ask(r) FROM (VALUES
    ('{"source_document_name": "2"}'::jsonb),
    ('{"sync_job_type": "Open"}'),
    ('{"sync_job_type": "Open", "target_document_type": "target"}'),
    ('{"sync_job_type": "Open", "target_document_type": "other"}'),
    ('{"sync_job_type": "Open", "source_document_name": null, "job_id": "k"}'),
    ('{"sync_job_type": "None", "source_document_name": null, "job_id": "k"}'),
    ('{"sync_job_type": "None", "source_document_type": "other"}'),
    ('{"context": {}}'), ('{"context": {"a": 1, "b": [1, {"c": null}]}}'), ('{"context": {"a": 2}}'),
    ('{"operation": "insert"}'), ('{"operation": "UPDATE"}'), ('{"operation": "delete", "target_document_name": "3"}'),
    ('{"operation": "delete", "target_document_name": "4"}'),
    ('{"insert_enabled": false}'), ('{"update_enabled": false}'), ('{"delete_enabled": false}'),
    ('{"update_without_changes_enabled": true}'), ('{"verbose_logging": true}'), ('{"dry_run": true}'),
    ('{"job_id": "key"}'), ('{"job_id": "key", "source_document_name": "2"}'), ('{"job_id": "key2"}')) AS v (r);
-- What is the same all the same.
SELECT r, ask(r) FROM (VALUES
    ('{"source_document_name": " 01 "}'::jsonb), ('{"source_document_type": "source"}'), ('{"target_document_type": "target"}'),
    ('{"context": null}'), ('{"context": {"b": [1, {"c": null}], "a": 1.0}}'), ('{"operation": "update"}'), ('{"insert_enabled": true}'),
    ('{"verbose_logging": false}'), ('{"queue": "long"}'), ('{"priority": -5}'), ('{"timeout": 5}'), ('{"retry_delay": 5}'), ('{"max_retries": 9}'),
    ('{"trigger_type": "API"}'), ('{"triggered_by_document_type": "source", "triggered_by_document_name": "2"}')) AS v (r);
-- Two texts of one value are two names.
CREATE TABLE money (amount numeric PRIMARY KEY);
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Money', 'money', 'target');
SELECT ask('{"sync_job_type": "Money", "source_document_name": "1.0"}'), ask('{"sync_job_type": "Money", "source_document_name": "1.00"}'), ask('{"sync_job_type": "Money", "source_document_name": " 1.0"}');

-- Due no later: one that waits for its time absorbs only what may wait as long.
DELETE FROM sync_job;
ALTER SEQUENCE sync_job_internal.sync_job_id_seq RESTART;
SELECT ask('{"scheduled_at": "2100-01-02"}');
SELECT ask('{"scheduled_at": "2100-01-01"}');
SELECT ask('{"scheduled_at": "2100-01-01 12:00"}');
SELECT ask('{"scheduled_at": "2100-01-03"}');
SELECT ask('{}');
SELECT ask('{"scheduled_at": "2100-01-01"}');
SELECT ask('{"scheduled_at": "infinity"}');
SELECT id, scheduled_at FROM sync_job ORDER BY id;
SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM sync_job));
SELECT ask('{"scheduled_at": "2000-01-01"}');
SELECT ask('{}');

-- Only Queued ones absorb: not one that is Pending, has failed, been canceled, has ended.
DELETE FROM sync_job;
ALTER SEQUENCE sync_job_internal.sync_job_id_seq RESTART;
SELECT ask('{"queue_on_insert": false}'), ask('{"queue_on_insert": false}');
SELECT ask('{}');
SELECT status FROM start_sync_job(1);
SELECT status FROM cancel_sync_job(3);
SELECT ask('{}'), ask('{}');
SELECT status FROM execute_sync_job(1);
SELECT status FROM cancel_sync_job(2);
SELECT ask('{}');
SELECT status FROM retry_sync_job(1);
SELECT ask('{}');
-- Without deduplicate nothing is absorbed; but what it enqueues may absorb.
DELETE FROM sync_job;
ALTER SEQUENCE sync_job_internal.sync_job_id_seq RESTART;
SELECT ask('{"deduplicate": false}');
SELECT ask('{"deduplicate": false}');
SELECT ask('{}');
-- The children of a relayed job, and the job whose child one wants to be: not each other's.
SELECT ask('{"parent_sync_job": 1}'), ask('{"parent_sync_job": 1}'), ask('{"parent_sync_job": 2}');
SELECT ask('{}');

-- A request needs something to be known by.
SELECT ask('{"sync_job_type": "None", "source_document_name": null}');
SELECT ask('{"source_document_name": null, "context": {"a": 1}}');
-- Another owner's job is another job; both may run as the same role.
CREATE ROLE dedupe_one LOGIN;
CREATE ROLE dedupe_two LOGIN;
CREATE TABLE shared (id int PRIMARY KEY);
ALTER TABLE shared OWNER TO dedupe_one;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Shared', 'shared', 'shared');
SELECT grant_sync_job_type('Shared', 'dedupe_two');
DELETE FROM sync_job;
ALTER SEQUENCE sync_job_internal.sync_job_id_seq RESTART;
SET ROLE dedupe_one;
SELECT enqueue_sync_job('Shared', '1', deduplicate => true);
SET ROLE dedupe_two;
SELECT enqueue_sync_job('Shared', '1', deduplicate => true);
SELECT enqueue_sync_job('Shared', '1', deduplicate => true);
SET ROLE dedupe_one;
SELECT enqueue_sync_job('Shared', '1', deduplicate => true);
RESET ROLE;
SELECT id, owner, run_as FROM sync_job ORDER BY id;

-- A long list of what does not fit, and huge contexts, are read through.
DELETE FROM sync_job;
SELECT enqueue_sync_job('S', '1', jsonb_build_object('n', n)) > 0 AS done FROM generate_series(1, 2000) AS n OFFSET 1999;
SELECT enqueue_sync_job('S', '1', jsonb_build_object('n', 1999), deduplicate => true) = (SELECT id FROM sync_job WHERE context ->> 'n' = '1999') AS absorbed;
SELECT enqueue_sync_job('S', '1', jsonb_build_object('big', repeat('x', 10000000))) AS id \gset
SELECT enqueue_sync_job('S', '1', jsonb_build_object('big', repeat('x', 10000000)), deduplicate => true) = :id AS absorbed;
SELECT enqueue_sync_job('S', '1', jsonb_build_object('big', repeat('x', 9999999) || 'y'), deduplicate => true) > :id AS another;
DELETE FROM sync_job;
DELETE FROM sync_job_type WHERE name = 'Shared';
DROP OWNED BY dedupe_one, dedupe_two CASCADE;
DROP ROLE dedupe_one, dedupe_two;
