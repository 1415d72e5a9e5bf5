-- Keys of every kind: documents are named, found, locked, written and deleted by them. Everything runs here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
CREATE EXTENSION citext;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;
SET timezone = 'America/New_York';
SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -3;

CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'happy');
CREATE DOMAIN code AS citext CHECK (VALUE <> '');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);

-- One controller for all: the target has the source's key.
CREATE SCHEMA copy;
CREATE FUNCTION copy.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('target_document_name', name, 'operation', CASE
        WHEN sync_job -> 'context' ->> 'trigger_operation' = 'Delete' THEN 'delete'
        WHEN get_sync_document((sync_job ->> 'target_document_type')::regclass, name) IS NULL THEN 'insert'
        ELSE 'update' END)
    FROM (SELECT sync_job ->> 'source_document_name') AS j (name)
$$;
CREATE FUNCTION copy.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target_doc || jsonb_build_object('note', source_doc -> 'note')
$$;
CREATE TABLE source ();
CREATE TABLE target ();
-- A table of each kind of key, with a row; its job is enqueued by name, by row and by value.
CREATE PROCEDURE try(type text, value text) LANGUAGE plpgsql AS $$
DECLARE
    job sync_job;
    again sync_job;
    of_value bigint;
    target record;
BEGIN
    DROP TABLE source, target;
    DELETE FROM sync_job_type;
    EXECUTE format('CREATE TABLE source (key %s PRIMARY KEY, note text)', type);
    EXECUTE format('CREATE TABLE target (key %s PRIMARY KEY, note text)', type);
    INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Copy', 'source', 'target', 'copy');
    EXECUTE format('INSERT INTO source VALUES (%L, ''first'')', value);
    EXECUTE 'SELECT j.* FROM source AS s, execute_sync_job(enqueue_sync_job(''Copy'', s)) AS j' INTO job;
    EXECUTE 'UPDATE source SET note = ''second''';
    EXECUTE 'SELECT j.* FROM execute_sync_job(enqueue_sync_job(''Copy'', $1)) AS j' INTO again USING job.source_document_name;
    EXECUTE 'SELECT enqueue_sync_job(''Copy'', key) FROM source' INTO of_value;
    SELECT * INTO target FROM target;
    RAISE NOTICE '%: % | % % | % % % | % | %', type, job.source_document_name, job.status, job.operation, again.status, again.operation,
        again.diff_summary, (SELECT source_document_name = job.source_document_name FROM sync_job WHERE id = of_value), target;
    EXECUTE 'SELECT j.* FROM execute_sync_job(enqueue_sync_job(''Copy'', $1, operation => ''delete'', target_document_name => $1)) AS j'
        INTO again USING job.source_document_name;
    IF again.status <> 'Finished' OR EXISTS (SELECT FROM target) THEN RAISE NOTICE '%', again.error_message; END IF;
    IF job.status <> 'Finished' THEN RAISE NOTICE '%', job.error_message; END IF;
    PERFORM cancel_sync_job(of_value);
END $$;
CALL try('smallint', '-5');
CALL try('int', '0');
CALL try('positive', '7');
CALL try('bigint', '9223372036854775807');
CALL try('numeric', '1.50');
CALL try('numeric(10, 3)', '1.5');
CALL try('real', '0.1');
CALL try('double precision', '0.1');
CALL try('double precision', 'NaN');
CALL try('uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11');
CALL try('text', '');
CALL try('text', '["looks", "like JSON"]');
CALL try('text', E'tab\tnewline\nquote''"\\üñ€');
CALL try('varchar(5)', 'abc');
CALL try('char(5)', 'abc');
CALL try('name', 'a name');
CALL try('citext', 'MiXed');
CALL try('code', 'MiXed');
CALL try('boolean', 'yes');
CALL try('date', '2024-02-01');
CALL try('date', 'infinity');
CALL try('date', '0044-03-15 BC');
CALL try('time', '10:20:30.5');
CALL try('timetz', '10:20:30+02');
CALL try('timestamp', '2024-02-01 10:20:30.123456');
CALL try('timestamptz', '2024-02-01 10:20:30.123456+02');
CALL try('timestamptz(0)', '2024-02-01 10:20:30.6+02');
CALL try('interval', '1 mon 2 days 03:04:05');
CALL try('bytea', '\x00ff41');
CALL try('mood', 'it''s "ok"');
CALL try('inet', '10.0.0.1/8');
CALL try('bit(4)', '1010');
CALL try('int[]', '{1,NULL,3}');
CALL try('text[]', '{"a,b",NULL,"NULL","q\"uote"}');
CALL try('int4range', '[1,5]');
CALL try('tstzrange', '[2024-02-01 00:00+00,)');
CALL try('jsonb', '{"b": 1, "a": [1.50, null]}');
CALL try('jsonb', '"text"');
CALL try('oid', '4294967295');
CALL try('regclass', 'pg_class');
CALL try('money', '12.34');
-- No equality, no key.
CREATE VIEW points AS SELECT '(1,2)'::point AS key, 'x' AS note;
INSERT INTO sync_job_type (name, source_document_type, source_key, module) VALUES ('Points', 'points', '{key}', 'copy');
SELECT enqueue_sync_job('Points', '(1,2)');

-- ---- Keys of several columns ----

RESET datestyle;
RESET timezone;
CREATE TABLE visit ("Region" text, day date, nr smallint, note text, PRIMARY KEY (day, "Region", nr));
CREATE TABLE visit_copy (nr smallint, note text, day date, "Region" text, PRIMARY KEY (day, "Region", nr));
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Visit', 'visit', 'visit_copy', 'copy');
INSERT INTO visit VALUES ('no"rth, [south]', '2024-02-01', 3, 'first'), ('', '2024-02-01', 3, 'empty');
SELECT j.source_document_name, j.target_document_name, j.status, j.operation FROM visit AS v, execute_sync_job(enqueue_sync_job('Visit', v)) AS j
ORDER BY v."Region";
UPDATE visit SET note = 'second' WHERE "Region" <> '';
SELECT j.source_document_name, j.status, j.operation, j.diff_summary
FROM execute_sync_job(enqueue_sync_job('Visit', '["2024-02-01","no\"rth, [south]", 3]')) AS j;
SELECT * FROM visit_copy ORDER BY "Region";
SELECT j.status, j.diff_summary FROM execute_sync_job(enqueue_sync_job('Visit', '["2024-02-01", "", 3]', operation => 'delete',
    target_document_name => '["2024-02-01", "", 3]', verbose_logging => true)) AS j;
SELECT * FROM visit_copy ORDER BY "Region";

-- ---- Names that are quoted ----

CREATE SCHEMA "My ""Schema"", really";
CREATE TABLE "My ""Schema"", really"."The table" ("Key; --" int PRIMARY KEY, "note" text, "select" text, "a.b" text);
CREATE TABLE "My ""Schema"", really"."target" ("Key; --" int PRIMARY KEY, "note" text, "select" text, "a.b" text);
CREATE FUNCTION "My ""Schema"", really".update_target_doc(jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT $2 || jsonb_build_object('select', current_schemas(false)) $$;
CREATE FUNCTION "My ""Schema"", really".get_target_document(jsonb, jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT jsonb_build_object('operation', 'Insert') $$;
INSERT INTO "My ""Schema"", really"."The table" VALUES (1, 'n', NULL, 'dot');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module)
VALUES ('Quoted', '"My ""Schema"", really"."The table"', '"My ""Schema"", really".target', 'My "Schema", really');
SELECT j.title, j.status, j.diff_summary, j.error_message
FROM execute_sync_job(enqueue_sync_job('Quoted', 1, verbose_logging => true)) AS j;
SELECT j.title, j.status, j.diff_summary, j.error_message
FROM execute_sync_job(enqueue_sync_job('Quoted', 1, operation => 'update', target_document_name => '1')) AS j;
SELECT * FROM "My ""Schema"", really".target;

-- ---- A declared key ----

CREATE TABLE loose (a int, b text, note text);
CREATE VIEW seen AS SELECT a, b, note FROM loose;
INSERT INTO loose VALUES (1, 'x', 'one'), (2, 'y', 'two'), (2, 'y', 'again'), (NULL, 'z', 'null');
INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type, target_key, module)
VALUES ('Declared', 'seen', '{b}', 'seen', '{a,b}', 'copy'), ('No Key', 'seen', NULL, NULL, NULL, 'copy'), ('Wrong Key', 'seen', '{a,c}', NULL, NULL, 'copy');
SELECT j.status, j.operation, j.target_document_name, j.diff_summary FROM execute_sync_job(enqueue_sync_job('Declared', 'x',
    operation => 'update', target_document_name => '[1, "x"]', context => '{}')) AS j;
SELECT j.status, split_part(j.error_message, E'\nSQL', 1) AS error FROM execute_sync_job(enqueue_sync_job('Declared', 'y')) AS j;
SELECT j.status, split_part(j.error_message, E'\nSQL', 1) AS error FROM execute_sync_job(enqueue_sync_job('Declared', 'x', operation => 'update', target_document_name => '[2, "y"]')) AS j;
SELECT enqueue_sync_job('No Key', 'x');
SELECT enqueue_sync_job('Wrong Key', 'x');
SELECT enqueue_sync_job('Declared', s, operation => 'update', target_doc => s) FROM seen AS s WHERE b = 'z';

-- ---- Names longer than an entry of a B-tree ----

\pset format unaligned
\pset tuples_only on
CREATE TABLE far (a text, b bytea, note text);
CREATE TABLE far_copy (a text, b bytea, note text);
INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type, target_key, match, field_map)
VALUES ('Far', 'far', '{a,b}', 'far_copy', '{a,b}', '{"a": "a", "b": "b"}', '{"note": "note"}');
CREATE TRIGGER changed AFTER INSERT OR UPDATE ON far FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Far');
INSERT INTO far SELECT string_agg(md5(n::text), '' ORDER BY n), decode(string_agg(md5(n::text), '' ORDER BY n DESC), 'hex'), 'far'
    FROM generate_series(1, 150) AS n;
UPDATE far SET note = 'farther';
SELECT max(id) AS far, max(source_document_name) AS name FROM sync_job WHERE sync_job_type = 'Far' \gset
SELECT enqueue_sync_job('Far', :'name', deduplicate => true, context => '{"trigger_operation": "Update"}', trigger_type => 'Document Hook') = :far;
CALL run_sync_jobs();
SELECT status, length(source_document_name), length(title), error_message FROM sync_job WHERE sync_job_type = 'Far' ORDER BY id;
SELECT a = (SELECT a FROM far) AS same, note FROM far_copy;
SELECT count(*) FROM sync_job WHERE source_document_name = :'name';

CREATE TRIGGER deleted AFTER DELETE ON far FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Far');
DELETE FROM far;
CALL run_sync_jobs();
SELECT status, operation FROM sync_job WHERE source_document_name = :'name' ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM far_copy;

-- ---- A key that gets another shape while jobs wait ----

CREATE TABLE shape (a int PRIMARY KEY, b text, c uuid);
CREATE TABLE shape_copy (a int PRIMARY KEY, b text);
INSERT INTO shape VALUES (1, 'one', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
VALUES ('Shape', 'shape', 'shape_copy', '{"a": "a"}', '{"b": "b"}', 0);
SELECT enqueue_sync_job('Shape', 1) AS one \gset
ALTER TABLE shape DROP CONSTRAINT shape_pkey, ADD PRIMARY KEY (a, b);
SELECT status, error_message FROM execute_sync_job(:one);
SELECT enqueue_sync_job('Shape', '["1","one"]') AS one \gset
ALTER TABLE shape DROP CONSTRAINT shape_pkey, ADD PRIMARY KEY (c);
SELECT status, error_message FROM execute_sync_job(:one);

-- ---- Settings of whoever names, diffs and reads ----

CREATE TABLE odd (k text[] PRIMARY KEY, at timestamptz, days date, span interval, f float8, b bytea, x xml, m int[]);
CREATE TABLE odd_copy (LIKE odd INCLUDING ALL);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, verbose_logging) VALUES ('Odd', 'odd', 'odd_copy',
    '{"k": "k"}', '{"at": "at", "days": "days", "span": "span", "f": "f", "b": "b", "x": "x", "m": "m"}', true);
CREATE PROCEDURE odd_settings() LANGUAGE plpgsql AS $$
BEGIN
    SET timezone = 'Asia/Kathmandu'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET bytea_output = 'escape';
    SET extra_float_digits = -15; SET array_nulls = off; SET xmloption = document; SET xmlbinary = hex; SET quote_all_identifiers = on;
    SET standard_conforming_strings = off; SET backslash_quote = off; SET escape_string_warning = off; SET transform_null_equals = on;
END $$;
CREATE PROCEDURE plain_settings() LANGUAGE plpgsql AS $$
BEGIN
    RESET timezone; RESET datestyle; RESET intervalstyle; RESET bytea_output; RESET extra_float_digits; RESET array_nulls; RESET xmloption;
    RESET xmlbinary; RESET quote_all_identifiers; RESET standard_conforming_strings; RESET backslash_quote; RESET transform_null_equals;
END $$;
CREATE TABLE images AS SELECT k, at, days, span, f, b, x::text, m FROM odd;
INSERT INTO odd VALUES (ARRAY['a', NULL, 'NULL'], '2024-02-01 10:00:00.123456+00', '2024-02-01', '-1 day -02:03:04', 0.1 + 0.2, '\x00ff5c', 'a<b/>c', ARRAY[1, NULL]);
INSERT INTO images SELECT k, at, days, span, f, b, x::text, m FROM odd;
CALL odd_settings();
SELECT source_document_name, title FROM sync_job, (SELECT enqueue_sync_job('Odd', o) AS id FROM odd AS o) AS o WHERE sync_job.id = o.id;
SELECT max(id) AS job FROM sync_job \gset
CALL plain_settings();
SELECT enqueue_sync_job('Odd', o) AS other FROM odd AS o \gset
SELECT count(DISTINCT source_document_name) FROM sync_job WHERE sync_job_type = 'Odd';
CALL odd_settings();
SELECT status, diff_summary, error_message FROM execute_sync_job(:job) \gset made_
UPDATE sync_job_type SET disabled = true WHERE name = 'Shape';
DELETE FROM sync_job_type WHERE name = 'Shape';
SELECT attach_sync_job_triggers('Odd', 'odd');
CALL plain_settings();
\echo :made_status :made_diff_summary :made_error_message
SELECT status FROM execute_sync_job(:other);
SELECT count(*) AS equal FROM odd_copy AS o JOIN images AS i ON (o.k, o.at, o.days, o.span, o.f, o.b, o.x::text, o.m)::text = (i.*)::text;
SELECT revert_sync_job(:job) > :job;
SELECT count(*) FROM odd_copy;
