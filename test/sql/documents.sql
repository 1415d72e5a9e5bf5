-- What is written to a document, and what of it is recorded: types without equality, generated, identity and default columns,
-- dropped ones, partitions, views, foreign tables. Everything runs here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
CREATE EXTENSION postgres_fdw;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;
SET timezone = 'America/New_York';
SET datestyle = 'German';

-- The target is as the job's context says: with jsonb, the fields given, and with rows, all of them.
CREATE SCHEMA as_json;
CREATE FUNCTION as_json.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT sync_job -> 'context' -> 'target' $$;
CREATE FUNCTION as_json.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT sync_job -> 'context' -> 'set' $$;
-- Runs a job of the type that sets these fields; shows what came of it.
CREATE FUNCTION run(job_type text, target jsonb, fields jsonb, VARIADIC more text[] DEFAULT '{}')
RETURNS TABLE (status text, name text, diff jsonb, error text) LANGUAGE sql AS $$
    SELECT j.status, j.target_document_name, j.diff_summary, split_part(j.error_message, E'\nCONTEXT', 1)
    FROM execute_sync_job(enqueue_sync_job(jsonb_object(more) || jsonb_build_object('sync_job_type', job_type,
        'context', jsonb_build_object('target', target, 'set', fields)))) AS j
$$;
CREATE FUNCTION updated(text) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT jsonb_build_object('operation', 'update', 'target_document_name', $1) $$;

-- ---- Every type: unchanged is Skipped, changed is recorded so that the value can be made from it again ----

CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE address AS (street text, nr int);
CREATE TYPE person AS (name text, home address, tags text[]);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE every (id int PRIMARY KEY, b boolean, i2 smallint, i8 bigint, n numeric, n2 numeric(9, 2), f4 real, f8 double precision, t text, v varchar(9),
    c char(4), d date, ts timestamp, tz timestamptz, iv interval, u uuid, by bytea, j json, jb jsonb, x xml, p point, r int4range, tr tstzrange,
    ai int[], at text[], aj jsonb[], ad date[], a2 int[], m mood, ad2 address, pe person, sh short, bits bit varying, ip inet, ts_v tsvector,
    mr int4multirange);
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Every', 'every', 'as_json');
SELECT * FROM run('Every', '{"operation": "insert"}', '{"id": 1}', 'verbose_logging', 'true');
-- All set.
\pset format unaligned
SELECT status, replace(diff::text, '}, "', E'}\n"') AS diff, error FROM run('Every', updated('1'), '{"b": true, "i2": -1, "i8": 9007199254740993, "n": 1.50, "n2": 1.5, "f4": 0.1, "f8": 1e-20,
    "t": "täxt\\\"", "v": "v", "c": "c", "d": "2024-02-01", "ts": "2024-02-01 10:00:00.5", "tz": "2024-02-01T10:00:00.000001+02:00", "iv": "1 day 00:00:01",
    "u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "by": "\\x00ff", "j": {"b": 1, "a": [1]}, "jb": {"b": 1, "a": [1.50]}, "x": "<a>b</a>", "p": "(1,2)",
    "r": "[1,3]", "tr": "[2024-02-01 00:00+00,)", "ai": [1, null, 3], "at": ["a,b", null, "NULL", "q\"\\"], "aj": [{"a": 1}, "s", 2], "ad": ["2024-02-01"],
    "a2": [[1, 2], [3, 4]], "m": "ok", "ad2": {"street": "Main, St. \"1\"", "nr": 5}, "pe": {"name": "Jo (x)", "home": {"street": null, "nr": 7}, "tags": ["a", "b c"]},
    "sh": "short", "bits": "101", "ip": "10.0.0.0/8", "ts_v": "a:1 b:2", "mr": "{[1,3),[5,7)}"}');
\pset format aligned
SELECT b, i2, i8, n, n2, f4, f8, t, v, c, j, jb, x, p, r, ai, at, aj, a2, m, ad2, pe, sh, bits, ip, mr FROM every \gx
-- The same again, as it is stored, in another notation, and through the row itself.
SELECT * FROM run('Every', updated('1'), (SELECT to_jsonb(e) FROM every AS e));
SELECT * FROM run('Every', updated('1'), '{"i8": "9007199254740993", "f8": 0.1e-19, "tz": "2024-02-01 08:00:00.000001Z", "u": "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
    "by": "\\x00FF", "r": "(0,4)", "b": "yes", "d": "1 Feb 2024"}');
-- What looks alike, and is not: scale, case of JSON text, order of keys.
SELECT * FROM run('Every', updated('1'), '{"n": 1.500, "j": {"a": [1], "b": 1}, "p": "(1,2.5)", "x": "<a>c</a>"}');
-- What JSON has no number for, or no difference between.
SELECT * FROM run('Every', updated('1'), '{"n": "NaN", "f4": "Infinity", "f8": "-0", "d": "infinity", "tz": "-infinity", "jb": null, "ai": "[0:1]={7,8}"}');
SELECT n, f4, f8, d, tz, jb, ai FROM every;
SELECT * FROM run('Every', updated('1'), '{"n": "NaN", "f8": 0, "d": "infinity", "ai": [7, 8]}');
SELECT * FROM run('Every', updated('1'), '{"jb": "a string", "aj": [null, "x"], "ai": []}');
SELECT * FROM run('Every', updated('1'), '{"jb": 5, "ai": null, "t": "", "v": null}');
-- What does not fit names the field.
\pset format unaligned
SELECT status, error FROM unnest(ARRAY['{"i2": 70000}', '{"i2": "x"}', '{"b": 2}', '{"d": "soon"}', '{"m": "angry"}', '{"sh": "much too long"}', '{"v": "longer than nine"}',
    '{"n2": 123456789}', '{"ai": ["x"]}', '{"ad2": "("}', '{"nosuch": 1}', '{"Id": 1}', '[1]', '"x"']::jsonb[]) AS fields,
    LATERAL run('Every', updated('1'), fields);
SELECT status, error FROM run('Every', updated('1'), NULL);
\pset format aligned

-- ---- Only the columns that changed are written ----

CREATE TABLE target (id int PRIMARY KEY, a text, b text, c text);
CREATE TABLE noted (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO noted VALUES (TG_ARGV[0]); RETURN NEW; END $$;
CREATE TRIGGER a AFTER UPDATE OF a ON target FOR EACH ROW EXECUTE FUNCTION note('a');
CREATE TRIGGER b AFTER UPDATE OF b ON target FOR EACH ROW EXECUTE FUNCTION note('b');
CREATE TRIGGER c AFTER UPDATE OF c ON target FOR EACH ROW EXECUTE FUNCTION note('c');
CREATE TRIGGER any_column AFTER UPDATE ON target FOR EACH ROW EXECUTE FUNCTION note('update');
INSERT INTO target VALUES (1, 'a', 'b', 'c');
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Columns', 'target', 'as_json');
SELECT * FROM run('Columns', updated('1'), '{"id": 1, "a": "a", "b": "changed", "c": "c"}');
SELECT * FROM noted;
TRUNCATE noted;
SELECT * FROM run('Columns', updated('1'), '{"id": 1, "a": "a", "b": "changed", "c": "c"}');
SELECT * FROM noted;
-- An update for its own sake touches no column but the key.
SELECT * FROM run('Columns', updated('1'), '{"id": 1, "a": "a"}', 'update_without_changes_enabled', 'true');
SELECT * FROM noted;
-- NULL is a value, and other than no field.
SELECT * FROM run('Columns', updated('1'), '{"a": null, "c": "x"}');
SELECT * FROM target;
-- The key may change: the name is the new one.
SELECT * FROM run('Columns', updated('1'), '{"id": 2}');
SELECT * FROM run('Columns', updated('1'), '{"id": 3}');
SELECT * FROM run('Columns', '{"operation": "delete", "target_document_name": 1}', NULL);
SELECT * FROM run('Columns', '{"operation": "delete", "target_document_name": 2}', NULL);
SELECT * FROM run('Columns', '{"operation": "delete"}', NULL);
SELECT * FROM run('Columns', '{"operation": "update"}', NULL);
SELECT * FROM run('Columns', NULL, NULL);

-- A table may have columns with the names that the engine's own statements use.
CREATE TABLE odd (t int PRIMARY KEY, t_ text, j text, v text, source text, context text, sync_job_n int);
CREATE TABLE odd_copy (t int PRIMARY KEY, t_ text, j text, v text, source text, context text, sync_job_n int);
INSERT INTO odd VALUES (1, 't_', 'j', 'v', 'source', 'context', 5), (2, 't_', 'j', 'v', 'source', 'context', 6);
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Odd', 'odd_copy', 'as_json');
SELECT * FROM run('Odd', '{"operation": "insert"}', '{"t": 1, "t_": "x", "j": "x"}');
SELECT * FROM run('Odd', updated('1'), '{"t_": "y", "v": "z"}');
SELECT * FROM run('Odd', '{"operation": "delete", "target_document_name": "1"}', NULL);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Odd Map', 'odd', 'odd_copy', '{"t": "t"}',
    '{"t_": "t_", "j": "j", "v": {"expr": "source.v || context.context"}, "source": "source", "context": {"expr": "source.context"}, "sync_job_n": "sync_job_n"}');
SELECT enqueue_sync_jobs('Odd Map', ARRAY['1', '2'], '{}');
CALL run_sync_jobs();
UPDATE odd SET j = 'changed';
SELECT enqueue_sync_jobs('Odd Map', ARRAY['1', '2'], '{}');
CALL run_sync_jobs();
SELECT status, diff_summary, error_message FROM sync_job WHERE sync_job_type = 'Odd Map' ORDER BY id;
SELECT * FROM odd_copy ORDER BY t;

-- ---- What the database fills in ----

CREATE TABLE filled (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nr int GENERATED BY DEFAULT AS IDENTITY (START 100), name text,
    upper_name text GENERATED ALWAYS AS (upper(name)) STORED, kind text DEFAULT 'plain', dropped int DEFAULT 7, stamp text, must text NOT NULL DEFAULT 'must');
ALTER TABLE filled DROP COLUMN dropped;
ALTER TABLE filled ADD COLUMN late text DEFAULT 'late';
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.stamp := TG_OP; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON filled FOR EACH ROW EXECUTE FUNCTION stamp();
INSERT INTO sync_job_type (name, target_document_type, module, verbose_logging) VALUES ('Filled', 'filled', 'as_json', true);
SELECT * FROM run('Filled', '{"operation": "insert"}', '{}');
SELECT * FROM run('Filled', '{"operation": "insert"}', '{"name": "x", "kind": null, "nr": 5, "upper_name": "ignored"}');
SELECT * FROM run('Filled', '{"operation": "insert"}', '{"id": 77}');
SELECT * FROM run('Filled', '{"operation": "insert"}', '{"must": null}');
SELECT * FROM run('Filled', updated('1'), '{"name": "y"}');
SELECT * FROM run('Filled', updated('1'), '{"upper_name": "ignored", "id": 1}');
SELECT * FROM run('Filled', updated('1'), '{"id": 8}');
SELECT * FROM filled ORDER BY id;
-- The same with the row type, in a function made before a column went and another came.
CREATE TABLE filled_source (gone int, id int PRIMARY KEY, name text);
INSERT INTO filled_source VALUES (1, 1, 'one'), (2, 2, 'two');
CREATE SCHEMA as_rows;
CREATE FUNCTION as_rows.get_target_document(sync_job sync_job, source_doc filled_source) RETURNS sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target(coalesce(sync_job.operation, 'insert'), target_document_name => source_doc.id::text) $$;
CREATE FUNCTION as_rows.update_target_doc(sync_job sync_job, source_doc filled_source, target_doc filled) RETURNS filled LANGUAGE plpgsql
    AS $$ BEGIN target_doc.name := source_doc.name; RETURN target_doc; END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Rows', 'filled_source', 'filled', 'as_rows');
SELECT j.status, j.target_document_name, j.diff_summary, j.error_message FROM execute_sync_job(enqueue_sync_job('Rows', 1, operation => 'update', target_document_name => '1')) AS j;
ALTER TABLE filled_source DROP COLUMN gone;
ALTER TABLE filled_source ADD COLUMN extra text;
ALTER TABLE filled DROP COLUMN kind;
ALTER TABLE filled ADD COLUMN newer int DEFAULT 3;
ALTER TABLE filled ALTER COLUMN nr TYPE bigint;
SELECT j.status, j.target_document_name, j.diff_summary, j.error_message FROM execute_sync_job(enqueue_sync_job('Rows', 2, operation => 'update', target_document_name => '1')) AS j;
SELECT j.status, j.target_document_name, j.diff_summary, j.error_message FROM execute_sync_job(enqueue_sync_job('Rows', 1, operation => 'insert', verbose_logging => true)) AS j;
SELECT * FROM filled ORDER BY id;

-- ---- Partitioned tables ----

CREATE TABLE part (region text, id int, note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE part_north (note text, id int NOT NULL, region text NOT NULL);
ALTER TABLE part ATTACH PARTITION part_north FOR VALUES IN ('north');
CREATE TABLE part_south PARTITION OF part FOR VALUES IN ('south');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Part', 'part', 'part', 'as_json');
SELECT * FROM run('Part', '{"operation": "insert"}', '{"region": "north", "id": 1, "note": "n"}', 'verbose_logging', 'true');
SELECT * FROM run('Part', updated('["north", 1]'), '{"note": "changed"}');
SELECT * FROM run('Part', updated('["north", 1]'), '{"region": "south"}');
SELECT * FROM run('Part', updated('["south", 1]'), '{"region": "west"}');
SELECT tableoid::regclass, * FROM part;
SELECT j.source_document_type, j.source_document_name FROM part AS p, execute_sync_job(enqueue_sync_job('Part', p)) AS j;
SELECT * FROM run('Part', '{"operation": "delete", "target_document_name": "[\"south\", 1]"}', NULL);

-- ---- Views ----

CREATE TABLE base (id int PRIMARY KEY, note text, hidden text DEFAULT 'h');
CREATE VIEW plain AS SELECT id, note FROM base WHERE id < 100;
CREATE VIEW joined AS SELECT b.id, b.note, t.a FROM base AS b LEFT JOIN target AS t USING (id);
CREATE FUNCTION write_joined() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN INSERT INTO base VALUES (NEW.id, NEW.note); RETURN NEW; END IF;
    IF TG_OP = 'UPDATE' THEN UPDATE base SET note = NEW.note WHERE id = OLD.id; RETURN NEW; END IF;
    DELETE FROM base WHERE id = OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON joined FOR EACH ROW EXECUTE FUNCTION write_joined();
INSERT INTO sync_job_type (name, target_document_type, target_key, module) VALUES ('Plain', 'plain', '{id}', 'as_json'), ('Joined', 'joined', '{id}', 'as_json');
SELECT * FROM run('Plain', '{"operation": "insert"}', '{"id": 1, "note": "n"}');
SELECT * FROM run('Plain', updated('1'), '{"note": "changed"}');
SELECT * FROM run('Plain', updated('1'), '{"hidden": "x"}');
SELECT * FROM run('Joined', '{"operation": "insert"}', '{"id": 2, "note": "n"}');
SELECT * FROM run('Joined', updated('2'), '{"note": "changed"}');
SELECT * FROM run('Joined', '{"operation": "delete", "target_document_name": "2"}', NULL);
SELECT * FROM base;

-- ---- Foreign tables ----

SELECT current_setting('port') AS port, split_part(current_setting('unix_socket_directories'), ',', 1) AS socket, current_database() AS database \gset
CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'socket', port :'port', dbname :'database');
CREATE USER MAPPING FOR CURRENT_USER SERVER self;
CREATE TABLE remote (id int PRIMARY KEY, note text, at timestamptz);
CREATE FOREIGN TABLE far (id int, note text, at timestamptz) SERVER self OPTIONS (table_name 'remote');
INSERT INTO sync_job_type (name, target_document_type, target_key, module) VALUES ('Far', 'far', '{id}', 'as_json'), ('Far No Key', 'far', NULL, 'as_json');
SELECT * FROM run('Far', '{"operation": "insert"}', '{"id": 1, "note": "n", "at": "2024-02-01 00:00:00+00"}', 'verbose_logging', 'true');
SELECT * FROM run('Far', updated('1'), '{"note": "changed"}');
SELECT * FROM run('Far', updated('1'), '{"note": "changed"}');
SELECT * FROM run('Far', updated('1'), '{"note": "of a dry run"}', 'dry_run', 'true');
SELECT id, note FROM remote;
SELECT * FROM run('Far', '{"operation": "delete", "target_document_name": "1"}', NULL);
SELECT * FROM run('Far No Key', updated('1'), NULL);
SELECT id, note FROM remote;

-- ---- What cannot hold documents, or suppresses a write ----

CREATE MATERIALIZED VIEW matview AS SELECT 1 AS id;
CREATE TEMPORARY TABLE temporary (id int PRIMARY KEY);
CREATE SEQUENCE sequence;
INSERT INTO sync_job_type (name, module) VALUES ('Open', 'as_json');
SELECT enqueue_sync_job('Open', '1', source_document_type => 'matview');
SELECT enqueue_sync_job('Open', '1', source_document_type => 'temporary');
SELECT enqueue_sync_job('Open', '1', source_document_type => 'sequence');
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TABLE suppressed (id int PRIMARY KEY, note text);
INSERT INTO suppressed VALUES (1, 'n');
CREATE TRIGGER suppress BEFORE INSERT OR UPDATE OR DELETE ON suppressed FOR EACH ROW EXECUTE FUNCTION suppress();
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Suppressed', 'suppressed', 'as_json');
SELECT * FROM run('Suppressed', '{"operation": "insert"}', '{"id": 2}');
SELECT * FROM run('Suppressed', updated('1'), '{"note": "x"}');
SELECT * FROM run('Suppressed', '{"operation": "delete", "target_document_name": "1"}', NULL);
-- The target type per job, where the job type leaves it open.
SELECT * FROM run('Open', '{"operation": "insert", "target_document_type": "base"}', '{"id": 5}');
SELECT * FROM run('Open', '{"operation": "insert", "target_document_type": "nowhere"}', '{"id": 5}');
SELECT * FROM run('Open', '{"operation": "insert"}', '{"id": 5}');
SELECT * FROM run('Columns', '{"operation": "insert", "target_document_type": "base"}', '{"id": 5}');
SELECT * FROM run('Columns', '{"operation": "upsert"}', '{"id": 5}');
SELECT * FROM run('Columns', '{"op": "insert"}', '{"id": 5}');
SELECT * FROM run('Columns', '[]', '{"id": 5}');

-- What is too large for a diff is synced; and so is what gets a column while it is synced.
\t
\pset format unaligned
CREATE TABLE large (id int PRIMARY KEY, note text, small text);
CREATE TABLE large_copy (LIKE large INCLUDING ALL);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Large', 'large', 'large_copy', '{"id": "id"}', '{"note": "note", "small": "small"}');
INSERT INTO large VALUES (1, repeat('x', 20000000), 'a');
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Large', 1));
UPDATE large SET note = repeat('y', 20000000), small = 'b';
SELECT enqueue_sync_job('Large', 1) AS large \gset
SELECT status, diff_summary, error_message FROM execute_sync_job(:large);
SELECT l.note = c.note AND l.small = c.small AS same FROM large AS l JOIN large_copy AS c USING (id);
\set VERBOSITY default
SELECT revert_sync_job(:large);
UPDATE sync_job_type SET match = NULL, field_map = NULL, module = 'grows' WHERE name = 'Large';
CREATE SCHEMA grows;
CREATE FUNCTION grows.get_target_document(sync_job sync_job, source_doc large) RETURNS sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('update', target_document_name => source_doc.id::text) $$;
CREATE FUNCTION grows.update_target_doc(sync_job sync_job, source_doc large, INOUT target_doc large_copy) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.small := source_doc.small || '+';
END $$;
CREATE FUNCTION grows.before_sync(sync_job sync_job, source_doc large, target_doc large_copy) RETURNS large_copy LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE large_copy DROP COLUMN IF EXISTS %I, ADD COLUMN %I int', 'more' || sync_job.id - 1, 'more' || sync_job.id);
    target_doc.small := 'before ' || source_doc.small;
    RETURN target_doc;
END $$;
SELECT status, diff_summary, error_message FROM execute_sync_job(enqueue_sync_job('Large', 1));
UPDATE large SET small = 'c';
SELECT status, diff_summary, error_message FROM execute_sync_job(enqueue_sync_job('Large', 1));
-- An array with more levels than any may have.
SELECT status, error FROM run('Every', updated('1'), jsonb_build_object('ai', (repeat('[', 3000) || repeat(']', 3000))::jsonb));
