-- What goes wrong in a job: what is kept of an error, when it is tried again, what does not count. Everything runs here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
INSERT INTO source VALUES (1, 'one'), (2, 'two');

-- ---- What is kept ----

CREATE SCHEMA failing;
CREATE FUNCTION failing.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('insert') $$;
CREATE FUNCTION failing.inner_function() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the message, % of it', 'all' USING ERRCODE = 'SJ001', DETAIL = 'The detail.', HINT = 'The hint.';
END $$;
CREATE FUNCTION failing.update_target_doc(sync_job sync_job, source_doc source, target_doc target) RETURNS target LANGUAGE plpgsql AS $$
BEGIN
    PERFORM inner_function();
    RETURN target_doc;
END $$;
CREATE TABLE told (what jsonb);
CREATE FUNCTION failing.failed(sync_job sync_job, source_doc source, error jsonb) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO told VALUES (error - 'occurred_at' || jsonb_build_object('status', sync_job.status, 'retry_count', sync_job.retry_count, 'source', source_doc.note)) $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, retry_delay) VALUES ('Failing', 'source', 'target', '1 hour');
SELECT enqueue_sync_job('Failing', 1) AS job \gset
SELECT error_message FROM execute_sync_job(:job);
SELECT attempt, occurred_at BETWEEN started_at AND ended_at + interval '1 s' AS in_time, sqlstate, message, detail, hint, e.context, counted
FROM sync_job_error AS e JOIN sync_job AS j ON j.id = e.sync_job WHERE sync_job = :job \gx
SELECT jsonb_pretty(what) AS told FROM told;
TRUNCATE told;
-- Every attempt leaves a row; the next one that ends well leaves the job without an error.
SELECT status, retry_count FROM execute_sync_job(:job);
CREATE OR REPLACE FUNCTION failing.inner_function() RETURNS void LANGUAGE sql AS '';
CREATE OR REPLACE FUNCTION failing.update_target_doc(sync_job sync_job, source_doc source, target_doc target) RETURNS target LANGUAGE plpgsql AS $$
BEGIN
    PERFORM inner_function();
    target_doc.id := source_doc.id;
    RETURN target_doc;
END $$;
SELECT status, retry_count, retry_after, error_message FROM execute_sync_job(:job);
SELECT attempt, message FROM sync_job_error WHERE sync_job = :job ORDER BY attempt;
-- Errors of other origin: of SQL, of the database, of a hook (undone, too), and of hooks that come too late to matter.
CREATE FUNCTION failing.after_sync(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE sql AS $$ SELECT sync_job.id / 0 $$;
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Failing', 2));
SELECT * FROM target;
DROP FUNCTION failing.after_sync;
CREATE FUNCTION failing.finished(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE sql AS $$ SELECT sync_job.id / 0 $$;
SELECT status, messages FROM execute_sync_job(enqueue_sync_job('Failing', 2, verbose_logging => true));
CREATE OR REPLACE FUNCTION failing.failed(sync_job sync_job, source_doc source, error jsonb) RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO told VALUES ('"undone"'); RAISE EXCEPTION 'failed in failed'; END $$;
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Failing', 2));
SELECT count(*) FILTER (WHERE what = '"undone"') AS undone FROM told;
DROP FUNCTION failing.finished, failing.failed;
-- A timeout.
CREATE OR REPLACE FUNCTION failing.inner_function() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(60) $$;
SELECT status, split_part(error_message, E'\nCONTEXT', 1) AS error FROM execute_sync_job(enqueue_sync_job('Failing', 2, timeout => '10 ms'));
SELECT sqlstate, message, hint, split_part(context, E'\n', 1) AS context FROM sync_job_error ORDER BY sync_job DESC LIMIT 1;
-- One that is caught is still one.
DELETE FROM target;
CREATE OR REPLACE FUNCTION failing.inner_function() RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END $$;
SELECT status, split_part(error_message, E'\nHINT', 1) AS error FROM execute_sync_job(enqueue_sync_job('Failing', 2, timeout => '10 ms'));
-- 0 is none.
CREATE OR REPLACE FUNCTION failing.inner_function() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(0.01) $$;
DELETE FROM target;
SELECT status, timeout FROM execute_sync_job(enqueue_sync_job('Failing', 2, timeout => '0'));

-- ---- When it is tried again ----

CREATE OR REPLACE FUNCTION failing.inner_function() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION attempts(backoff text, delay interval, retries int)
RETURNS TABLE (retry_count int, wait interval, final boolean) LANGUAGE plpgsql AS $$
DECLARE
    job sync_job;
    id bigint;
BEGIN
    UPDATE sync_job_type SET retry_backoff = backoff;
    id := enqueue_sync_job('Failing', 1, retry_delay => delay, max_retries => retries);
    FOR i IN 0 .. retries LOOP
        job := execute_sync_job(id);
        retry_count := job.retry_count;
        wait := date_trunc('second', job.retry_after - job.ended_at + interval '0.5 s');
        final := job.retry_after IS NULL;
        IF backoff = 'exponential' AND wait BETWEEN delay * 2 ^ i * 0.74 AND delay * 2 ^ i * 1.26 THEN wait := delay * 2 ^ i; END IF;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM attempts('linear', '1 hour', 3);
SELECT * FROM attempts('constant', '1 hour', 3);
SELECT * FROM attempts('exponential', '1 hour', 5);
SELECT * FROM attempts('linear', '1 hour', 0);
SELECT * FROM attempts('linear', '0', 1);
UPDATE sync_job_type SET retry_backoff = 'linear';
-- Runs jobs until this one has ended for good. The scheduler, too, queues what is due.
CREATE PROCEDURE run_all(job bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        CALL run_sync_jobs();
        EXIT WHEN (SELECT status <> 'Queued' AND retry_after IS NULL FROM sync_job WHERE id = job);
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
CREATE PROCEDURE wait_until_queued(job bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN (SELECT status = 'Queued' FROM sync_job WHERE id = job);
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
-- By time: what is due is queued, what is not yet or never is not.
SELECT enqueue_sync_job('Failing', 1, retry_delay => '0') AS due, enqueue_sync_job('Failing', 2) AS later,
    enqueue_sync_job('Failing', 2, max_retries => 0) AS never \gset
SELECT count(execute_sync_job(id)) FROM unnest(ARRAY[:due, :later, :never]) AS id;
DO $$ BEGIN PERFORM auto_retry_failed_sync_jobs(); END $$;
CALL wait_until_queued(:due);  -- the scheduler may just be at it
SELECT status, retry_count FROM sync_job WHERE id IN (:due, :later, :never) ORDER BY id;
SELECT enqueue_sync_job('Failing', 1, retry_delay => '0', max_retries => 2) AS job \gset
CALL run_all(:job);
SELECT status, retry_count, retry_after FROM sync_job WHERE id = :job;
SELECT array_agg(attempt ORDER BY attempt) AS attempts FROM sync_job_error WHERE sync_job = :job;

-- ---- What does not count: the set-up is wrong ----

-- Runs a job of the type twice; its retry_count, what was found, and whether validate says the same.
CREATE FUNCTION setup(job_type text, VARIADIC more text[] DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    id bigint := enqueue_sync_job(jsonb_build_object('sync_job_type', job_type, 'source_document_name', 1, 'retry_delay', 3600) || jsonb_object(more));
    job sync_job;
    error sync_job_error;
BEGIN
    job := execute_sync_job(id);
    SELECT * INTO error FROM sync_job_error WHERE sync_job = id;
    RETURN concat_ws(E'\n', format('%s: %s, retries %s, attempt %s, %s, retry in %s: %s %s', job_type, job.status, job.retry_count, error.attempt,
            CASE error.counted WHEN true THEN 'counted' WHEN false THEN 'not counted' END, date_trunc('hour', job.retry_after - job.ended_at + interval '1 s'), error.sqlstate, error.message),
        'DETAIL: ' || error.detail, 'HINT: ' || error.hint,
        (SELECT 'validate: ' || string_agg(v.severity || ' ' || regexp_replace(v.message, 'OID \d+', 'OID …'), '; ') FROM validate_sync_job_type(job_type) AS v));
END $$;
\pset format unaligned
\t
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Set Up', 'source', 'target');
SELECT setup('Set Up');
CREATE SCHEMA set_up;
SELECT setup('Set Up');
CREATE FUNCTION set_up.get_target_document(jsonb, source) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"operation": "insert"}'::jsonb $$;
SELECT setup('Set Up');
CREATE FUNCTION set_up.update_target_doc(sync_job sync_job, source_doc target, target_doc target) RETURNS target LANGUAGE sql AS $$ SELECT target_doc $$;
SELECT setup('Set Up');
CREATE FUNCTION set_up.update_target_doc(sync_job sync_job, source_doc source, target_doc target, more int) RETURNS target LANGUAGE sql AS $$ SELECT target_doc $$;
SELECT setup('Set Up');
CREATE FUNCTION set_up.update_target_doc(sync_job sync_job, source_doc source, target_doc target) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
SELECT setup('Set Up');
DROP FUNCTION set_up.update_target_doc(sync_job, source, target);
CREATE FUNCTION set_up.update_target_doc(sync_job sync_job, source_doc source, target_doc target) RETURNS SETOF target LANGUAGE sql AS $$ SELECT target_doc $$;
SELECT setup('Set Up');
DROP FUNCTION set_up.update_target_doc(sync_job, source, target);
CREATE FUNCTION set_up.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql
    AS $$ BEGIN target_doc.id := source_doc.id + (SELECT coalesce(max(id), 0) FROM target); END $$;
SELECT setup('Set Up');
CREATE FUNCTION set_up.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT target_doc $$;
SELECT setup('Set Up');
DROP FUNCTION set_up.update_target_doc(jsonb, jsonb, jsonb);
CREATE PROCEDURE set_up.after_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) LANGUAGE sql AS '';
SELECT setup('Set Up');
DROP PROCEDURE set_up.after_sync;
CREATE FUNCTION set_up.before_sync(sync_job jsonb) RETURNS void LANGUAGE sql AS '';
SELECT setup('Set Up');
DROP FUNCTION set_up.before_sync;
CREATE FUNCTION set_up.execute(sync_job jsonb) RETURNS void LANGUAGE sql AS '';
SELECT setup('Set Up');
DROP FUNCTION set_up.execute;
ALTER TABLE target DROP CONSTRAINT target_pkey;
SELECT setup('Set Up');
UPDATE sync_job_type SET target_key = '{nr}' WHERE name = 'Set Up';
SELECT setup('Set Up');
UPDATE sync_job_type SET target_key = '{id}' WHERE name = 'Set Up';
UPDATE sync_job_type SET disabled = true WHERE name = 'Set Up';
SELECT severity, message FROM validate_sync_job_type('Set Up');
UPDATE sync_job_type SET disabled = false WHERE name = 'Set Up';
-- Mended: the attempts that did not count do not.
SELECT setup('Set Up');
SET client_min_messages = warning;
DROP TABLE target CASCADE;
RESET client_min_messages;
SELECT setup('Set Up');
CREATE TABLE target (id int PRIMARY KEY, note text);
SELECT * FROM validate_sync_job_type('no such type');
\t
\pset format aligned
-- By time it is tried again, and again as the same attempt, until it counts for once.
CREATE SCHEMA flaky;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, retry_delay, max_retries) VALUES ('Flaky', 'source', 'target', '0', 2);
SELECT enqueue_sync_job('Flaky', 1) AS job \gset
CALL run_sync_jobs();
CALL run_sync_jobs();
CALL run_sync_jobs();
SELECT retry_count FROM sync_job WHERE id = :job;
SELECT attempt, counted FROM sync_job_error WHERE sync_job = :job;
CREATE FUNCTION flaky.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CALL run_all(:job);
SELECT status, retry_count FROM sync_job WHERE id = :job;
SELECT attempt, counted, message FROM sync_job_error WHERE sync_job = :job ORDER BY attempt;

-- ---- What counts, though it may look like set-up ----

\pset format unaligned
\t
SELECT setup('Flaky', 'source_document_name', '77');
CREATE OR REPLACE FUNCTION flaky.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM no_such_function(); END $$;
SELECT setup('Flaky');
DROP FUNCTION flaky.execute;
CREATE FUNCTION flaky.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT '{"operation": "update", "target_document_name": "5"}'::jsonb $$;
CREATE FUNCTION flaky.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$;
SELECT setup('Flaky');
INSERT INTO target VALUES (5);
SELECT setup('Flaky');
CREATE OR REPLACE FUNCTION flaky.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT '{"operation": "update", "target_document_name": "five"}'::jsonb $$;
SELECT setup('Flaky');

-- ---- Cancellations under another name, spans of time without end, a context that is none ----

\t
\pset format unaligned
CREATE TABLE edge (id int PRIMARY KEY);
INSERT INTO edge VALUES (1);
CREATE SCHEMA edge;
CREATE FUNCTION edge.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60);
EXCEPTION WHEN query_canceled THEN
    RAISE EXCEPTION 'it says: %', sqlerrm;
END $$;
INSERT INTO sync_job_type (name, source_document_type, module, max_retries) VALUES ('Edge', 'edge', 'edge', 0);
SELECT status, split_part(error_message, E'\nCONTEXT', 1) FROM execute_sync_job(enqueue_sync_job('Edge', 1, timeout => '10 ms'));
CREATE OR REPLACE FUNCTION edge.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF sync_job -> 'retry_count' = '1' THEN RETURN '{}'; END IF;
    RAISE EXCEPTION 'no';
END $$;
SELECT timeout, retry_delay, status, retry_after - ended_at AS wait FROM execute_sync_job(enqueue_sync_job('Edge', 1,
    timeout => '178000000 years', retry_delay => '178000000 years', max_retries => 2147483647, priority => -2147483648)) AS j;
UPDATE sync_job_type SET retry_backoff = 'exponential', retry_delay = '100000 years', timeout = '178000000 years' WHERE name = 'Edge';
SELECT timeout, retry_delay, status, retry_after - ended_at BETWEEN '27000 days' AND '36525 days' AS waits FROM execute_sync_job(enqueue_sync_job('Edge', 1, max_retries => 1)) AS j;
SELECT max(id) AS job FROM sync_job \gset
SELECT status FROM execute_sync_job(:job);
CALL wait_for_sync_job(:job, '178000000 years');
SELECT clear_old_sync_jobs(2147483647);
SELECT enqueue_sync_job('Edge', 1, timeout => '-178000000 years');
SELECT enqueue_sync_job('{"sync_job_type": "Edge", "source_document_name": 1, "scheduled_at": "-infinity"}'::jsonb) AS first \gset
SELECT status, scheduled_at FROM sync_job WHERE id = :first;
SELECT enqueue_sync_job('{"sync_job_type": "Edge", "source_document_name": 1, "timeout": "NaN"}'::jsonb);
SELECT enqueue_sync_job('{"sync_job_type": "Edge", "source_document_name": 1, "retry_delay": 1e300}'::jsonb);
SELECT enqueue_sync_job('{"sync_job_type": "Edge", "source_document_name": 1, "priority": 2147483648}'::jsonb);
UPDATE sync_job_type SET timeout = '-178000000 years' WHERE name = 'Edge';
DROP FUNCTION edge.execute;
CREATE FUNCTION edge.get_multiple_target_documents(sync_job jsonb, source_doc jsonb) RETURNS SETOF jsonb LANGUAGE sql
    AS $$ SELECT jsonb_build_object('operation', 'insert', 'target_document_type', 'edge', 'context', '"text"'::jsonb) FROM generate_series(1, 2) $$;
CREATE FUNCTION edge.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT target_doc $$;
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Edge', 1));
