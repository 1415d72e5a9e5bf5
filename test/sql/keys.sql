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
