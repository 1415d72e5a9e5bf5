-- compare_sync_documents(): what is out of step, of whole tables and document by document.
\set VERBOSITY terse
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- whatever runs, runs here
\getenv folder PG_ABS_SRCDIR
\set error_of :folder /setup/error_of.sql
\i :error_of
CREATE TABLE source (id int PRIMARY KEY, name text, region text, price text, v text, context text);
CREATE TABLE target (gone int, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source int, label text, price numeric(8,2), region varchar(3), code char(4),
    seen timestamp(0), doubled numeric GENERATED ALWAYS AS (price * 2) STORED, more text DEFAULT 'x', v text, UNIQUE (source));
ALTER TABLE target DROP COLUMN gone;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries) VALUES ('Compared', 'source', 'target', '{"source": "id"}',
    '{"label": {"expr": "upper(name) || (source).region -- and so on"}, "price": "price", "region": "region", "code": "region", "v": "v",
      "seen": {"expr": "timestamp ''2026-01-01 00:00:00.6'' + id * interval ''1 s''"}}', 0);
INSERT INTO source SELECT i, 'n' || i, CASE i % 2 WHEN 0 THEN 'EU' ELSE 'US' END, i || '.005', 'v', 'c' FROM generate_series(1, 8) AS i;

-- Nothing is there; then all has a job that waits; then all is in step.
SELECT * FROM compare_sync_documents('Compared', max_rows => 2);
SELECT count(enqueue_sync_job('Compared', s)) FROM source AS s;
SELECT difference, waiting, sum(documents) FROM compare_sync_documents('Compared') GROUP BY 1, 2;
CALL run_sync_jobs();
SELECT * FROM compare_sync_documents('Compared');
SELECT * FROM target ORDER BY source LIMIT 2;

-- Each difference. What the type does not set is no difference; a value that its column does not take is one.
UPDATE source SET name = 'other', price = '7' WHERE id = 1;
UPDATE target SET region = 'zz', more = 'by hand' WHERE source = 2;
UPDATE target SET more = 'by hand' WHERE source = 8;
DELETE FROM target WHERE source = 3;
DELETE FROM source WHERE id = 4;
UPDATE source SET region = 'too long' WHERE id = 5;
UPDATE target SET label = NULL WHERE source = 7;
INSERT INTO target (source, label) VALUES (NULL, 'by hand');
SELECT difference, source_document_name, t.source, diff, waiting, documents
    FROM compare_sync_documents('Compared') LEFT JOIN target AS t ON t.id = target_document_name::int;
-- Surplus is what no source maps to, whatever the condition; which sees nothing but the source.
SELECT difference, source_document_name, target_document_name FROM compare_sync_documents('Compared', $$region = 'EU' AND v = 'v' -- and so on$$);
SELECT difference, source_document_name FROM compare_sync_documents('Compared', 'EXISTS (SELECT FROM target WHERE target.source = source.id AND label IS NULL)');
SELECT difference, source_document_name, waiting, documents FROM compare_sync_documents('Compared', max_rows => 3);
SELECT difference, source_document_name, waiting, documents FROM compare_sync_documents('Compared', max_rows => 0);
SELECT count(*), sum(documents) FROM compare_sync_documents('Compared', max_rows => NULL);
-- One that has failed for good does not wait.
SELECT status FROM execute_sync_job(enqueue_sync_job('Compared', '5'));
SELECT status FROM execute_sync_job(enqueue_sync_job('Compared', '1'));
UPDATE source SET name = 'again' WHERE id = 1;
UPDATE sync_job_type SET max_retries = 1;
SELECT enqueue_sync_job('Compared', '1') > 0 AS enqueued;
SELECT difference, source_document_name, waiting FROM compare_sync_documents('Compared') WHERE difference <> 'surplus';
SELECT status, retry_after IS NOT NULL AS again FROM execute_sync_job(enqueue_sync_job('Compared', '5'));
SELECT difference, source_document_name, waiting FROM compare_sync_documents('Compared') WHERE source_document_name = '5';

-- A deleted document, and one whose matched value has changed: their jobs wait.
CREATE TABLE person (id int PRIMARY KEY, mail text, name text);
CREATE TABLE address (mail text PRIMARY KEY, name text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Addresses', 'person', 'address', '{"mail": {"expr": "lower(mail)"}}', '{"name": "name"}');
SELECT attach_sync_job_triggers('Addresses', 'person') \gset _
INSERT INTO person VALUES (1, 'A', 'a'), (2, 'B', 'b'), (3, NULL, 'no target'), (4, 'D', 'd');
CALL run_sync_jobs();
SELECT * FROM compare_sync_documents('Addresses');
DELETE FROM person WHERE id = 1;
UPDATE person SET mail = 'B2' WHERE id = 2;
DELETE FROM address WHERE mail = 'd';
INSERT INTO address VALUES ('by hand', '');
SELECT difference, source_document_name, target_document_name, waiting FROM compare_sync_documents('Addresses');
CALL run_sync_jobs();
SELECT difference, source_document_name, target_document_name, waiting FROM compare_sync_documents('Addresses');
-- Two sources of one target: as long as they say the same they are in step; else nobody can tell which it follows.
UPDATE person SET mail = 'b2', name = 'b' WHERE id = 4;
CALL run_sync_jobs();
SELECT difference, source_document_name, target_document_name FROM compare_sync_documents('Addresses') WHERE difference <> 'surplus';
UPDATE person SET name = 'd' WHERE id = 4;
CALL run_sync_jobs();
SELECT difference, source_document_name, target_document_name, diff FROM compare_sync_documents('Addresses') WHERE difference <> 'surplus';
-- Two targets of one source.
CREATE TABLE loose (id int PRIMARY KEY, mail text, name text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Loose', 'person', 'loose', '{"mail": "mail"}', '{"name": "name"}');
INSERT INTO loose VALUES (1, 'b2', 'd'), (2, 'b2', 'd'), (3, 'B2', 'b'), (4, NULL, ''), (5, NULL, '');
SELECT * FROM compare_sync_documents('Loose');

-- What gives another value each time is no difference by itself; a match of that kind cannot be compared.
CREATE SEQUENCE drawn;
CREATE TABLE moment (id int PRIMARY KEY, a timestamptz, b float, c bigint, d timestamptz, e bigint, f date, g text, h int);
CREATE FUNCTION draw() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT nextval('drawn'); END;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Moment', 'person', 'moment', '{"id": "id"}', '{"a": {"expr": "now()"}, "b": {"expr": "random()"},
    "c": {"expr": "current_sync_job()"}, "d": {"expr": "(SELECT max(t) FROM (VALUES (clock_timestamp())) AS v (t))"}, "e": {"expr": "draw()"}, "f": {"expr": "current_date"}, "g": "name", "h": {"expr": "count(*)"}}');
SELECT count(enqueue_sync_job('Moment', person)) FROM person;
CALL run_sync_jobs();
SELECT * FROM compare_sync_documents('Moment');
UPDATE moment SET g = 'other', f = '2000-01-01' WHERE id = 2;
SELECT * FROM compare_sync_documents('Moment');
UPDATE sync_job_type SET match = '{"id": {"expr": "(random() * 10)::int"}}' WHERE name = 'Moment';
SELECT error_of($$SELECT * FROM compare_sync_documents('Moment')$$);
UPDATE sync_job_type SET match = '{"id": "id"}', field_map = '{"h": {"expr": "generate_series(1, id)"}}' WHERE name = 'Moment';
SELECT error_of($$SELECT * FROM compare_sync_documents('Moment')$$);
-- What is written meanwhile is rolled back.
CREATE TABLE called (id int);
CREATE FUNCTION call(id int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM write_down(id); RETURN id; END $$;
CREATE FUNCTION write_down(id int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO called VALUES (id); END $$;
UPDATE sync_job_type SET field_map = '{"h": {"expr": "call(id)"}}' WHERE name = 'Moment';
SELECT count(*) FROM compare_sync_documents('Moment');
SELECT count(*) FROM called;
-- A value that cannot be computed is one document's trouble: each is then looked at by itself.
UPDATE sync_job_type SET field_map = '{"g": "name", "h": {"expr": "10 / (id - 3)"}}' WHERE name = 'Moment';
SELECT count(enqueue_sync_job('Moment', person)) FROM person;
CALL run_sync_jobs();
UPDATE person SET name = 'new' WHERE id = 2;
SELECT * FROM compare_sync_documents('Moment');
SELECT * FROM compare_sync_documents('Moment', 'source.id <> 3');

-- Types of all kinds, keys of several columns, collations that do not go together, partitions, views.
CREATE EXTENSION citext;
CREATE DOMAIN short AS varchar(5) CHECK (VALUE <> 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE COLLATION either_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE TABLE kinds (a int, b text COLLATE "C", c citext, d text COLLATE either_case, e pair, f int[], g json, h short, i bit(3), j interval(0), k numeric, PRIMARY KEY (a, b));
CREATE TABLE kinds_copy (a bigint, b text COLLATE either_case, c text COLLATE "POSIX", d citext, e pair, f bigint[], g json, h short, i bit(3), j interval(0), k numeric(5,1), n xml, PRIMARY KEY (a, b))
    PARTITION BY RANGE (a);
CREATE TABLE kinds_copy_1 (n xml, k numeric(5,1), b text COLLATE either_case, a bigint, c text COLLATE "POSIX", d citext, e pair, f bigint[], g json, h short, i bit(3), j interval(0), PRIMARY KEY (a, b));
ALTER TABLE kinds_copy ATTACH PARTITION kinds_copy_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE kinds_copy_2 PARTITION OF kinds_copy DEFAULT;
CREATE VIEW kinds_view AS SELECT * FROM kinds WHERE a < 100;
INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type, match, field_map) VALUES ('Kinds', 'kinds_view', '{a,b}', 'kinds_copy', '{"a": "a", "b": "b"}',
    '{"c": "c", "d": "d", "e": "e", "f": "f", "g": "g", "h": "h", "i": "i", "j": "j", "k": "k", "n": {"value": "<n/>"}}');
INSERT INTO kinds VALUES (1, 'x', 'C', 'D', (1, 'b'), '{1,NULL}', '{"a":  1}', 'short', '101', '1.6 s', 1.25), (20, 'X', NULL, 'd', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (30, 'y', '', '', (NULL, ''), '{}', '[]', '', '000', '0', 0), (100, 'not', '', '', (NULL, ''), '{}', '[]', '', '000', '0', 0);
SELECT count(enqueue_sync_job('Kinds', kinds_view)) FROM kinds_view;
CALL run_sync_jobs();
SELECT status, count(*) FROM sync_job WHERE sync_job_type = 'Kinds' GROUP BY 1;
SELECT * FROM compare_sync_documents('Kinds');
UPDATE kinds SET c = 'c', d = 'd', e = (1, 'c'), f = '{2}', g = '{"a": 1}', i = '100', j = '2.4 s', k = 1.3 WHERE a = 1;  -- j and k come to the same
UPDATE kinds_copy SET b = 'x', d = 'D' WHERE a = 20;  -- b matches all the same, and is not set by an update
UPDATE kinds_copy SET n = '<N/>' WHERE a = 30;
INSERT INTO kinds_copy (a, b) VALUES (100, 'not');
SELECT * FROM compare_sync_documents('Kinds');

-- No index on the target; a type whose values have no hash.
CREATE TABLE money_in (m money PRIMARY KEY, v int);
CREATE TABLE money_out (m money, v int, k int PRIMARY KEY);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Money', 'money_in', 'money_out', '{"m": "m"}', '{"v": "v"}');
INSERT INTO money_in VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO money_out VALUES (1, 1, 1), (2, 0, 2), (4, 4, 4);
SELECT * FROM compare_sync_documents('Money');

-- Functions: each document as in a dry run.
CREATE SCHEMA by_code;
CREATE TABLE code_target (id int PRIMARY KEY, name text);
CREATE FUNCTION by_code.get_multiple_target_documents(sync_job sync_job, source_doc person) RETURNS SETOF sync_job_target LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO called VALUES (source_doc.id);
    IF source_doc.name = 'fails' THEN RAISE 'no luck with %', source_doc.id; END IF;
    IF source_doc.name = 'none' THEN RETURN; END IF;
    IF source_doc.name = 'delete' THEN RETURN NEXT sync_job_target('delete', target_document_name => source_doc.id::text); RETURN; END IF;
    FOR i IN 0 .. CASE WHEN source_doc.name = 'two' THEN 1 ELSE 0 END LOOP
        RETURN NEXT sync_job_target(CASE WHEN EXISTS (SELECT FROM code_target WHERE id = source_doc.id + 100 * i) THEN 'update' ELSE 'insert' END,
            target_document_name => (source_doc.id + 100 * i)::text);
    END LOOP;
END $$;
CREATE FUNCTION by_code.update_target_doc(sync_job sync_job, source_doc person, INOUT target_doc code_target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.name := source_doc.name;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('By Code', 'person', 'code_target', 'by_code');
TRUNCATE person;
INSERT INTO person VALUES (1, '', 'same'), (2, '', 'new'), (3, '', 'none'), (4, '', 'fails'), (5, '', 'delete'), (6, '', 'two'), (7, '', 'changed'), (8, '', 'delete');
INSERT INTO code_target VALUES (1, 'same'), (5, 'to go'), (6, 'two'), (7, 'old'), (106, 'was'), (999, 'surplus');
SELECT enqueue_sync_job('By Code', '7') > 0 AS enqueued;
SELECT count(*) AS jobs FROM sync_job \gset
SELECT * FROM compare_sync_documents('By Code');
SELECT difference, source_document_name, waiting, documents FROM compare_sync_documents('By Code', 'source.id > 4', 1);
SELECT (SELECT count(*) FROM called), (SELECT count(*) FROM code_target), count(*) = :jobs AS no_more_jobs FROM sync_job;

-- What cannot be compared, and what is asked for wrongly.
CREATE SCHEMA by_itself;
CREATE FUNCTION by_itself.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('By Itself', 'person', 'target', 'by_itself');
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('No Source', 'target', 'by_code');
SELECT error_of($$SELECT * FROM compare_sync_documents('By Itself')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('No Source')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('Background Job')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('None')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents(NULL)$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('Compared', max_rows => -1)$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('Compared', 'true) OR (true')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('Compared', 'id')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('Compared', 'label IS NULL')$$);
SELECT error_of($$SELECT * FROM compare_sync_documents('Compared', '1 / (id - 1) = 0')$$);
BEGIN READ ONLY;
SELECT count(*) > 0 AS reads FROM compare_sync_documents('Compared');
SELECT error_of($$SELECT * FROM compare_sync_documents('By Code')$$);
ROLLBACK;

-- Only in a session of the role that the jobs run as; which sees what its policies show it.
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_boss LOGIN IN ROLE regress_app;
GRANT SELECT ON person TO regress_app;
GRANT ALL ON code_target TO regress_app;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as) VALUES ('Policies', 'person', 'code_target', '{"id": "id"}', '{"name": "name"}', 'regress_app');
SELECT error_of($$SELECT * FROM compare_sync_documents('Policies')$$);
\c - regress_boss
SELECT error_of($$SELECT * FROM compare_sync_documents('Policies')$$);
SET ROLE regress_app;
SELECT error_of($$SELECT * FROM compare_sync_documents('Policies')$$);
\c - regress_app
SELECT difference, source_document_name, target_document_name FROM compare_sync_documents('Policies');
SELECT error_of($$SELECT * FROM compare_sync_documents('Compared')$$);
\c - postgres
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON person USING (id > 6);
\c - regress_app
SELECT difference, source_document_name, target_document_name FROM compare_sync_documents('Policies');
\c - postgres
DROP EXTENSION pg_sync_job CASCADE;
DROP OWNED BY regress_app, regress_boss;
DROP ROLE regress_boss, regress_app;
