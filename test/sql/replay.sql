-- apply_sync_job() and revert_sync_job(): what a dry run showed is made real, what a job did is undone, exactly; or refused,
-- naming the fields that somebody has changed since.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never
SET timezone = 'America/New_York';
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = 0;
SET bytea_output = 'escape';
CREATE EXTENSION hstore;

-- A column of every kind: types without equality, values that JSON does not have, what casts would spoil, domains, defaults,
-- generated and identity columns, and one that is gone.
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE TYPE pair AS (a int, "b c" text);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN pairs AS pair[];
CREATE SEQUENCE numbers;
CREATE TABLE everything (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone text, name text UNIQUE DEFAULT 'n' || nextval('numbers'),
    b bool, i2 smallint, i8 bigint, f4 float4, f8 float8, n numeric, n2 numeric(10, 2), c1 char(5), "Char" "char", v varchar(9),
    d date, t time, tz timetz, ts timestamp, tsz timestamptz, iv interval, bt bytea, u uuid, j json, jb jsonb, x xml, p point, po polygon,
    ip inet, mac macaddr, bits bit(5), vb varbit, m mood, pr pair, prs pair[], dom positive, dpr pairs, a int[], a2 int[], at text[], ajb jsonb[], af float8[],
    r int4range, mr int4multirange, ts_v tsvector, o regclass, l pg_lsn, mny money, nm name, hs hstore,
    doubled bigint GENERATED ALWAYS AS (i8 * 2) STORED, "col ""umn" text DEFAULT 'default');
ALTER TABLE everything DROP COLUMN gone;
-- The kinds of values, one a row; set as text, so that the functions below may copy a row from here.
CREATE TABLE sample (LIKE everything);
ALTER TABLE sample ALTER COLUMN doubled DROP NOT NULL, ADD PRIMARY KEY (name);
INSERT INTO sample (id, name, b, i2, i8, f4, f8, n, n2, c1, "Char", v, d, t, tz, ts, tsz, iv, bt, u, j, jb, x, p, po, ip, mac, bits, vb, m, pr, prs, dom, dpr, a, a2, at, ajb, af, r, mr, ts_v, o, l, mny, nm, hs, "col ""umn") VALUES
(1, 'plain', true, 1, 9007199254740993, 1.1, 0.1, 1.10, 1.1, 'ab', 'x', 'v', '2024-02-29', '12:34:56.789', '12:34:56.789+02', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+02', '1 year 2 mons 3 days 04:05:06.7', '\x00ff5c', '00000000-0000-0000-0000-000000000001',
 '{"a" : 1,  "a": 2}', '{"a": 1.00, "b": null}', '<a>&lt;</a>', '(1.1,2)', '((0,0),(1,1),(2,0))', '10.0.0.1/8', '08:00:2b:01:02:03', B'10101', B'101', 'sad', '(1,"x,""y")', ARRAY['(1,a)', NULL, '(,)']::pair[], 5, ARRAY['(2,"b""c")']::pair[], '{1,NULL,3}', '{{1,2},{3,4}}', ARRAY['a,"b\c', '', NULL, 'NULL'], ARRAY['null', '"s"', NULL, '{"k": []}']::jsonb[], '{NaN,-0,1e300,Infinity}', '[1,5)', '{[1,2),[5,)}', 'fat:2A cat:1', 'sync_job', '16/B374D848', 12.34, 'nm', 'k => v, n => NULL', 'x'),
(2, 'extreme', false, -32768, -9223372036854775808, 'NaN', '-0', 'NaN', NULL, '', '', '', '-infinity', '24:00', '00:00+15:59', '0044-03-15 12:00 BC', 'infinity', '-178000000 years', '', NULL, 'null', 'null', '', '(NaN,-0)', NULL, '::1', NULL, NULL, '', 'it''s "ok"', '(,)', '{}', NULL, '{}', '{}', '[5:6]={1,2}', '{}', '{}', '{}', 'empty', '{}', '', NULL, NULL, '-0.01', '', '', ''),
(3, 'odd', NULL, NULL, 0, '-Infinity', 5e-324, 1e-100, 0.005, '  a', '\377', E'\u00e9\t', '294276-12-31', NULL, NULL, 'infinity', '1900-01-01 00:00+00:34:08', '-1 mon +1 day -00:00:00.000001', '\xdeadbeef', NULL, '"text"', '"text"', '<?xml version="1.0"?><a/>', '(-0,Infinity)', NULL, '10.1.2.3/32', NULL, B'00000', NULL, NULL, '(5,"")', ARRAY[[ROW(1,'x')::pair, NULL], [ROW(2,NULL)::pair, ROW(NULL,'()')::pair]], NULL, NULL, '[2:3]={4,NULL}', '{{{1}}}', ARRAY[['a'],['b']], ARRAY[NULL]::jsonb[], ARRAY[NULL::float8], '(,5)', NULL, 'a:1,2,3', 'pg_class', '0/0', 0, NULL, '"a=>b" => "c,d"', 'null'),
(4, 'numbers', true, 32767, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 123456789012345678901234567890.123456789, -0.00, 'abcde', 'a', '123456789', 'epoch', '00:00', '12:00-15:59', 'epoch', 'epoch', '00:00', '\x27', NULL, '1.0', '1.0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, '{-0,0,0.1}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(5, 'nulls', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE SCHEMA everything_sync;
CREATE FUNCTION everything_sync.get_target_document(sync_job sync_job, source_doc sample) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target(sync_job.context ->> 'do', target_document_name => sync_job.context ->> 'name')
$$;
-- All columns but the target's own key and name.
CREATE FUNCTION everything_sync.update_target_doc(sync_job sync_job, source_doc sample, target_doc everything) RETURNS everything LANGUAGE plpgsql AS $$
DECLARE
    id bigint := target_doc.id;
BEGIN
    target_doc := source_doc;
    target_doc.id := id;
    RETURN target_doc;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries) VALUES ('Everything', 'sample', 'everything', 'everything_sync', 0);
-- Runs a job and returns its id.
CREATE FUNCTION run(sample text, context jsonb, dry_run boolean DEFAULT false, verbose boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    j sync_job := execute_sync_job(enqueue_sync_job('Everything', sample, context, dry_run => run.dry_run, verbose_logging => run.verbose));
BEGIN
    IF j.status <> 'Finished' THEN
        RAISE EXCEPTION 'job %: % %', j.id, j.status, j.error_message;
    END IF;
    RETURN j.id;
END $$;
-- The image of a row, bit for bit. The text of the row tells apart whatever its types tell apart, with these settings.
CREATE FUNCTION image(name text) RETURNS text LANGUAGE sql SET extra_float_digits = 1 AS $$
    SELECT e::text || (SELECT string_agg(pg_column_size(v.*)::text, ' ') FROM (SELECT e.*) AS v) FROM everything AS e WHERE e.name = image.name
$$;

-- From each kind of row to each other: a dry run writes nothing, apply makes just its diff, revert brings back the old row.
INSERT INTO everything (name) VALUES ('target');
CREATE FUNCTION round_trip(was text, becomes text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    dry bigint;
    applied bigint;
    reverted bigint;
    before everything;
    after everything;
    expected everything;
    key text;
    answer text := '';
BEGIN
    DELETE FROM everything;
    INSERT INTO everything (name) VALUES (was) RETURNING id INTO key;
    PERFORM execute_sync_job(enqueue_sync_job('Everything', was, jsonb_build_object('do', 'update', 'name', key)));
    SELECT * INTO before FROM everything;
    dry := run(becomes, jsonb_build_object('do', 'update', 'name', key), dry_run => true);
    SELECT * INTO after FROM everything;
    IF record_image_ne(before, after) THEN
        answer := answer || 'the dry run wrote; ';
    END IF;
    applied := apply_sync_job(dry);
    SELECT * INTO after FROM everything;
    SELECT * INTO expected FROM sample WHERE name = becomes;
    expected.id := after.id;
    expected.doubled := expected.i8 * 2;
    IF record_image_ne(after, expected) THEN
        answer := answer || format('applied: %s, expected: %s; ', after, expected);
    END IF;
    IF (SELECT diff_summary FROM sync_job WHERE id = dry)::text <> (SELECT diff_summary FROM sync_job WHERE id = applied)::text THEN
        answer := answer || 'apply did other than the dry run showed; ';
    END IF;
    reverted := revert_sync_job(applied);
    SELECT * INTO after FROM everything;
    IF record_image_ne(before, after) THEN
        answer := answer || format('reverted: %s, before: %s; ', after, before);
    END IF;
    IF (SELECT parent_sync_job FROM sync_job WHERE id = applied) <> dry OR (SELECT parent_sync_job FROM sync_job WHERE id = reverted) <> applied THEN
        answer := answer || 'no pointer; ';
    END IF;
    RETURN coalesce(nullif(answer, ''), 'good');
END $$;
-- An overflow of doubled is nobody's business here.
UPDATE sample SET i8 = 4611686018427387903 WHERE i8 = 9223372036854775807;
UPDATE sample SET i8 = -4611686018427387904 WHERE i8 = -9223372036854775808;
SELECT a.name, b.name, round_trip(a.name, b.name) FROM sample AS a, sample AS b WHERE a.name <> b.name ORDER BY a.id, b.id;

-- Inserts and deletes: of a dry run, and with verbose logging.
DELETE FROM everything;
CREATE FUNCTION there() RETURNS TABLE (n bigint, names text, images text) LANGUAGE sql SET extra_float_digits = 1 AS $$
    SELECT count(*), string_agg(name, ' ' ORDER BY id), md5(string_agg(e::text, E'\n' ORDER BY id)) FROM everything AS e
$$;
SELECT count(run(name, '{"do": "insert"}', dry_run => true)) FROM (SELECT name FROM sample ORDER BY id) AS s;
SELECT * FROM there();
SELECT id AS first FROM sync_job WHERE dry_run AND operation = 'Insert' AND status = 'Finished' ORDER BY id LIMIT 1 \gset
SELECT count(apply_sync_job(id)) FROM (SELECT id FROM sync_job WHERE dry_run AND operation = 'Insert' AND status = 'Finished' AND id >= :first ORDER BY id) AS j;
SELECT n, names FROM there();
SELECT count(*) AS as_shown FROM sync_job AS a JOIN sync_job AS d ON a.parent_sync_job = d.id WHERE d.id >= :first AND a.diff_summary::text = d.diff_summary::text;
-- A verbose delete is undone: the same rows with the same keys, bit for bit.
CREATE TABLE before AS SELECT * FROM everything;
SELECT count(run(e.name, jsonb_build_object('do', 'delete', 'name', id), verbose => true)) FROM everything AS e;
SELECT n FROM there();
SELECT count(revert_sync_job(id)) FROM sync_job WHERE operation = 'Delete' AND status = 'Finished';
SELECT count(*) AS the_same FROM everything AS e JOIN before AS b USING (id) WHERE NOT record_image_ne(ROW(e.*), ROW(b.*));
-- A dry delete is applied; that is undone, too.
SELECT run(name, jsonb_build_object('do', 'delete', 'name', id), dry_run => true) AS dry FROM everything WHERE name = 'odd' \gset
SELECT apply_sync_job(:dry) AS applied \gset
SELECT n FROM there();
SELECT revert_sync_job(:applied) AS reverted \gset
SELECT count(*) AS the_same FROM everything AS e JOIN before AS b USING (id) WHERE NOT record_image_ne(ROW(e.*), ROW(b.*));
-- What is recorded of it.
SELECT sync_job_type, status, operation, dry_run, context, trigger_type, parent_sync_job = :dry AS of_the_first, current_data IS NULL AND updated_data IS NULL AS no_snapshots,
    started_at <= ended_at AND time_taken >= '0' AS times, source_document_name, target_document_name = (SELECT id::text FROM everything WHERE name = 'odd') AS target
FROM sync_job WHERE id IN (:dry, :applied) ORDER BY id;
SELECT context = jsonb_build_object('reverts', :applied) AS context, parent_sync_job = :applied AS of_the_first, operation FROM sync_job WHERE id = :reverted;
-- A verbose insert is undone; the row is gone.
DELETE FROM everything WHERE name = 'plain';
SELECT run('plain', '{"do": "insert"}', verbose => true) AS id \gset
SELECT n FROM there();
SELECT revert_sync_job(:id) > :id AS done;
SELECT n FROM there();

-- Refused, with the names of the fields, when somebody has changed them since; others do not matter.
TRUNCATE everything;
INSERT INTO everything (name, i2, v, j) VALUES ('plain', 7, 'old', '{"a": 1}');
SELECT id AS key FROM everything \gset
SELECT run('plain', jsonb_build_object('do', 'update', 'name', :key), dry_run => true) AS dry \gset
BEGIN;
UPDATE everything SET v = 'mine', j = '{"a":1}', i2 = NULL;
SELECT apply_sync_job(:dry);
ROLLBACK;
BEGIN;
DELETE FROM everything;
SELECT apply_sync_job(:dry);
ROLLBACK;
BEGIN;
ALTER TABLE everything DROP COLUMN v;
SELECT apply_sync_job(:dry);
ROLLBACK;
BEGIN;
ALTER TABLE everything RENAME COLUMN v TO "new name";
SELECT apply_sync_job(:dry);
ROLLBACK;
BEGIN;
ALTER TABLE everything ADD CHECK (v <> 'v');
SELECT apply_sync_job(:dry);
ROLLBACK;
BEGIN;
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER suppress BEFORE UPDATE ON everything FOR EACH ROW EXECUTE FUNCTION suppress();
SELECT apply_sync_job(:dry);
ROLLBACK;
-- Nothing was done by all that.
SELECT name, i2, v, j FROM everything;
SELECT apply_sync_job(:dry) AS applied \gset
-- Applied twice: it is no longer what it was.
SELECT apply_sync_job(:dry);
UPDATE everything SET i2 = 8, "col ""umn" = 'also mine';
SELECT revert_sync_job(:applied);
UPDATE everything SET i2 = 1, "col ""umn" = 'x';
SELECT revert_sync_job(:applied) AS reverted \gset
SELECT name, i2, v, j FROM everything;
SELECT revert_sync_job(:applied);
-- What has been undone may be done again, by reverting the revert; or by applying once more.
SELECT revert_sync_job(:reverted) > 0 AS done;
SELECT name, i2, v FROM everything;
SELECT revert_sync_job(max(id)) > 0 AS done FROM sync_job;
SELECT apply_sync_job(:dry) > 0 AS done;
SELECT name, i2, v FROM everything;
-- A row that is there already, or is gone.
SELECT run('nulls', '{"do": "insert"}', dry_run => true) AS dry \gset
SELECT apply_sync_job(:dry) AS applied \gset
SELECT apply_sync_job(:dry);
SELECT run(name, jsonb_build_object('do', 'delete', 'name', id), verbose => true) AS deleted FROM everything WHERE name = 'nulls' \gset
SELECT revert_sync_job(:applied);
SELECT revert_sync_job(:deleted) > 0 AS done;
SELECT revert_sync_job(:deleted);
-- What was null in an inserted row, and is not any more, is somebody's change, too.
UPDATE everything SET v = 'mine' WHERE name = 'nulls';
SELECT revert_sync_job(:applied);

-- What cannot be applied or reverted at all.
SELECT apply_sync_job(:applied);
SELECT revert_sync_job(:dry);
SELECT apply_sync_job(0);
SELECT apply_sync_job(NULL);
SELECT revert_sync_job(NULL);
-- An insert whose diff was not kept is undone by a fingerprint of the row, as long as that is as it was.
SELECT run('numbers', '{"do": "insert"}') AS quiet \gset
SELECT target_document_name AS inserted, fingerprint IS NOT NULL AS has_fingerprint, diff_summary FROM sync_job WHERE id = :quiet \gset
UPDATE everything SET v = 'changed' WHERE id = :inserted;
SELECT revert_sync_job(:quiet);
UPDATE everything SET v = '123456789' WHERE id = :inserted;
SELECT revert_sync_job(:quiet) AS undone \gset
SELECT operation, diff_summary -> 'v' AS v, (SELECT count(*) FROM everything WHERE id = :inserted) FROM sync_job WHERE id = :undone;
SELECT enqueue_sync_job('Everything', 'plain', '{"do": "update", "name": 0}') AS waiting \gset
SELECT apply_sync_job(:waiting);
SELECT status FROM execute_sync_job(:waiting);
SELECT revert_sync_job(:waiting);
SELECT enqueue_sync_job('Everything', 'plain', jsonb_build_object('do', 'update', 'name', :key), update_enabled => false) AS skipped \gset
SELECT status FROM execute_sync_job(:skipped);
SELECT revert_sync_job(:skipped);
-- An update without changes is written and has an empty diff: nothing to undo, and no error.
SELECT status, diff_summary, error_message FROM execute_sync_job(enqueue_sync_job('Everything', 'plain', jsonb_build_object('do', 'update', 'name', :key), update_without_changes_enabled => true));
SELECT revert_sync_job(max(id)) > 0 AS done FROM sync_job;
CREATE SCHEMA bypass;
CREATE FUNCTION bypass.execute(job jsonb, source jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"operation": "update", "target_document_name": "1", "diff": {"v": {"old": 1, "new": 2}}}'::jsonb
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Bypass', 'sample', 'everything', 'bypass');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Bypass', 'plain'));
SELECT revert_sync_job(max(id)) FROM sync_job;
SELECT enqueue_background_job('pg_catalog.now') AS background \gset
SELECT status FROM execute_sync_job(:background);
SELECT revert_sync_job(:background);
-- The type is gone; the table is gone.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Everything else', 'sample', 'everything', 'everything_sync');
SELECT id AS orphan FROM execute_sync_job(enqueue_sync_job('Everything else', 'odd', jsonb_build_object('do', 'update', 'name', :key))) \gset
DELETE FROM sync_job_type WHERE name = 'Everything else';
SELECT revert_sync_job(:orphan);
-- Somebody else's.
CREATE ROLE replay_other LOGIN;
SET SESSION AUTHORIZATION replay_other;
SELECT apply_sync_job(:dry);
SELECT revert_sync_job(:applied);
RESET SESSION AUTHORIZATION;
DROP ROLE replay_other;
BEGIN READ ONLY;
SELECT apply_sync_job(:dry);
COMMIT;
-- Within a transaction, undone with it.
SELECT count(*) AS jobs FROM sync_job \gset
BEGIN;
SELECT apply_sync_job(run('extreme', '{"do": "insert"}', dry_run => true)) > 0 AS done;
SELECT n FROM there();
ROLLBACK;
SELECT n FROM there();
SELECT count(*) = :jobs AS as_before FROM sync_job;
DROP TABLE everything CASCADE;
SELECT set_config('test.dry', :'dry', false) IS NOT NULL AS done;
DO $$
BEGIN
    PERFORM apply_sync_job(current_setting('test.dry')::bigint);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '% %', sqlstate, regexp_replace(sqlerrm, '\d+', 'N');
END $$;

-- Keys that change, and keys of several columns.
CREATE TABLE seat (line text, no int, guest text, PRIMARY KEY (line, no));
CREATE SCHEMA seats;
CREATE FUNCTION seats.get_target_document(job jsonb, source jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT (job -> 'context') - 'set' $$;
CREATE FUNCTION seats.update_target_doc(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT target || (job -> 'context' -> 'set') $$;
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Seats', 'seat', 'seats');
INSERT INTO seat VALUES ('a', 1, 'Ann');
SELECT id AS moved FROM execute_sync_job(enqueue_sync_job('Seats', context => '{"operation": "update", "target_document_name": "[\"a\", 1]", "set": {"no": 2, "guest": "Bob"}}')) \gset
SELECT status, operation, target_document_name, diff_summary FROM sync_job WHERE id = :moved;
SELECT revert_sync_job(:moved) > 0 AS done;
TABLE seat;
SELECT id AS dry FROM execute_sync_job(enqueue_sync_job('Seats', context => '{"operation": "update", "target_document_name": "[\"a\", 1]", "set": {"no": 3}}', dry_run => true)) \gset
SELECT target_document_name FROM sync_job WHERE id = :dry;
SELECT apply_sync_job(:dry) > 0 AS done;
TABLE seat;
-- A change that swaps back and forth over a key: each by the name that the row has then.
SELECT revert_sync_job(max(id)) > 0 AS done FROM sync_job;
TABLE seat;
SELECT revert_sync_job(max(id)) > 0 AS done FROM sync_job;
TABLE seat;
UPDATE seat SET no = 9;
SELECT revert_sync_job(max(id)) FROM sync_job;
