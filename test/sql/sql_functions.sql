-- Controller functions in LANGUAGE sql, whose plan the engine keeps: what they do is what the server makes of them when it calls them
-- itself, as it does where a function has settings of its own (SET). Each body is tried both ways, twice.
SELECT format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()) \gexec
CREATE EXTENSION pg_sync_job;
\set VERBOSITY default
\set SHOW_CONTEXT never

CREATE DOMAIN short AS varchar(5) CHECK (value <> 'bad');
CREATE TABLE source (id int PRIMARY KEY, code text, n int);
CREATE TABLE target (gone int, id int PRIMARY KEY, code char(5), n numeric(6, 2), note short);
ALTER TABLE target DROP COLUMN gone;
INSERT INTO source VALUES (1, 'one', 10), (2, 'two', 20), (3, NULL, 0);
INSERT INTO target VALUES (9, 'one', 1);
CREATE TABLE seen (what text);
CREATE SCHEMA kept;
CREATE SCHEMA called;
CREATE FUNCTION make(name text, arguments text, body text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION kept.%I%s %s', name, arguments, body);
    EXECUTE format('CREATE OR REPLACE FUNCTION called.%I%s SET work_mem = ''4MB'' %s', name, arguments, body);
END $$;
CREATE FUNCTION target_is(body text) RETURNS void LANGUAGE sql RETURN make('get_target_document',
    '(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql', body);
CREATE FUNCTION update_is(body text) RETURNS void LANGUAGE sql RETURN make('update_target_doc',
    '(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE sql', body);
-- What becomes of a job, and the line of CONTEXT for its error.
CREATE FUNCTION run(type text, document text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job sync_job := execute_sync_job(enqueue_sync_job(type, document, max_retries => 0));
BEGIN
    RETURN concat_ws(' | ', job.status, job.operation, job.target_document_name,
        (SELECT t::text FROM target AS t WHERE t.id::text = job.target_document_name),
        (SELECT concat_ws(' | ', sqlstate, message, detail) || E'\n' || split_part(context, E'\n', 1)
         FROM sync_job_error WHERE sync_job = job.id));
END $$;
-- The same for each document, both ways and twice, all of it undone. One row where both ways agree.
CREATE FUNCTION both_ways() RETURNS TABLE (document text, outcome text, the_same boolean) LANGUAGE plpgsql AS $$
DECLARE
    outcomes text[] := '{}';
    type text;
BEGIN
    FOR document IN SELECT id::text FROM source ORDER BY id LOOP
        outcomes := '{}';
        FOREACH type IN ARRAY ARRAY['Kept', 'Called', 'Kept', 'Called'] LOOP
            BEGIN
                outcomes := outcomes || run(type, document);
                RAISE 'undo' USING ERRCODE = 'UNDO0';
            EXCEPTION WHEN SQLSTATE 'UNDO0' THEN NULL;
            END;
        END LOOP;
        FOR outcome IN SELECT DISTINCT o FROM unnest(outcomes) AS o LOOP
            the_same := outcomes[1] = ALL (outcomes);
            outcome := split_part(outcome, E'\n', 1); -- the words of the context differ between versions of the server
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;
SELECT target_is($$ AS 'SELECT sync_job_target(''insert'')' $$);
SELECT update_is($$ AS $f$ SELECT source_doc.id, source_doc.code, source_doc.n, 'n' || source_doc.n $f$ $$);
INSERT INTO sync_job_type (name, module, source_document_type, target_document_type)
VALUES ('Kept', 'kept', 'source', 'target'), ('Called', 'called', 'source', 'target');

-- ---- Bodies ----

-- As in the README; columns are converted to those of the result, and dropped ones filled in.
SELECT target_is($$ STABLE AS $f$
    SELECT sync_job_target(CASE WHEN t.id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.id::text)
    FROM (SELECT 1) AS one LEFT JOIN target AS t ON t.code = source_doc.code $f$ $$);
SELECT * FROM both_ways();
-- Columns instead of a composite value, parameters by number and by the function's name.
SELECT target_is($$ AS $f$ SELECT 'insert'::varchar, NULL, NULL, jsonb_build_object('n', $2.n)
    WHERE get_target_document.source_doc.n > 0 $f$ $$);
SELECT * FROM both_ways();
-- DISTINCT and a set operation: what converts must not change what is distinct.
SELECT update_is($$ AS $f$ SELECT DISTINCT source_doc.id::bigint, 'x', 1.239, NULL::text $f$ $$);
SELECT * FROM both_ways();
SELECT update_is($$ AS $f$ SELECT 1, 'x', 2, 'a' WHERE false UNION ALL SELECT source_doc.id, 'y', 2.5, 'b' $f$ $$);
SELECT * FROM both_ways();
-- No row is NULL, several are the first.
SELECT target_is($$ AS 'SELECT sync_job_target(''insert'') FROM source WHERE false' $$);
SELECT * FROM both_ways();
SELECT target_is($$ STABLE AS 'SELECT sync_job_target(o) FROM unnest(ARRAY[''insert'', ''update'']) AS o' $$);
SELECT * FROM both_ways();
-- Standard bodies; several statements; a statement that writes; STRICT.
SELECT target_is($$ RETURN sync_job_target('insert') $$);
SELECT update_is($$ BEGIN ATOMIC SELECT source_doc.id, source_doc.code, source_doc.n, NULL; END $$);
SELECT * FROM both_ways();
SELECT target_is($$ AS 'INSERT INTO seen VALUES (''first''); SELECT sync_job_target(CASE count(*) WHEN 1 THEN ''insert'' END) FROM seen' $$);
SELECT * FROM both_ways();
SELECT target_is($$ AS $f$ INSERT INTO seen VALUES ('insert') RETURNING (sync_job_target(what)).* $f$ $$);
SELECT * FROM both_ways();
SELECT target_is($$ AS $f$ WITH w AS (INSERT INTO seen VALUES ('insert') RETURNING what) SELECT sync_job_target(what) FROM w $f$ $$);
SELECT * FROM both_ways();
SELECT target_is($$ STRICT AS 'SELECT sync_job_target(''insert'')' $$);
SELECT * FROM both_ways();
-- A volatile function sees what it has done itself, a stable one does not.
CREATE FUNCTION note() RETURNS bigint LANGUAGE sql VOLATILE AS 'INSERT INTO seen VALUES (''noted''); SELECT count(*) FROM seen';
CREATE FUNCTION noted() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM seen';
SELECT target_is($$ AS $f$ SELECT sync_job_target('insert', context => jsonb_build_object('n', note() + noted())) $f$ $$);
SELECT update_is($$ AS $f$ SELECT source_doc.id, 'x', (sync_job.context -> 'n')::numeric, (SELECT count(*) FROM seen)::text $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
SELECT update_is($$ STABLE AS $f$ SELECT source_doc.id, 'x', note(), (SELECT count(*) FROM seen)::text $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
-- Row locks are for volatile functions only.
SELECT update_is($$ AS $f$ SELECT source_doc.id, s.code, s.n, NULL FROM source AS s WHERE s.id = source_doc.id FOR UPDATE $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
SELECT update_is($$ STABLE AS $f$ SELECT source_doc.id, s.code, s.n, NULL FROM source AS s WHERE s.id = source_doc.id FOR UPDATE $f$ $$);
SELECT * FROM both_ways() LIMIT 1;

-- ---- Errors: the same text, code and context ----

SELECT update_is($$ AS $f$ SELECT source_doc.id, 'x', 1 / (source_doc.id - 1), NULL $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
SELECT update_is($$ AS $f$ SELECT source_doc.id, 'x', 1, 'bad'::short $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
SELECT update_is($$ AS $f$ SELECT source_doc.id, 'x', 1, 'too long for it' $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
CREATE TABLE other AS SELECT 1 AS a;
SELECT update_is($$ AS $f$ SELECT source_doc.id, 'x', a, NULL FROM other $f$ $$);
SELECT * FROM both_ways() LIMIT 1;
ALTER TABLE other RENAME a TO b;
SELECT * FROM both_ways() LIMIT 1;
DROP TABLE other;
SELECT * FROM both_ways() LIMIT 1;
CREATE TABLE other AS SELECT 7.5 AS a;
SELECT * FROM both_ways() LIMIT 1;

-- ---- The plan is kept, and made anew when it has to be ----

-- Computed, and so counted, when the body is planned. From version 18 on the server keeps plans itself, by rules of its own.
CREATE SEQUENCE plannings;
CREATE FUNCTION planned() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('plannings'); RETURN 'insert'; END $$;
CREATE FUNCTION planned_times(expected int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    times int := nextval('plannings') - 1;
BEGIN
    PERFORM setval('plannings', 1, false);
    RETURN CASE WHEN times = expected OR current_setting('server_version_num')::int >= 180000 THEN 'as expected' ELSE times::text END;
END $$;
CREATE FUNCTION kept_runs(document text) RETURNS text LANGUAGE sql AS 'SELECT split_part(run(''Kept'', document), E''\n'', 1)';
SELECT make('update_target_doc', '(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE sql',
    $$ AS 'SELECT target_doc.id, target_doc.code, target_doc.n + 1, target_doc.note' $$);
CREATE OR REPLACE FUNCTION kept.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql
AS $$ SELECT sync_job_target('update', target_document_name => '9') WHERE planned() = 'insert' $$;
SELECT kept_runs('1');
SELECT kept_runs('2');
SELECT planned_times(1);
-- After DDL on what it reads, another definition, other columns of a parameter, another function of that name.
CREATE OR REPLACE FUNCTION kept.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql
AS $$ SELECT sync_job_target('update', target_document_name => id::text) FROM target WHERE id = 9 AND planned() = 'insert' $$;
SELECT kept_runs('1');
SELECT planned_times(1);
CREATE INDEX ON target (code);
SELECT kept_runs('1');
SELECT kept_runs('1');
SELECT planned_times(1);
ALTER TABLE source ALTER n TYPE text;
SELECT kept_runs('1');
SELECT kept_runs('1');
SELECT planned_times(1);
-- Since PostgreSQL 18 the server itself keeps the plans of such functions, and does not look for names again.
BEGIN;
CREATE FUNCTION kept.planned() RETURNS text LANGUAGE sql AS $$ SELECT 'never' $$;
SELECT kept_runs('1') = 'No Target' OR current_setting('server_version_num')::int >= 180000 AS found_first;
ROLLBACK;
SELECT kept_runs('1');
-- Somebody else's rights, settings of its own: the server calls it.
ALTER FUNCTION kept.get_target_document(sync_job, source) SECURITY DEFINER;
SELECT planned_times(1);
SELECT kept_runs('1');
SELECT kept_runs('1');
SELECT planned_times(2);
ALTER FUNCTION kept.get_target_document(sync_job, source) SECURITY INVOKER SET enable_seqscan = off;
SELECT kept_runs('1');
ALTER FUNCTION kept.get_target_document(sync_job, source) RESET ALL;
SELECT kept_runs('1');
SELECT kept_runs('1');
SELECT planned_times(2);
ALTER FUNCTION kept.get_target_document(sync_job, source) STRICT;
SELECT kept_runs('1');
-- Words for dates are read each time. A plan would keep the value.
CREATE OR REPLACE FUNCTION kept.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql
AS $$ SELECT sync_job_target('update', target_document_name => '9', context => jsonb_build_object('at', 'now'::timestamptz))
    WHERE planned() = 'insert' $$;
SELECT planned_times(1);
SELECT kept_runs('1');
SELECT kept_runs('1');
SELECT planned_times(2);
SELECT count(DISTINCT context ->> 'at') = 2 OR current_setting('server_version_num')::int >= 180000 AS each_time FROM sync_job WHERE context ? 'at';
DROP FUNCTION kept.get_target_document(sync_job, source);
SELECT kept_runs('1');
