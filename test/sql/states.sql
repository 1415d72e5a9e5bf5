-- The states of a job, from each to each: start, cancel, retry, execute, wait; and every wrong state's error. No worker serves
-- the queues but "worked", for jobs that are to run beside this session.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;
INSERT INTO sync_job_queue (name, max_workers) VALUES ('worked', 1);
\getenv folder PG_ABS_SRCDIR
\set error_of :folder /setup/error_of.sql
\i :error_of

-- A controller that does what the context says.
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
CREATE TABLE other_target (id int PRIMARY KEY, note text);
INSERT INTO source SELECT n, 'note ' || n FROM generate_series(1, 9) AS n;
CREATE SCHEMA told;
CREATE FUNCTION told.get_multiple_target_documents(sync_job sync_job, source_doc source) RETURNS SETOF sync_job_target
LANGUAGE plpgsql AS $$
BEGIN
    IF sync_job.context ->> 'do' = 'nothing' THEN RETURN; END IF;
    IF sync_job.context ->> 'do' = 'fail' THEN RAISE EXCEPTION 'told to fail'; END IF;
    IF sync_job.context ->> 'do' = 'relay' THEN
        RETURN NEXT sync_job_target('insert', context => '{"do": "first"}');
        RETURN NEXT sync_job_target('insert', context => '{"do": "fail in update"}');
        RETURN;
    END IF;
    RETURN NEXT sync_job_target(CASE WHEN EXISTS (SELECT FROM target WHERE id = source_doc.id) THEN 'update' ELSE 'insert' END,
        target_document_name => source_doc.id::text);
END $$;
CREATE FUNCTION told.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    IF sync_job.context ->> 'do' = 'fail in update' THEN RAISE EXCEPTION 'told to fail in update'; END IF;
    IF sync_job.context ->> 'do' = 'wait' THEN PERFORM pg_sleep(300); END IF;
    target_doc.id := source_doc.id + CASE WHEN sync_job.context ->> 'do' = 'first' THEN 100 ELSE 0 END;
    target_doc.note := source_doc.note;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, retry_delay) VALUES ('Told', 'source', 'target', '1 hour');
CREATE FUNCTION enqueue(VARIADIC flags text[] DEFAULT '{}') RETURNS bigint LANGUAGE sql
    AS $$ SELECT enqueue_sync_job(jsonb_object(flags) || '{"sync_job_type": "Told"}') $$;
CREATE FUNCTION show(bigint) RETURNS TABLE (status text, retries int, retry_due boolean, started boolean, ended boolean, error text, context jsonb)
LANGUAGE sql AS $$
    SELECT j.status, j.retry_count, j.retry_after > now(), j.started_at IS NOT NULL, j.ended_at IS NOT NULL,
        split_part(j.error_message, E'\n', 1), j.context
    FROM sync_job AS j WHERE j.id = $1
$$;

-- ---- A job in each state ----

SELECT enqueue('source_document_name', '1', 'queue_on_insert', 'false') AS pending,
    enqueue('source_document_name', '1') AS queued,
    enqueue('source_document_name', '2') AS finished,
    enqueue('source_document_name', '2') AS skipped,
    enqueue_sync_job('Told', 3, '{"do": "nothing"}') AS no_target,
    enqueue_sync_job('Told', 4, '{"do": "fail"}') AS failed,
    enqueue_sync_job('Told', 5, '{"do": "relay"}') AS relayed,
    enqueue('source_document_name', '6') AS canceled \gset
SELECT status FROM execute_sync_job(:finished);
SELECT status FROM execute_sync_job(:skipped);
SELECT status FROM execute_sync_job(:no_target);
SELECT status FROM execute_sync_job(:failed);
SELECT status FROM execute_sync_job(:relayed);
SELECT status FROM cancel_sync_job(:canceled);
SELECT enqueue_sync_job('Told', 7, '{"do": "wait"}', queue => 'worked') AS started \gset
-- Waits until a worker has it.
DO $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN (SELECT status FROM sync_job WHERE queue = 'worked') = 'Started';
        COMMIT;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT status, count(*) FROM sync_job GROUP BY status ORDER BY status;

-- ---- What each state allows ----

CREATE PROCEDURE try(action text) LANGUAGE plpgsql AS $$
DECLARE
    job record;
BEGIN
    FOR job IN SELECT DISTINCT ON (status) id, status FROM sync_job ORDER BY status, id LOOP
        BEGIN
            EXECUTE format('SELECT status FROM %s', format(action, job.id)) INTO job.id;
        EXCEPTION
            WHEN invalid_text_representation THEN RAISE NOTICE '%: allowed', job.status;
            WHEN OTHERS THEN RAISE NOTICE '%: % %', job.status, SQLSTATE, regexp_replace(SQLERRM, 'sync job \d+', 'sync job …');
        END;
    END LOOP;
END $$;
CALL try('start_sync_job(%s)');
CALL try('retry_sync_job(%s)');
CALL try('cancel_sync_job(%s)');
CALL try('execute_sync_job(%s)');
-- With what they say more.
\pset format unaligned
SELECT error_of(format('SELECT start_sync_job(%s)', :finished)) AS "error";
SELECT error_of(format('SELECT retry_sync_job(%s)', :queued)) AS "error";
SELECT error_of(format('SELECT cancel_sync_job(%s)', :started)) AS "error";
SELECT error_of(format('SELECT execute_sync_job(%s)', :canceled)) AS "error";
\pset format aligned
SELECT status, count(*) FROM sync_job GROUP BY status ORDER BY status;

-- ---- cancel ----

-- A Started one, which a worker runs: the reason is kept, and the call returns when it has stopped.
SELECT status, cancel_reason, error_message, ended_at >= started_at AS ended FROM cancel_sync_job(:started, 'enough', running => true);
SELECT * FROM show(:started);
SELECT id FROM target WHERE id = 7;
-- running => true does not hurt one that does not run.
SELECT enqueue('source_document_name', '6') AS job \gset
SELECT status, cancel_reason, started_at, ended_at IS NOT NULL AS ended FROM cancel_sync_job(:job, running => true);
-- Of a Relayed one the children: one is Finished, one Failed.
CALL run_sync_jobs(max_jobs => 3);
SELECT status, operation, target_document_name, context, parent_sync_job = :relayed AS child FROM sync_job WHERE parent_sync_job IS NOT NULL ORDER BY id;
SELECT status FROM cancel_sync_job(:relayed, 'not wanted');
SELECT status, cancel_reason FROM sync_job WHERE parent_sync_job = :relayed ORDER BY id;
-- Canceled within a transaction that is rolled back.
SELECT enqueue('source_document_name', '8') AS job \gset
BEGIN;
SELECT status FROM cancel_sync_job(:job, 'changed my mind');
ROLLBACK;
SELECT status, cancel_reason FROM sync_job WHERE id = :job;

-- ---- retry ----

-- By hand, with the context as it was, then with another. The errors of all attempts are kept.
SELECT * FROM show(:failed);
SELECT status, retry_count, scheduled_at, retry_after FROM retry_sync_job(:failed);
SELECT * FROM show(:failed);
SELECT status FROM execute_sync_job(:failed);
SELECT * FROM show(:failed);
SELECT status, context FROM retry_sync_job(:failed, '{"do": "something"}');
SELECT status, target_document_name FROM execute_sync_job(:failed);
SELECT * FROM show(:failed);
SELECT attempt, message, counted FROM sync_job_error WHERE sync_job = :failed ORDER BY attempt;
-- It may exceed max_retries: a Failed one that is final waits for nothing.
SELECT enqueue_sync_job('Told', 4, '{"do": "fail"}', max_retries => 0) AS job \gset
SELECT status, retry_after FROM execute_sync_job(:job);
SELECT status, retry_count, max_retries FROM retry_sync_job(:job);
-- A retry discovers anew: what the failed attempt found does not stay.
UPDATE source SET note = 'other' WHERE id = 2;
SELECT enqueue_sync_job('Told', 2, '{"do": "fail in update"}') AS job \gset
SELECT status, operation, target_document_name FROM execute_sync_job(:job);
DELETE FROM target WHERE id = 2;
SELECT status, operation, target_document_name, diff_summary FROM retry_sync_job(:job, '{}');
SELECT status, operation, target_document_name, error_message FROM execute_sync_job(:job);

-- ---- Many ----

SELECT enqueue('source_document_name', '1', 'queue_on_insert', 'false') AS a, enqueue('source_document_name', '3', 'queue_on_insert', 'false') AS b,
    enqueue('source_document_name', '4') AS c, enqueue_sync_job('Told', 4, '{"do": "fail"}') AS d \gset
SELECT status FROM execute_sync_job(:d);
SELECT id = :a AS a, status FROM start_sync_job(ARRAY[:a, :c, :d, :finished, 12345678, :a]);
SELECT id = :d AS d, status, context FROM retry_sync_job(ARRAY[:a, :b, :c, :d, :finished], '{"do": "once more"}');
SELECT count(*) FROM start_sync_job('{}'::bigint[]);
SELECT count(*) FROM start_sync_job(NULL::bigint[]);
SELECT id - :a AS nth, status, cancel_reason FROM cancel_sync_job(ARRAY[:d, :c, :b, :a, :finished, :a], 'all of them');
\pset format unaligned
SELECT error_of(statement) AS "error" FROM (VALUES
    ($$SELECT start_sync_job(12345678)$$), ($$SELECT retry_sync_job(12345678)$$), ($$SELECT cancel_sync_job(12345678)$$),
    ($$SELECT cancel_sync_job(12345678, running => true)$$), ($$SELECT execute_sync_job(12345678)$$), ($$CALL wait_for_sync_job(12345678)$$),
    ($$SELECT start_sync_job(NULL::bigint)$$), ($$SELECT execute_sync_job(NULL)$$), ($$CALL execute_sync_job(NULL, NULL)$$),
    ($$SELECT apply_sync_job(NULL)$$), ($$SELECT revert_sync_job(NULL)$$), ($$SELECT apply_sync_job(12345678)$$), ($$SELECT revert_sync_job(12345678)$$),
    ($$SELECT retry_sync_job(NULL::bigint)$$), ($$SELECT cancel_sync_job(NULL::bigint)$$), ($$CALL wait_for_sync_job(NULL)$$),
    ($$SELECT cancel_sync_job(ARRAY[1, NULL])$$), ($$SELECT retry_sync_job(1, '[]')$$), ($$SELECT retry_sync_job(ARRAY[1], '5')$$)
) AS v (statement);
\pset format aligned

-- ---- execute: here and now ----

-- Whatever is due when, and also in a paused queue; the caller's transaction decides.
SELECT enqueue_sync_job('Told', 8, scheduled_at => 'infinity', queue => 'long') AS job \gset
UPDATE sync_job_queue SET paused = true WHERE name = 'long';
BEGIN;
SELECT status FROM execute_sync_job(:job);
SELECT note FROM target WHERE id = 8;
ROLLBACK;
SELECT status FROM sync_job WHERE id = :job;
SELECT note FROM target WHERE id = 8;
SELECT status FROM execute_sync_job(:job);
SELECT note FROM target WHERE id = 8;
-- An error of the job is not the caller's.
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Told', 1, '{"do": "fail"}'));
-- Only for the role it runs as, and not in disguise.
CREATE ROLE regress_sync_other LOGIN;
GRANT SELECT ON sync_job TO regress_sync_other;
SELECT enqueue('source_document_name', '9') AS job \gset
SET ROLE regress_sync_other;
SELECT execute_sync_job(:job);
CALL run_sync_jobs();
RESET ROLE;
SET SESSION AUTHORIZATION regress_sync_other;
SELECT execute_sync_job(:job);
CALL execute_sync_job(:job, NULL);
SELECT start_sync_job(:job);
SELECT cancel_sync_job(:job);
CALL run_sync_jobs();
RESET SESSION AUTHORIZATION;
SELECT status FROM sync_job WHERE id = :job;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT execute_sync_job(:job);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
CALL run_sync_jobs();
ROLLBACK;

-- ---- A controller that commits ----

CREATE SCHEMA commits;
CREATE PROCEDURE commits.execute(sync_job sync_job, source_doc source, INOUT result jsonb) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO other_target VALUES (source_doc.id, 'kept');
    COMMIT;
    INSERT INTO other_target VALUES (source_doc.id + 1, 'lost');
    ROLLBACK;
    INSERT INTO other_target VALUES (source_doc.id + 2, 'of an error');
    IF sync_job.context ->> 'do' = 'fail' THEN RAISE EXCEPTION 'failed after a commit' USING HINT = 'It is half done.'; END IF;
    result := '{"operation": "insert", "target_document_type": "other_target"}';
END $$;
INSERT INTO sync_job_type (name, source_document_type, retry_delay) VALUES ('Commits', 'source', '1 hour');
SELECT execute_sync_job(enqueue_sync_job('Commits', 1));
SELECT enqueue_sync_job('Commits', 1) AS good, enqueue_sync_job('Commits', 5, '{"do": "fail"}') AS bad,
    enqueue_sync_job('Commits', 8, dry_run => true) AS dry \gset
BEGIN;
CALL execute_sync_job(:good, NULL);
ROLLBACK;
CREATE FUNCTION state(sync_job) RETURNS text LANGUAGE sql
    AS $$ SELECT concat_ws(' ', $1.status, $1.operation, $1.target_document_type, split_part($1.error_message, E'\n', 1)) $$;
DO $$
DECLARE
    job sync_job;
    i bigint;
BEGIN
    FOR i IN SELECT id FROM sync_job WHERE sync_job_type = 'Commits' ORDER BY id LOOP
        CALL execute_sync_job(i, job);
        RAISE NOTICE '%', state(job);
    END LOOP;
END $$;
SELECT * FROM other_target ORDER BY id;
-- The other kinds may be called so, too.
SELECT enqueue_sync_job('Told', 9) IS NOT NULL AS enqueued;
DO $$
DECLARE
    newest bigint := max(id) FROM sync_job;
    job sync_job;
BEGIN
    CALL execute_sync_job(newest, job);
    RAISE NOTICE '% %', job.status, job.target_document_name;
END $$;
SELECT enqueue_sync_job('Commits', 7, '{"do": "fail"}') IS NOT NULL AS enqueued;
CALL run_sync_jobs();
SELECT state(j) FROM sync_job AS j ORDER BY id DESC LIMIT 1;

-- ---- run_sync_jobs ----

TRUNCATE target;
SELECT enqueue_sync_jobs('Told', ARRAY['1', '2', '3']), enqueue_sync_jobs('Told', ARRAY['4', '5'], queue => 'short'),
    enqueue_sync_job('Told', 6, priority => -1) > 0 AS first, enqueue_sync_job('Told', 7, scheduled_at => 'infinity') > 0 AS never;
CALL run_sync_jobs(max_jobs => 1);
SELECT id FROM target ORDER BY id;
CALL run_sync_jobs('short');
SELECT id FROM target ORDER BY id;
BEGIN;
CALL run_sync_jobs(max_jobs => 2);
SELECT id FROM target ORDER BY id;
ROLLBACK;
SELECT id FROM target ORDER BY id;
CALL run_sync_jobs();
SELECT id FROM target ORDER BY id;
SELECT source_document_name, status FROM sync_job WHERE status = 'Queued' ORDER BY id;
CALL run_sync_jobs('no such queue');
CALL run_sync_jobs(max_jobs => -1);

-- ---- wait_for_sync_job ----

-- One that has ended, one that does not end in time, one of this transaction, and one that a worker runs.
SELECT enqueue_sync_job('Told', 7, scheduled_at => 'infinity') AS later \gset
CALL wait_for_sync_job(:finished);
CALL wait_for_sync_job(:later, '10 ms');
CALL wait_for_sync_job(:later, '0');
CALL wait_for_sync_job(:later, '-1 s');
BEGIN;
SELECT enqueue_sync_job('Told', 7) AS job \gset
CALL wait_for_sync_job(:job, '10 s');
ROLLBACK;
BEGIN;
SELECT enqueue_sync_job('Told', 7, queue => 'worked') AS job \gset
SAVEPOINT one;
SELECT status FROM cancel_sync_job(:job);
CALL wait_for_sync_job(:job, '10 s');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL wait_for_sync_job(:finished);
CALL wait_for_sync_job(:later, '10 s');
ROLLBACK;
SELECT enqueue_sync_job('Told', 7, queue => 'worked') AS job \gset
CALL wait_for_sync_job(:job, '60 s');
SELECT status FROM sync_job WHERE id = :job;
-- A Failed one with a retry to come has not ended; in a last attempt it has.
SELECT enqueue_sync_job('Told', 7, '{"do": "fail"}', queue => 'worked', max_retries => 1, retry_delay => '10 ms') AS job \gset
CALL wait_for_sync_job(:job, '60 s');
SELECT status, retry_count, retry_after FROM sync_job WHERE id = :job;
SELECT attempt FROM sync_job_error WHERE sync_job = :job ORDER BY attempt;

-- ---- current_sync_job ----

SELECT current_sync_job();
CREATE TABLE echo (job bigint);
CREATE FUNCTION note_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO echo VALUES (current_sync_job()); RETURN NEW; END $$;
CREATE TRIGGER note AFTER UPDATE ON target FOR EACH ROW EXECUTE FUNCTION note_job();
UPDATE target SET note = 'by hand' WHERE id = 1;
SELECT enqueue_sync_job('Told', 1) AS job \gset
SELECT status FROM execute_sync_job(:job);
SELECT job = :job AS ran FROM echo;
SELECT current_sync_job();
REVOKE ALL ON sync_job FROM regress_sync_other;
DROP ROLE regress_sync_other;
