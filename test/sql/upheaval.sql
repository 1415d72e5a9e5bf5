-- What controllers and people do that they should not, or that a long-lived worker must take: tables and functions changed between
-- the jobs of one process, controllers that leave things behind, enqueue, run jobs, or meddle with them. The same worker runs
-- whatever is not run here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = CASE name WHEN 'default' THEN 1 ELSE 0 END;
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
INSERT INTO source SELECT n, 'note ' || n FROM generate_series(1, 9) AS n;
CREATE SCHEMA up;
CREATE FUNCTION up.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql STABLE
    AS $$ SELECT sync_job_target(CASE WHEN EXISTS (SELECT FROM target WHERE id = source_doc.id) THEN 'update' ELSE 'insert' END, target_document_name => source_doc.id::text) $$;
CREATE FUNCTION up.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := source_doc.id;
    target_doc.note := source_doc.note;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, max_retries) VALUES ('Up', 'source', 'target', 0);
-- Runs a job for the document here, and then one in a worker; shows both. That one needs a moment after its
-- commit to let go of the document.
CREATE FUNCTION outcome(bigint) RETURNS text LANGUAGE sql
    AS $$ SELECT concat_ws(' ', status, operation, target_document_name, diff_summary::text, split_part(error_message, E'\n', 1)) FROM sync_job WHERE id = $1 $$;
CREATE PROCEDURE execute_when_free(job bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        BEGIN
            PERFORM execute_sync_job(job);
            RETURN;
        EXCEPTION WHEN object_in_use THEN
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
END $$;
CREATE PROCEDURE run(document int, job_type text DEFAULT 'Up') LANGUAGE plpgsql AS $$
DECLARE
    here bigint := enqueue_sync_job(job_type, document, queue => 'long', verbose_logging => true);
    worker bigint;
BEGIN
    COMMIT;
    CALL execute_when_free(here);
    worker := enqueue_sync_job(job_type, document, update_without_changes_enabled => true);
    COMMIT;
    CALL wait_for_sync_job(worker, '60 s');
    RAISE NOTICE 'here: %', outcome(here);
    RAISE NOTICE 'worker: %', outcome(worker);
END $$;
SET client_min_messages = notice;

-- ---- Tables that change between two jobs ----

CALL run(1);
ALTER TABLE target ADD COLUMN more int DEFAULT 7;
CALL run(2);
ALTER TABLE source RENAME COLUMN note TO remark;
CALL run(3);
CREATE OR REPLACE FUNCTION up.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := source_doc.id;
    target_doc.note := 'new: ' || source_doc.remark;
END $$;
CALL run(1);
ALTER TABLE target ALTER COLUMN note TYPE varchar(5);
ALTER TABLE target ALTER COLUMN note TYPE varchar(9) USING left(note, 9);
CALL run(4);
ALTER TABLE target ALTER COLUMN note TYPE text, ALTER COLUMN id TYPE bigint;
CALL run(4);
ALTER TABLE target RENAME TO goal;
CALL run(5);
ALTER TABLE goal RENAME TO target;
ALTER TABLE target SET SCHEMA up;
CALL run(5);
ALTER TABLE up.target SET SCHEMA public;
ALTER TABLE target RENAME COLUMN id TO number;
CALL run(6);
ALTER TABLE target RENAME COLUMN number TO id;
-- The primary key becomes another column, then none.
ALTER TABLE target DROP CONSTRAINT target_pkey, ADD PRIMARY KEY (note);
CALL run(6);
ALTER TABLE target DROP CONSTRAINT target_pkey;
CALL run(6);
ALTER TABLE target ADD PRIMARY KEY (id);
-- Dropped and made again: another table of the same name.
SET client_min_messages = warning;
DROP TABLE target CASCADE;
CREATE TABLE target (note text, id int PRIMARY KEY);
RESET client_min_messages;
CALL run(6);
UPDATE sync_job_type SET target_document_type = 'target';
CREATE FUNCTION up.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT source_doc - 'remark' || jsonb_build_object('note', source_doc -> 'remark') $$;
CALL run(6);
-- The module is renamed, a function moved, a right taken away: the worker notices.
ALTER SCHEMA up RENAME TO down;
CALL run(6);
ALTER SCHEMA down RENAME TO up;
CALL run(6);
ALTER FUNCTION up.get_target_document(sync_job, source) SET SCHEMA public;
CALL run(6);
ALTER FUNCTION get_target_document(sync_job, source) SET SCHEMA up;
CALL run(6);
SELECT * FROM target;

-- ---- Types that change under the plans of a worker that lives on ----

CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE size AS (width int, height int);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE sheet (id int PRIMARY KEY, a text, b int, m mood, s size, d short);
CREATE TABLE copy (id int PRIMARY KEY, a text, b int, m mood, s size, d short);
INSERT INTO sheet VALUES (1, 'one', 1, 'sad', (1, 2), 'x'), (2, 'two', 2, 'glad', (3, 4), 'y');
CREATE SCHEMA stale;
CREATE FUNCTION stale.get_target_document(sync_job sync_job, source_doc sheet) RETURNS sync_job_target LANGUAGE plpgsql AS $$
DECLARE
    found copy;
BEGIN
    SELECT * INTO found FROM copy WHERE id = source_doc.id;
    RETURN sync_job_target(CASE WHEN found.id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => source_doc.id::text);
END $$;
CREATE FUNCTION stale.update_target_doc(sync_job sync_job, source_doc sheet, INOUT target_doc copy) LANGUAGE plpgsql AS $$
DECLARE
    m mood := source_doc.m;
    s size := source_doc.s;
    a sheet.a%TYPE := source_doc.a;
BEGIN
    target_doc.id := source_doc.id;
    target_doc.a := source_doc.a || '';
    target_doc.b := source_doc.b + 1;
    target_doc.m := m;
    target_doc.s := s;
    target_doc.d := source_doc.d;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries) VALUES ('Stale', 'sheet', 'copy', 'stale', 0);
CALL run(1, 'Stale');
ALTER TABLE sheet ALTER COLUMN a TYPE varchar(20);
CALL run(1, 'Stale');
ALTER TABLE copy ALTER COLUMN a TYPE varchar(20), ALTER COLUMN b TYPE bigint;
CALL run(2, 'Stale');
ALTER TABLE sheet ALTER COLUMN b TYPE numeric;
CALL run(2, 'Stale');
ALTER TYPE size ADD ATTRIBUTE depth int;
CALL run(1, 'Stale');
ALTER TYPE mood ADD VALUE 'mad';
UPDATE sheet SET m = 'mad';
CALL run(1, 'Stale');
ALTER DOMAIN short DROP CONSTRAINT short_check;
UPDATE sheet SET d = repeat('z', 20);
CALL run(1, 'Stale');
-- Types that are dropped and made anew: PL/pgSQL has their old numbers for good, so that only a new process helps.
CREATE PROCEDURE run_worker(document int, job_type text) LANGUAGE plpgsql AS $$
DECLARE
    worker bigint := enqueue_sync_job(job_type, document, update_without_changes_enabled => true);
BEGIN
    COMMIT;
    CALL wait_for_sync_job(worker, '60 s');
    RAISE NOTICE '%', outcome(worker);
END $$;
ALTER TABLE sheet ALTER COLUMN m TYPE text;
ALTER TABLE copy ALTER COLUMN m TYPE text;
DROP TYPE mood;
CREATE TYPE mood AS ENUM ('mad', 'bad');
ALTER TABLE sheet ALTER COLUMN m TYPE mood USING m::mood;
ALTER TABLE copy ALTER COLUMN m TYPE mood USING NULL;
CALL run_worker(1, 'Stale');
-- A column that the controller needs goes, and comes back.
ALTER TABLE sheet DROP COLUMN b;
CALL run_worker(1, 'Stale');
ALTER TABLE sheet ADD COLUMN b int DEFAULT 5;
CALL run_worker(1, 'Stale');
SELECT retry_count, sqlstate, regexp_replace(message, '\d+', '…') AS message, counted FROM sync_job JOIN sync_job_error ON sync_job = id
WHERE sync_job_type = 'Stale' AND status = 'Finished';
SELECT * FROM copy ORDER BY id;
-- The same of a declared type.
CREATE TABLE goal2 (id int PRIMARY KEY, a text, s size, m mood);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries) VALUES ('Declared', 'sheet', 'goal2',
    '{"id": "id"}', '{"a": {"expr": "source.a || source.b"}, "s": "s", "m": "m"}', 0);
CALL run(1, 'Declared');
ALTER TABLE sheet ALTER COLUMN a TYPE text, ALTER COLUMN b TYPE text;
ALTER TABLE goal2 ALTER COLUMN a TYPE varchar(30);
UPDATE sheet SET a = 'other';
CALL run(1, 'Declared');
ALTER TYPE size DROP ATTRIBUTE depth;
ALTER TYPE mood RENAME TO temper;
ALTER TYPE size SET SCHEMA stale;
CALL run(1, 'Declared');
SELECT * FROM goal2;
-- A job whose own error looks like that ends as Failed, counted, whatever changes meanwhile.
CREATE FUNCTION stale.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE made_here (a int) ON COMMIT DROP;
    RAISE SQLSTATE '42804' USING message = 'my own';
END $$;
ALTER TABLE sheet ADD COLUMN e int;
CALL run_worker(1, 'Stale');
SELECT attempt, sqlstate, message, counted FROM sync_job_error WHERE sync_job = (SELECT max(id) FROM sync_job WHERE sync_job_type = 'Stale');

-- ---- What a controller leaves behind ----

CREATE SCHEMA litter;
CREATE FUNCTION litter.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    open_cursor refcursor := 'left_open';
BEGIN
    RAISE NOTICE 'found: % % % % % %', to_regclass('pg_temp.left_here'), (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_prepared'),
        (SELECT count(*) FROM pg_cursors WHERE name = 'left_open'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 77 AND pid = pg_backend_pid()),
        current_setting('work_mem') = '77kB', coalesce(current_setting('my.own', true), '') = 'mine';
    CREATE TEMPORARY TABLE left_here (n int);
    EXECUTE 'PREPARE left_prepared AS SELECT 1';
    OPEN open_cursor FOR SELECT * FROM source;
    PERFORM pg_advisory_lock(77);
    SET work_mem = '77kB';
    SET my.own = 'mine';
    SET LOCAL enable_seqscan = off;
    SET search_path = pg_catalog;
    SET TIME ZONE 'Asia/Tokyo';
    RETURN '{"operation": "update", "target_document_name": "6"}';
END $$;
CREATE FUNCTION litter.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT target_doc $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, max_retries, verbose_logging) VALUES ('Litter', 'source', 'target', 0, true);
SELECT enqueue_sync_job('Litter', 1) AS a, enqueue_sync_job('Litter', 2) AS b \gset
CALL wait_for_sync_job(:a, '60 s');
CALL wait_for_sync_job(:b, '60 s');
SELECT status, messages, error_message FROM sync_job WHERE id IN (:a, :b) ORDER BY id;
-- In the caller's own session what was set goes with the attempt; what is his session's, stays.
SELECT status FROM execute_sync_job(enqueue_sync_job('Litter', 3, queue => 'long', verbose_logging => false));
SELECT current_setting('work_mem') = '77kB' AS work_mem, current_setting('my.own', true) AS own, current_setting('search_path') AS search_path,
    current_setting('timezone') = 'Asia/Tokyo' AS zone;
DEALLOCATE left_prepared;
DROP TABLE left_here;
SELECT pg_advisory_unlock(77);

-- ---- What a controller does with jobs ----

CREATE SCHEMA meddle;
CREATE FUNCTION meddle.execute(sync_job sync_job, source_doc source) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    BEGIN
        IF sync_job.context ->> 'do' ~ 'SELECT|RETURNING' THEN
            EXECUTE sync_job.context ->> 'do' INTO found;
        ELSE
            EXECUTE sync_job.context ->> 'do';
        END IF;
    EXCEPTION WHEN OTHERS THEN
        found := SQLSTATE || ' ' || regexp_replace(SQLERRM, '\d{2,}', '…', 'g');
    END;
    RETURN jsonb_build_object('diff', jsonb_build_object('found', found));
END $$;
INSERT INTO sync_job_type (name, source_document_type, max_retries, module, timeout) VALUES ('Meddle', 'source', 0, 'meddle', '10 s');
CREATE PROCEDURE meddle(statement text) LANGUAGE plpgsql AS $$
DECLARE
    here bigint := enqueue_sync_job('Meddle', 1, jsonb_build_object('do', statement), queue => 'long');
    worker bigint;
BEGIN
    COMMIT;
    CALL execute_when_free(here);
    COMMIT;
    worker := enqueue_sync_job('Meddle', 1, jsonb_build_object('do', statement));
    COMMIT;
    CALL wait_for_sync_job(worker, '60 s');
    RAISE NOTICE '% | %', outcome(here), outcome(worker);
END $$;
CALL meddle('SELECT 1');
-- Enqueue: the job comes with the commit. The test's own job waits in a queue that nobody serves.
CALL meddle($$SELECT count(enqueue_sync_job('Up', 6, queue => 'long', job_id => 'inner'))$$);
SELECT status, trigger_type, count(*) FROM sync_job WHERE job_id = 'inner' GROUP BY status, trigger_type;
CALL meddle($$SELECT status FROM execute_sync_job(enqueue_sync_job('Up', 6, update_without_changes_enabled => true)) AS j$$);
CALL meddle($$SELECT current_sync_job() = (SELECT max(id) FROM sync_job WHERE sync_job_type = 'Meddle')$$);
CALL meddle($$SELECT status FROM execute_sync_job(current_sync_job())$$);
CALL meddle($$SELECT status FROM cancel_sync_job(current_sync_job())$$);
CALL meddle($$SELECT status FROM cancel_sync_job(current_sync_job(), running => true)$$);
CALL meddle($$SELECT status FROM retry_sync_job(current_sync_job())$$);
CALL meddle($$SELECT count(*) FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE job_id = 'inner'))$$);
CALL meddle($$CALL run_sync_jobs('short')$$);
CALL meddle($$CALL wait_for_sync_job(current_sync_job())$$);
-- Write to the tables of the extension: a superuser may, and may spoil his job, but not the worker.
CREATE PROCEDURE meddle_worker(statement text) LANGUAGE plpgsql AS $$
DECLARE
    worker bigint := enqueue_sync_job('Meddle', 1, jsonb_build_object('do', statement));
BEGIN
    COMMIT;
    CALL wait_for_sync_job(worker, '60 s');
    RAISE NOTICE '%', outcome(worker);
END $$;
CALL meddle_worker($$UPDATE sync_job SET title = 'mine' WHERE id = current_sync_job() RETURNING title$$);
CALL meddle_worker($$UPDATE sync_job SET status = 'Finished' WHERE id = current_sync_job() RETURNING status$$);
CALL meddle_worker($$DELETE FROM sync_job WHERE id = current_sync_job() RETURNING status$$);
CALL meddle($$UPDATE sync_job_type SET description = 'changed from inside' WHERE name = 'Meddle' RETURNING name$$);
CALL meddle($$DELETE FROM sync_job_type WHERE name = 'Meddle' RETURNING name$$);
CALL meddle($$UPDATE sync_job_queue SET timeout = '1 hour' WHERE name = 'long' RETURNING name$$);
-- Leave the transaction, or its properties.
CALL meddle('COMMIT');
CALL meddle('ROLLBACK');
CALL meddle('DO ''BEGIN COMMIT; END''');
CALL meddle('SAVEPOINT a');
CALL meddle('SET TRANSACTION READ ONLY');
CALL meddle('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
CALL meddle('SET CONSTRAINTS ALL IMMEDIATE');
CALL meddle('DISCARD ALL');
CALL meddle('DISCARD PLANS');
CALL meddle('VACUUM source');
CALL meddle('RESET ALL');
CALL meddle('SET statement_timeout = 1');
CALL meddle('DROP EXTENSION pg_sync_job');
CALL meddle('ALTER TABLE source ADD COLUMN from_inside int');
CALL meddle('SELECT pg_cancel_backend(pg_backend_pid())');
CALL meddle('DROP FUNCTION meddle.execute');
CALL meddle('SELECT 1');
SELECT attname FROM pg_attribute WHERE attrelid = 'source'::regclass AND attnum > 0;
CALL run(6);

-- ---- A controller of another role ----

CREATE ROLE regress_up LOGIN;
GRANT CREATE ON SCHEMA public TO regress_up;
GRANT SELECT ON source TO regress_up;
CREATE SCHEMA weak AUTHORIZATION regress_up;
SET ROLE regress_up;
CREATE TABLE weak_target (id int PRIMARY KEY, note text);
CREATE FUNCTION weak.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    BEGIN
        IF sync_job -> 'context' ->> 'do' ~ 'SELECT|RETURNING' THEN
            EXECUTE sync_job -> 'context' ->> 'do' INTO found;
        ELSE
            EXECUTE sync_job -> 'context' ->> 'do';
        END IF;
    EXCEPTION WHEN OTHERS THEN
        found := SQLSTATE || ' ' || regexp_replace(SQLERRM, '\d{2,}', '…', 'g');
    END;
    RETURN jsonb_build_object('diff', jsonb_build_object('found', found));
END $$;
RESET ROLE;
SELECT grant_sync_job_access('regress_up', 'manager');
INSERT INTO sync_job_queue (name) VALUES ('weak');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, max_retries, queue) VALUES ('Weak', 'source', 'weak_target', 0, 'weak');
CREATE PROCEDURE weak_do(statement text) LANGUAGE plpgsql AS $$
DECLARE
    worker bigint;
BEGIN
    worker := enqueue_sync_job('Weak', 1, jsonb_build_object('do', statement));
    COMMIT;
    CALL wait_for_sync_job(worker, '60 s');
    RAISE NOTICE '%', outcome(worker);
END $$;
CALL weak_do('SELECT concat_ws('' '', session_user, current_user, current_setting(''is_superuser''))');
CALL weak_do('SET SESSION AUTHORIZATION postgres');
CALL weak_do('SET ROLE postgres');
CALL weak_do('RESET SESSION AUTHORIZATION');
CALL weak_do('SELECT note FROM target');
CALL weak_do('SELECT count(*) FROM sync_job WHERE sync_job_type <> ''Weak''');
CALL weak_do('UPDATE sync_job SET title = ''mine'' RETURNING title');
CALL weak_do('INSERT INTO sync_job_internal.sync_job_live SELECT * FROM sync_job RETURNING title');
CALL weak_do('SELECT nextval(''sync_job_internal.sync_job_id_seq'')');
CALL weak_do('CALL sync_job_internal.run_committing_job(1)');
CALL weak_do('SELECT clear_all_sync_jobs()');
CALL weak_do('SELECT enqueue_sync_job(''Up'', 1)');
CALL weak_do('UPDATE sync_job_type SET run_as = ''postgres'' RETURNING name');
CALL weak_do('SET log_min_messages = panic');
DELETE FROM sync_job_type WHERE name = 'Weak';
SELECT revoke_sync_job_access('regress_up', 'manager');
-- An extension of another version than its library: refused, and not only when that is found.
BEGIN;
UPDATE pg_extension SET extversion = 'another' WHERE extname = 'pg_sync_job';
ALTER TABLE sync_job_type SET (autovacuum_enabled = off);  -- the extension's objects are looked up again
DO $$
BEGIN
    FOR i IN 1 .. 2 LOOP
        BEGIN
            PERFORM enqueue_sync_job('Up', 1);
            RAISE WARNING 'enqueued';
        EXCEPTION WHEN object_not_in_prerequisite_state THEN
            RAISE NOTICE 'refused: %', split_part(SQLERRM, ',', 1);
        END;
    END LOOP;
END $$;
ROLLBACK;

-- ---- A target that is made anew, and the type mended: waiting jobs go where the type says now ----

CREATE TABLE anew_source (id int PRIMARY KEY, a text);
CREATE TABLE anew_target (id int PRIMARY KEY, a text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay)
VALUES ('Anew', 'anew_source', 'anew_target', '{"id": "id"}', '{"a": "a"}', '1 h');
INSERT INTO anew_source VALUES (1, 'x');
SELECT enqueue_sync_job('Anew', '1', queue_on_insert => false) AS job \gset
DROP TABLE anew_target;
CREATE TABLE anew_target (id int PRIMARY KEY, a text);
SELECT status, retry_count FROM execute_sync_job(:job);
UPDATE sync_job_type SET target_document_type = 'anew_target' WHERE name = 'Anew';
SELECT status, target_document_type FROM execute_sync_job(:job);
SELECT * FROM anew_target;
-- The same of the source.
SELECT enqueue_sync_job('Anew', '1', queue_on_insert => false) AS job \gset
DROP TABLE anew_source;
CREATE TABLE anew_source (id int PRIMARY KEY, a text);
INSERT INTO anew_source VALUES (1, 'y');
UPDATE sync_job_type SET source_document_type = 'anew_source' WHERE name = 'Anew';
SELECT status, source_document_type, diff_summary FROM execute_sync_job(:job);
