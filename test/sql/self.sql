-- Jobs that act on jobs: on themselves, on others of the same batch, on their own type. In a batch the row of a job that
-- has run says Queued until the batch ends: nobody may take that for true, or a change would be lost.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never

CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
INSERT INTO source SELECT n, '0' FROM generate_series(1, 4) AS n;
INSERT INTO target SELECT n, '-' FROM generate_series(1, 4) AS n;
CREATE SCHEMA acting;
CREATE FUNCTION acting.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => source_doc.id::text)
$$;
CREATE FUNCTION acting.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.note := source_doc.note;
    EXECUTE coalesce(sync_job.context ->> 'before', 'SELECT $1.id, $2.id') USING sync_job, source_doc;
END $$;
CREATE FUNCTION acting.after_sync(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE coalesce(sync_job.context ->> 'after', 'SELECT $1.id, $2.id') USING sync_job, source_doc;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries) VALUES ('Acting', 'source', 'target', 'acting', 0);
CREATE VIEW jobs AS
    SELECT source_document_name AS source, status, split_part(error_message, E'\n', 1) AS error FROM sync_job ORDER BY id;
CREATE PROCEDURE forget() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cancel_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Queued';
    PERFORM clear_all_sync_jobs();
    UPDATE source SET note = '0';
    UPDATE target SET note = '-';
END $$;
-- A job of a source whose controller runs this before (or after) it has written its target.
CREATE FUNCTION act(source text, before text DEFAULT NULL, after text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT enqueue_sync_job('Acting', act.source, nullif(jsonb_strip_nulls(jsonb_build_object('before', before, 'after', after)), '{}'), deduplicate => true)
$$;

-- A job that changes its own source, or that of one that has run in the batch already, and asks for a sync of it: a job of its own.
CREATE FUNCTION again(sync_job sync_job, source_doc source, which int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE source SET note = note || '+' WHERE id = which AND length(note) < 4;
    IF found THEN
        PERFORM enqueue_sync_job('Acting', which::text, CASE which WHEN source_doc.id THEN sync_job.context END, deduplicate => true);
    END IF;
END $$;
SELECT act('1', before => 'SELECT again($1, $2, $2.id)') IS NOT NULL AS done;
CALL run_sync_jobs();
SELECT s.note = t.note AS in_step, s.note FROM source AS s JOIN target AS t USING (id) WHERE id = 1;
TABLE jobs;
CALL forget();
SELECT act('1'), act('2', before => 'SELECT again($1, $2, 1)'), act('3', before => 'SELECT again($1, $2, 1)') \gset
CALL run_sync_jobs();
SELECT s.note = t.note AS in_step, s.note FROM source AS s JOIN target AS t USING (id) WHERE id = 1;
TABLE jobs;
CALL forget();
-- The other way round, the one that has not run yet takes the change along.
SELECT act('1', before => 'SELECT again($1, $2, 2)'), act('2') \gset
CALL run_sync_jobs();
SELECT s.note = t.note AS in_step, s.note FROM source AS s JOIN target AS t USING (id) WHERE id = 2;
TABLE jobs;
CALL forget();
-- In one transaction: a job that has run there is no longer the one that waits.
BEGIN;
SELECT act('1') AS first \gset
UPDATE source SET note = '1' WHERE id = 1;
SELECT act('1') = :first AS absorbed;
SELECT status FROM execute_sync_job(:first);
UPDATE source SET note = '2' WHERE id = 1;
SELECT act('1') > :first AS another;
COMMIT;
CALL run_sync_jobs();
SELECT note FROM target WHERE id = 1;
CALL forget();

-- A job runs once: it cannot execute, cancel, start or retry itself, nor another of its batch that has run.
SELECT act('1', before => 'SELECT execute_sync_job($1.id)'), act('2', after => 'SELECT cancel_sync_job($1.id)'),
    act('3', after => 'SELECT cancel_sync_job(ARRAY[$1.id])'), act('4', before => 'SELECT cancel_sync_job($1.id - 1)') \gset
CALL run_sync_jobs();
TABLE jobs;
TABLE target ORDER BY id;
CALL forget();
SELECT status, error_message ~ 'cannot cancel sync job \d+ with status Started' AS refused FROM execute_sync_job(act('1', before => 'SELECT cancel_sync_job($1.id)'));
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before => 'SELECT start_sync_job($1.id)'));
SELECT status, error_message ~ 'cannot execute sync job \d+ with status Started' AS refused FROM execute_sync_job(act('1', before => 'SELECT execute_sync_job($1.id)'));
SELECT act('1', before => 'CALL run_sync_jobs()') AS id, act('2') AS other \gset
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(:id);
SELECT status FROM sync_job WHERE id = :other;
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before => 'SELECT revert_sync_job($1.id)'));
SELECT status FROM execute_sync_job(act('1', before => 'CALL wait_for_sync_job($1.id, ''1 ms'')'));
SELECT split_part(error_message, E'\n', 1) FROM sync_job ORDER BY id DESC LIMIT 1;
-- One may run or cancel another that waits.
SELECT act('1', before => 'SELECT execute_sync_job($1.id + 1)'), act('2'), act('3', before => 'SELECT cancel_sync_job($1.id + 1)'), act('4') \gset
CALL run_sync_jobs();
TABLE jobs;
TABLE target ORDER BY id;
CALL forget();
-- An error that is caught takes the mark of the job away with it.
SELECT act('1') AS id \gset
DO $$
BEGIN
    PERFORM execute_sync_job(max(id)) FROM sync_job;
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
    RAISE NOTICE 'then %', (SELECT status FROM execute_sync_job((SELECT max(id) FROM sync_job)));
END $$;
BEGIN;
SELECT status FROM execute_sync_job(act('1', before => 'SELECT 1 / 0'));
SELECT status, retry_count FROM retry_sync_job((SELECT max(id) FROM sync_job), '{}');
SELECT status FROM execute_sync_job((SELECT max(id) FROM sync_job));
COMMIT;
CALL forget();

-- A job that changes its own type: the next one has what is new; what it is itself, it stays. Deleted, renamed: not while it runs.
SELECT act('1', before => 'UPDATE sync_job_type SET max_retries = 9, queue = ''long'', disabled = true') AS id \gset
SELECT act('2') AS other \gset
CALL run_sync_jobs();
SELECT source, status, error FROM jobs;
SELECT act('1');
UPDATE sync_job_type SET disabled = false, max_retries = 0;
SELECT act('1') AS id \gset
SELECT queue, max_retries FROM sync_job WHERE id = :id;
CALL forget();
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before => 'DELETE FROM sync_job_type'));
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before => 'UPDATE sync_job_type SET name = ''Acted'''));
-- One that replaces its own functions, its target table, its schema, its extension.
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before =>
    'CREATE OR REPLACE FUNCTION acting.after_sync(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE plpgsql AS $a$ BEGIN RAISE NOTICE ''new after_sync''; END $a$'));
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before => 'DROP FUNCTION acting.after_sync'));
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(act('1', before => 'ALTER TABLE target ADD COLUMN more int DEFAULT 7'));
TABLE target ORDER BY id;
UPDATE source SET note = 'new';
CREATE FUNCTION do_harm(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    SELECT status || ': ' || coalesce(split_part(error_message, E'\n', 1), '-') INTO answer FROM execute_sync_job(act('1', before => statement));
    RAISE EXCEPTION '%', answer;
END $$;
SELECT do_harm('ALTER TABLE target DROP COLUMN note');
SELECT do_harm('ALTER TABLE target RENAME COLUMN note TO note2');
SELECT do_harm('ALTER TABLE target ALTER COLUMN note TYPE xml USING NULL');
SELECT do_harm('ALTER TABLE target DROP CONSTRAINT target_pkey');
SELECT do_harm('DROP TABLE source CASCADE');
SELECT do_harm('DROP SCHEMA acting CASCADE');
SELECT do_harm('DROP EXTENSION pg_sync_job CASCADE');
SELECT do_harm('SELECT clear_all_sync_jobs()');
SELECT do_harm('SET search_path = nowhere');
SELECT do_harm('SET ROLE nobody');
SELECT do_harm('SET TRANSACTION READ ONLY');
SELECT do_harm('COMMIT');
SELECT do_harm('SAVEPOINT s');
SELECT count(*) FROM sync_job_type;
SELECT status FROM execute_sync_job(act('1'));
