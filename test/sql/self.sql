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

-- ---- Jobs within jobs ----

-- Functions in SQL keep the state of a call in their handle, so that a call within it needs another one. A controller that runs a
-- job of its own type, down to the document 1.
CREATE TABLE nested (id int PRIMARY KEY, note text, v int DEFAULT 0);
INSERT INTO nested (id) SELECT generate_series(1, 9);
CREATE FUNCTION run_within(job_type text, n int, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN n > 0 THEN (execute_sync_job(enqueue_sync_job(job_type, context => jsonb_build_object('n', n) || more))).status ELSE 'bottom' END
$$;
CREATE SCHEMA nest_sql;
CREATE FUNCTION nest_sql.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => sync_job->'context'->>'n')
$$;
CREATE FUNCTION nest_sql.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target_doc || jsonb_build_object('note', run_within(sync_job->>'sync_job_type', (sync_job->'context'->>'n')::int - 1), 'v', (target_doc->>'v')::int + 1)
$$;
INSERT INTO sync_job_type (name, target_document_type, module, max_retries) VALUES ('Nested', 'nested', 'nest_sql', 0);
SELECT run_within('Nested', 4) FROM generate_series(1, 2);
SELECT * FROM nested WHERE v <> 0 ORDER BY id;
-- A bypass controller.
CREATE SCHEMA nest_bypass;
CREATE FUNCTION nest_bypass.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('diff', jsonb_build_object('below', run_within('Nested Bypass', (sync_job.context->>'n')::int - 1)))
$$;
INSERT INTO sync_job_type (name, module, max_retries) VALUES ('Nested Bypass', 'nest_bypass', 0);
SELECT run_within('Nested Bypass', 5) FROM generate_series(1, 2);
-- One that returns a set, row by row, and a hook.
CREATE SCHEMA nest_set;
CREATE FUNCTION nest_set.get_multiple_target_documents(sync_job jsonb, source_doc jsonb) RETURNS SETOF sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => CASE WHEN run_within('Nested Set', (sync_job->'context'->>'n')::int - 1) <> '' THEN i::text END)
    FROM generate_series((sync_job->'context'->>'n')::int, (sync_job->'context'->>'n')::int + 1) AS i
$$;
CREATE FUNCTION nest_set.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT target_doc $$;
CREATE FUNCTION nest_set.after_start(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('below', run_within('Nested Set', (sync_job->'context'->>'n')::int - 2))
$$;
INSERT INTO sync_job_type (name, target_document_type, module, max_retries) VALUES ('Nested Set', 'nested', 'nest_set', 0);
SELECT run_within('Nested Set', 3) FROM generate_series(1, 2);
SELECT status, count(*) FROM sync_job WHERE sync_job_type = 'Nested Set' AND parent_sync_job IS NULL GROUP BY status;

-- Two types that call each other, by a trigger of their target.
CREATE TABLE ping (id int PRIMARY KEY, v int DEFAULT 0);
CREATE TABLE pong (id int PRIMARY KEY, v int DEFAULT 0);
INSERT INTO ping (id) SELECT generate_series(1, 9);
INSERT INTO pong (id) SELECT generate_series(1, 9);
CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id > 1 THEN PERFORM run_within(TG_ARGV[0], NEW.id - 1); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER back BEFORE UPDATE ON ping FOR EACH ROW EXECUTE FUNCTION back('Pong');
CREATE TRIGGER back AFTER UPDATE ON pong FOR EACH ROW EXECUTE FUNCTION back('Ping');
CREATE SCHEMA nest_count;
CREATE FUNCTION nest_count.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => sync_job->'context'->>'n')
$$;
CREATE FUNCTION nest_count.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target_doc || jsonb_build_object('v', (target_doc->>'v')::int + 1)
$$;
INSERT INTO sync_job_type (name, target_document_type, module, max_retries) VALUES ('Ping', 'ping', 'nest_count', 0), ('Pong', 'pong', 'nest_count', 0);
SELECT run_within('Ping', 7) FROM generate_series(1, 2);
SELECT id, ping.v, pong.v FROM ping JOIN pong USING (id) WHERE ping.v + pong.v > 0 ORDER BY id;

-- The jobs within throw away the statement that is under way: so many sets of columns that the cache of the document type starts
-- over, below an update of that type.
DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || (SELECT string_agg('c' || i || ' int DEFAULT 0', ', ') FROM generate_series(1, 30) AS i) || ')'; END $$;
INSERT INTO wide (id) VALUES (1), (2);
CREATE SCHEMA nest_wide;
CREATE FUNCTION nest_wide.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => sync_job->'context'->>'n')
$$;
CREATE FUNCTION nest_wide.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target_doc || (SELECT jsonb_object_agg('c' || i, (target_doc->>('c' || i))::int + 1) FROM generate_series(1, 30) AS i
                          WHERE (sync_job->'context'->>'columns')::int & (1 << (i - 1)) <> 0)
$$;
INSERT INTO sync_job_type (name, target_document_type, module, max_retries) VALUES ('Wide', 'wide', 'nest_wide', 0);
CREATE FUNCTION many_within() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 1 THEN PERFORM run_within('Wide', 2, jsonb_build_object('columns', i)) FROM generate_series(1000, 1300) AS i; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER many_within BEFORE UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION many_within();
SELECT run_within('Wide', 1, '{"columns": 5}') FROM generate_series(1, 3);
SELECT c1, c2, c3 FROM wide WHERE id = 1;

-- An inner job fails: its work is undone, and the outer one goes on. And what each has to say.
CREATE SCHEMA nest_fail;
CREATE FUNCTION nest_fail.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    n int := sync_job.context->>'n';
    below text;
BEGIN
    UPDATE nested SET note = 'by ' || n WHERE id = n;
    below := run_within('Nested Fail', n - 1);
    RAISE NOTICE '% is over', n;
    IF n = 2 THEN RAISE EXCEPTION 'not %', n; END IF;
    RETURN jsonb_build_object('diff', jsonb_build_object('below', below));
END $$;
INSERT INTO sync_job_type (name, module, max_retries, verbose_logging) VALUES ('Nested Fail', 'nest_fail', 0, true);
SET client_min_messages = warning;
SELECT run_within('Nested Fail', 3);
RESET client_min_messages;
SELECT context->>'n' AS n, status, diff_summary, messages FROM sync_job WHERE sync_job_type = 'Nested Fail' ORDER BY id;
SELECT id, note FROM nested WHERE note ~ 'by' ORDER BY id;

-- An inner job changes the table that the outer one is about to write, or the functions of its controller that run.
CREATE SCHEMA nest_ddl;
CREATE FUNCTION nest_ddl.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sync_job.context->>'do';
    RETURN NULL;
END $$;
INSERT INTO sync_job_type (name, module, max_retries) VALUES ('Nested DDL', 'nest_ddl', 0);
CREATE SCHEMA nest_outer;
CREATE FUNCTION nest_outer.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => '1')
$$;
CREATE FUNCTION nest_outer.update_target_doc(sync_job jsonb, source_doc jsonb, INOUT target_doc nested) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.note := run_within('Nested DDL', 1, sync_job->'context');
END $$;
INSERT INTO sync_job_type (name, target_document_type, module, max_retries) VALUES ('Nested Outer', 'nested', 'nest_outer', 0);
CREATE FUNCTION outer_job(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job sync_job := execute_sync_job(enqueue_sync_job('Nested Outer', context => jsonb_build_object('do', statement)));
BEGIN
    RETURN concat_ws(' ', job.status, split_part(job.error_message, E'\n', 1), (SELECT note FROM nested WHERE id = 1),
        (SELECT split_part(error_message, E'\n', 1) FROM sync_job WHERE id > job.id));
END $$;
SELECT outer_job('ALTER TABLE nested ALTER COLUMN v SET DEFAULT 3');
SELECT outer_job('CREATE INDEX ON nested (note)');
SELECT outer_job('ALTER TABLE nested ALTER COLUMN note TYPE varchar');
SELECT outer_job('CREATE OR REPLACE FUNCTION nest_outer.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $a$ SELECT sync_job_target(''update'', target_document_name => ''2'') $a$');
SELECT outer_job('CREATE OR REPLACE FUNCTION nest_outer.update_target_doc(sync_job jsonb, source_doc jsonb, INOUT target_doc nested) LANGUAGE plpgsql AS $a$ BEGIN target_doc.v := 77; target_doc.note := run_within(''Nested DDL'', 1, sync_job->''context''); END $a$');
SELECT outer_job('DROP FUNCTION nest_outer.update_target_doc');
SELECT outer_job('SELECT 1');
SELECT id, note, v FROM nested WHERE id <= 2 ORDER BY id;

-- A controller that commits, and runs the jobs of a queue, among them others of its kind.
CREATE TABLE step (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE SCHEMA nest_commit;
CREATE PROCEDURE nest_commit.execute(sync_job jsonb, source_doc jsonb, context jsonb) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO step (what) VALUES ('begin ' || (context->>'n'));
    COMMIT;
    IF (context->>'n')::int > 0 THEN
        PERFORM enqueue_sync_job('Nested Commit', context => jsonb_build_object('n', (context->>'n')::int - 1), queue => 'long');
        PERFORM enqueue_background_job('now', queue => 'long');
        COMMIT;
        CALL run_sync_jobs('long');
    END IF;
    INSERT INTO step (what) VALUES ('end ' || (context->>'n'));
END $$;
INSERT INTO sync_job_type (name, module, max_retries) VALUES ('Nested Commit', 'nest_commit', 0);
SELECT enqueue_sync_job('Nested Commit', context => '{"n": 2}') AS id \gset
\o /dev/null
CALL execute_sync_job(:id, NULL);
\o
SELECT what FROM step ORDER BY n;
SELECT status, count(*) FROM sync_job WHERE id >= :id GROUP BY status;
