-- What a type says beyond match and field_map: its gates. The same for code and for declarations, one document at a time
-- (execute_sync_job) and many a statement (run_sync_jobs).
\set VERBOSITY terse
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- whatever runs, runs here
CREATE FUNCTION last_jobs(count int, OUT type text, OUT source text, OUT status text, OUT operation text, OUT target text, OUT diff jsonb, OUT result jsonb, OUT error text)
RETURNS SETOF record LANGUAGE sql BEGIN ATOMIC
    SELECT j.sync_job_type, j.source_document_name, j.status, j.operation, j.target_document_name, j.diff_summary, j.result, split_part(j.error_message, E'\n', 1)
    FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT count) AS j ORDER BY j.id;
END;
CREATE VIEW tally AS SELECT sync_job_type, status, operation, count(*) FROM sync_job GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- ---- Gates ----

CREATE TABLE src (id int PRIMARY KEY, a text);
CREATE TABLE dst (id int PRIMARY KEY, a text);
CREATE TABLE by_code (id int PRIMARY KEY, a text);
CREATE SCHEMA code;
CREATE FUNCTION code.get_target_document(sync_job sync_job, source_doc src) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete' WHEN t.id IS NULL THEN 'insert' ELSE 'update' END,
        target_document_name => source_doc.id::text)
    FROM (SELECT 1) AS one LEFT JOIN by_code AS t ON t.id = source_doc.id
$$;
CREATE FUNCTION code.update_target_doc(sync_job sync_job, source_doc src, INOUT target_doc by_code) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := source_doc.id;
    target_doc.a := source_doc.a;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Declared', 'src', 'dst', '{"id": "id"}', '{"a": "a"}');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Code', 'src', 'by_code', 'code');
SELECT attach_sync_job_triggers(name, 'src', level => 'statement') FROM sync_job_type ORDER BY name;
-- As the type is when the job runs, not when it was enqueued.
INSERT INTO src SELECT i, 'a' || i FROM generate_series(1, 10) AS i;
UPDATE sync_job_type SET insert_enabled = false;
CALL run_sync_jobs();
TABLE tally;
SELECT count(*) FROM dst UNION ALL SELECT count(*) FROM by_code;
UPDATE sync_job_type SET insert_enabled = true;
-- The gate of the job stays open for what comes later: a failed one, say, or the child of another.
SELECT DISTINCT insert_enabled FROM sync_job;
SELECT count(enqueue_sync_job(name, src)) FROM sync_job_type, src;
CALL run_sync_jobs();
UPDATE sync_job_type SET update_enabled = false, delete_enabled = false;
UPDATE src SET a = upper(a);
DELETE FROM src WHERE id > 8;
CALL run_sync_jobs();
SELECT type, status, operation, count(*) FROM last_jobs(24) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT min(a), count(*) FROM dst UNION ALL SELECT min(a), count(*) FROM by_code;
-- An argument can close a gate, and cannot open one.
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Declared', 1, update_enabled => true));
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Code', 1, update_enabled => true));
UPDATE sync_job_type SET update_enabled = true;
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Declared', 1, update_enabled => false));
SELECT status, operation, diff_summary FROM execute_sync_job(enqueue_sync_job('Declared', 1, update_enabled => NULL));
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('{"sync_job_type": "Code", "source_document_name": 1, "update_enabled": null}'::jsonb));
-- A target is not moved, and none is left out, while that is not enabled.
CREATE TABLE moved (nr int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id int, a text UNIQUE);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, delete_enabled) VALUES ('Moved', 'src', 'moved', '{"a": "a"}', '{"id": "id"}', false);
CREATE INDEX ON src (a);
SELECT detach_sync_job_triggers(name, 'src') FROM sync_job_type WHERE name <> 'Moved' ORDER BY name;
SELECT attach_sync_job_triggers('Moved', 'src');
UPDATE src SET a = 'b' || id WHERE id < 3;
INSERT INTO moved (id, a) VALUES (2, 'A2'), (22, 'b2');
CALL run_sync_jobs();
SELECT * FROM last_jobs(2);
SELECT id, a FROM moved ORDER BY nr;
SELECT detach_sync_job_triggers('Moved', 'src');
-- What the controller sees is what holds; a bypass controller has to keep to it by itself.
CREATE SCHEMA bypass;
CREATE FUNCTION bypass.execute(sync_job sync_job, source_doc src) RETURNS sync_job_result LANGUAGE sql
    AS $$ SELECT sync_job_result(diff => to_jsonb(ARRAY[sync_job.insert_enabled, sync_job.update_enabled, sync_job.delete_enabled])) $$;
INSERT INTO sync_job_type (name, source_document_type, module, update_enabled) VALUES ('Bypass', 'src', 'bypass', false);
SELECT diff_summary, update_enabled, delete_enabled FROM execute_sync_job(enqueue_sync_job('Bypass', 1, delete_enabled => false));
-- The children of a relay look when they run.
CREATE SCHEMA relaying;
CREATE FUNCTION relaying.get_multiple_target_documents(sync_job sync_job, source_doc src) RETURNS SETOF sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('insert', context => jsonb_build_object('n', n)) FROM generate_series(100, 101) AS n $$;
CREATE FUNCTION relaying.update_target_doc(sync_job sync_job, source_doc src, INOUT target_doc by_code) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := sync_job.context ->> 'n';
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, insert_enabled) VALUES ('Relaying', 'src', 'by_code', 'relaying', false);
SELECT status FROM execute_sync_job(enqueue_sync_job('Relaying', 1));
UPDATE sync_job_type SET insert_enabled = true WHERE name = 'Relaying';
CALL run_sync_jobs();
SELECT * FROM last_jobs(2);
-- A dry run that was made before is not applied; undoing is no job of the type's gates.
SELECT id AS dry FROM execute_sync_job(enqueue_sync_job('Code', 1, operation => 'delete', target_document_name => '1', dry_run => true)) \gset
SELECT status FROM sync_job WHERE id = :dry;
UPDATE src SET a = 'again' WHERE id = 2;
SELECT id AS dry FROM execute_sync_job(enqueue_sync_job('Code', 2, dry_run => true)) \gset
SELECT id AS wet FROM execute_sync_job(enqueue_sync_job('Code', 2)) \gset
UPDATE sync_job_type SET update_enabled = false WHERE name = 'Code';
\set VERBOSITY default
SELECT apply_sync_job(:dry);
\set VERBOSITY terse
SELECT revert_sync_job(:wet) > 0 AS reverted;
SELECT a FROM by_code WHERE id = 2;
-- All of them closed: that is told.
UPDATE sync_job_type SET insert_enabled = false, delete_enabled = false WHERE name = 'Code';
SELECT severity, object, message, hint FROM validate_sync_job_type('Code');

-- ---- Paused ----

-- Its jobs wait, wherever jobs are run; others do not. Afterwards all run, in their order.
UPDATE sync_job_type SET insert_enabled = true, update_enabled = true, delete_enabled = true;
SELECT clear_all_sync_jobs() > 0 AS cleared;
SELECT pause_sync_job_type('Declared');
SELECT pause_sync_job_type('Declared');
SELECT severity, object, message FROM validate_sync_job_type('Declared');
SELECT note FROM sync_job_queue_status WHERE queue = 'default';
UPDATE src SET a = 'p' || id;
SELECT count(enqueue_sync_job(name, src)) FROM src, sync_job_type WHERE name IN ('Declared', 'Code');
CALL run_sync_jobs();
BEGIN;
CALL run_sync_jobs('default');
COMMIT;
SELECT sync_job_type, status, held, count(*) FROM sync_job GROUP BY 1, 2, 3 ORDER BY 1;
-- The scheduler releases them, too; while it is at it, a session that runs jobs passes over them.
CREATE PROCEDURE wait_until_none_is_held() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM sync_job WHERE held);
        PERFORM pg_sleep(0.01);
        COMMIT;
    END LOOP;
END $$;
SELECT resume_sync_job_type('Declared');
SELECT enqueue_sync_job('Declared', 1) > 0 AS enqueued;
CALL wait_until_none_is_held();
CALL run_sync_jobs();
SELECT sync_job_type, status, held, count(*) FROM sync_job GROUP BY 1, 2, 3 ORDER BY 1, 2;
-- A job that was there before is held when its turn comes.
UPDATE src SET a = 'q' || id;
SELECT count(enqueue_sync_job('Declared', src)) FROM src;
UPDATE sync_job_type SET paused = true WHERE name = 'Declared';
BEGIN;
CALL run_sync_jobs();
SELECT status, held, count(*) FROM sync_job WHERE sync_job_type = 'Declared' GROUP BY 1, 2 ORDER BY 1;
ROLLBACK;
CALL run_sync_jobs();
SELECT status, held, count(*) FROM sync_job WHERE sync_job_type = 'Declared' GROUP BY 1, 2 ORDER BY 1;
UPDATE sync_job_type SET paused = false WHERE name = 'Declared';
CALL wait_until_none_is_held();
CALL run_sync_jobs(max_jobs => 3);
SELECT status, held, count(*), max(id) - min(id) + 1 AS of_these FROM sync_job WHERE sync_job_type = 'Declared' AND id > (SELECT max(id) - 8 FROM sync_job) GROUP BY 1, 2 ORDER BY 1;
CALL run_sync_jobs();
SELECT count(*) FROM sync_job WHERE status = 'Queued';
-- By operators, and by those whose jobs they are.
CREATE ROLE regress_operator;
CREATE ROLE regress_nobody;
SELECT grant_sync_job_access('regress_operator', 'operator');
SET ROLE regress_operator;
SELECT pause_sync_job_type('Declared');
SELECT resume_sync_job_type('Declared');
SET ROLE regress_nobody;
SELECT pause_sync_job_type('Declared');
RESET ROLE;
SELECT pause_sync_job_type('No Such Type');
SELECT pause_sync_job_type('Background Job');
SELECT revoke_sync_job_access('regress_operator', 'operator');
DROP ROLE regress_operator, regress_nobody;
-- Disabled is something else, and that is told.
\set VERBOSITY default
UPDATE sync_job_type SET disabled = true WHERE name = 'Code';
UPDATE sync_job_type SET disabled = true, description = 'still' WHERE name = 'Code';
UPDATE sync_job_type SET disabled = false WHERE name = 'Code';
\set VERBOSITY terse

-- ---- When the source is gone: delete, keep, or a soft delete ----

\getenv folder PG_ABS_SRCDIR
\set error_of :folder /setup/error_of.sql
\i :error_of
CREATE TABLE member (id int PRIMARY KEY, email text, name text, active boolean NOT NULL DEFAULT true);
CREATE INDEX ON member (email);
CREATE TABLE account (email text PRIMARY KEY, name text, active boolean DEFAULT true, note text, doubled text GENERATED ALWAYS AS (name || name) STORED);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, source_condition)
VALUES ('Account', 'member', 'account', '{"email": "email"}', '{"name": "name", "active": {"value": true}}', 'source.active');
SELECT on_delete FROM sync_job_type WHERE name = 'Account';
\pset format unaligned
SELECT error_of(format('UPDATE sync_job_type SET on_delete = %L WHERE name = ''Account''', value)) AS "error" FROM (VALUES (''), ('drop'), ('{}'), ('[]'), ('"keep"'), ('{"a": 1')) AS v (value);
\pset format aligned
SELECT attach_sync_job_triggers('Account', 'member');
INSERT INTO member VALUES (1, 'a@x', 'Ann'), (2, 'b@x', 'Bob'), (3, 'c@x', 'Cy'), (4, 'd@x', 'Di');
CALL run_sync_jobs();
UPDATE sync_job_type SET on_delete = 'KEEP' WHERE name = 'Account' RETURNING on_delete;
DELETE FROM member WHERE id = 1;
UPDATE member SET active = false WHERE id = 2;
UPDATE member SET email = NULL WHERE id = 3;
CALL run_sync_jobs();
SELECT * FROM last_jobs(3);
SELECT email, active FROM account ORDER BY email;
-- Columns to set. Whoever undoes it undoes an update; a target that has the values is in step.
UPDATE sync_job_type SET on_delete = '{"active": false, "note": "gone", "doubled": "x"}' WHERE name = 'Account';
SELECT severity, object, message FROM validate_sync_job_type('Account');
UPDATE sync_job_type SET on_delete = '{"active": false, "nothing": 1}' WHERE name = 'Account';
SELECT severity, object, message FROM validate_sync_job_type('Account');
UPDATE sync_job_type SET on_delete = '{"active": "maybe"}' WHERE name = 'Account';
SELECT severity, object, message FROM validate_sync_job_type('Account');
UPDATE sync_job_type SET on_delete = '{"active": false, "note": "gone"}' WHERE name = 'Account';
SELECT severity, object, message, detail, hint FROM validate_sync_job_type('Account');
INSERT INTO member VALUES (1, 'a@x', 'Ann');
UPDATE member SET active = true WHERE id = 2;
CALL run_sync_jobs();
DELETE FROM member WHERE id = 1;
UPDATE member SET active = false WHERE id = 2;
CALL run_sync_jobs();
SELECT * FROM last_jobs(2);
SELECT email, active, note FROM account ORDER BY email;
SELECT revert_sync_job(max(id)) > 0 AS reverted FROM sync_job WHERE source_document_name = '2';
SELECT email, active, note FROM account WHERE email = 'b@x';
SELECT status, operation, diff_summary FROM execute_sync_job(enqueue_sync_job('Account', 1, dry_run => true));
SELECT status, operation, diff_summary FROM execute_sync_job(enqueue_sync_job('Account', 1));
-- They come back with the source.
INSERT INTO member VALUES (1, 'a@x', 'Ann');
CALL run_sync_jobs();
SELECT * FROM last_jobs(1);
SELECT email, active, note FROM account WHERE email = 'a@x';
-- A value that nobody has any more, beside one that has a target.
UPDATE member SET email = 'c@x', active = true WHERE id = 4;
CALL run_sync_jobs();
SELECT * FROM last_jobs(1);
SELECT email, active, note FROM account ORDER BY email;
-- Both gates have to be open: it is a deletion of the source, and an update of the target.
UPDATE sync_job_type SET update_enabled = false WHERE name = 'Account';
DELETE FROM member WHERE id = 1;
CALL run_sync_jobs();
UPDATE sync_job_type SET update_enabled = true, delete_enabled = false WHERE name = 'Account';
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Account', 1));
SELECT email, active FROM account WHERE email = 'a@x';
UPDATE sync_job_type SET delete_enabled = true WHERE name = 'Account';
-- Code that asks for a delete.
UPDATE sync_job_type SET on_delete = '{"a": "deleted"}', update_enabled = true, delete_enabled = true WHERE name = 'Code';
INSERT INTO by_code VALUES (1, 'there') ON CONFLICT (id) DO UPDATE SET a = excluded.a;
SELECT status, operation, diff_summary FROM execute_sync_job(enqueue_sync_job('Code', 1, operation => 'delete', target_document_name => '1'));
SELECT status, operation, diff_summary FROM execute_sync_job(enqueue_sync_job('Code', 1, operation => 'delete', target_document_name => '12345'));
SELECT a FROM by_code WHERE id = 1;

-- ---- Two directions ----

CREATE TABLE a (id int PRIMARY KEY, email text);
CREATE TABLE b (id int PRIMARY KEY, email text);
CREATE TABLE c (id int PRIMARY KEY, email text);
CREATE FUNCTION low() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := lower(NEW.email); RETURN NEW; END $$;
CREATE FUNCTION cap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := initcap(NEW.email); RETURN NEW; END $$;
CREATE TRIGGER n BEFORE INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION low();
CREATE TRIGGER n BEFORE INSERT OR UPDATE ON b FOR EACH ROW EXECUTE FUNCTION cap();
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, ignore_synced) VALUES
    ('AB', 'a', 'b', '{"id": "id"}', '{"email": "email"}', true), ('BA', 'b', 'a', '{"id": "id"}', '{"email": "email"}', true),
    ('BC', 'b', 'c', '{"id": "id"}', '{"email": "email"}', true), ('CA', 'c', 'a', '{"id": "id"}', '{"email": "email"}', false);
SELECT attach_sync_job_triggers('AB', 'a'), attach_sync_job_triggers('BA', 'b'), attach_sync_job_triggers('BC', 'b', level => 'statement');
SELECT max(id) AS before FROM sync_job \gset
CREATE VIEW since AS SELECT id, sync_job_type, source_document_name, status, operation FROM sync_job;
INSERT INTO a SELECT i, 'Ann@' || i FROM generate_series(1, 10) AS i;
CALL run_sync_jobs();
SELECT sync_job_type, status, operation, count(*) FROM since WHERE id > :before GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT a.email, b.email, c.email FROM a JOIN b USING (id) JOIN c USING (id) WHERE id = 1;
-- What others write goes back, also in the same transaction; and what a job of another type writes.
UPDATE b SET email = 'Bob@x' WHERE id = 1;
CALL run_sync_jobs();
SELECT sync_job_type, status, operation, count(*) FROM since WHERE id > :before + 20 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT a.email, b.email, c.email FROM a JOIN b USING (id) JOIN c USING (id) WHERE id = 1;
SELECT max(id) AS before FROM sync_job \gset
SELECT status FROM execute_sync_job(enqueue_sync_job('CA', 2, context => '{}'));
UPDATE c SET email = 'Cy@x' WHERE id = 2;
SELECT status FROM execute_sync_job(enqueue_sync_job('CA', 2));
CALL run_sync_jobs();
SELECT sync_job_type, source_document_name, status, operation FROM since WHERE id > :before ORDER BY id;
DELETE FROM a WHERE id = 3;
CALL run_sync_jobs();
SELECT count(*) FROM b WHERE id = 3;
-- A deferred trigger cannot know; nor can a type without a target.
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('BA');
UPDATE sync_job_type SET ignore_synced = false WHERE name = 'BA';
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('BA');
UPDATE sync_job_type SET ignore_synced = true WHERE name = 'BA';
UPDATE sync_job_type SET priority = 1 WHERE name = 'BA';  -- that is no news
SELECT severity, object, message FROM validate_sync_job_type('BA');
INSERT INTO sync_job_type (name, source_document_type, ignore_synced) VALUES ('Nowhere', 'b', true);

-- ---- A comparison agrees with all of this ----

CREATE TABLE person (id int PRIMARY KEY, name text, phone text, here boolean DEFAULT true);
CREATE TABLE contact (id int PRIMARY KEY, name text, phone text, gone boolean DEFAULT false, seen int);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, source_condition, on_delete) VALUES
    ('Contact', 'person', 'contact', '{"id": "id"}', '{"name": "name", "phone": {"column": "phone", "only": "insert"}, "gone": {"value": false}}', 'source.here', '{"gone": true}');
CREATE FUNCTION compared() RETURNS TABLE (difference text, source text, target text, diff jsonb) LANGUAGE sql AS $$
    SELECT c.difference, c.source_document_name, c.target_document_name, c.diff FROM compare_sync_documents('Contact') AS c
$$;
INSERT INTO person VALUES (1, 'Ann', '1', true), (2, 'Bob', '2', true), (3, 'Cy', '3', false), (4, 'Di', '4', false), (5, 'Eve', '5', true);
INSERT INTO contact VALUES (1, 'Ann', 'edited', false), (2, 'Rob', 'edited', false), (3, 'Cy', '3', false), (4, 'Di', '4', true), (9, 'nobody', '9', false), (10, 'gone', '10', true);
SELECT * FROM compared();
UPDATE sync_job_type SET insert_enabled = false WHERE name = 'Contact';
SELECT * FROM compared();
UPDATE sync_job_type SET insert_enabled = true, update_enabled = false WHERE name = 'Contact';
SELECT * FROM compared();
UPDATE sync_job_type SET update_enabled = true, delete_enabled = false WHERE name = 'Contact';
SELECT * FROM compared();
UPDATE sync_job_type SET delete_enabled = true, on_delete = 'keep' WHERE name = 'Contact';
SELECT * FROM compared();
-- Right after a sync there is what no source maps to, and nothing else.
UPDATE sync_job_type SET on_delete = 'delete' WHERE name = 'Contact';
SELECT count(enqueue_sync_job('Contact', person)) FROM person;
CALL run_sync_jobs();
SELECT * FROM compared();
-- Nor where an expression reads the target, or which job it was.
UPDATE sync_job_type SET field_map = '{"name": {"expr": "coalesce(target.name, source.name)"}, "seen": {"expr": "sync_job_id"}}' WHERE name = 'Contact';
UPDATE person SET name = 'Another';
SELECT count(enqueue_sync_job('Contact', person)) FROM person;
CALL run_sync_jobs();
SELECT * FROM compared();
UPDATE contact SET name = NULL WHERE id = 1;
SELECT * FROM compared();
-- Nor does a full sync do what is forbidden; it marks as gone what has no source.
SELECT enqueue_full_sync('Contact') IS NOT NULL AS enqueued;
CALL run_sync_jobs();
SELECT status, split_part(error_message, E'\n', 1) AS error, split_part(error_message, E'\n', 2) AS detail FROM sync_job ORDER BY id DESC LIMIT 1;
UPDATE sync_job_type SET on_delete = '{"gone": true}', insert_enabled = false,
    field_map = '{"name": {"column": "name", "only": "unedited"}, "phone": {"column": "phone", "only": "insert"}, "gone": {"value": false}}' WHERE name = 'Contact';
UPDATE person SET name = 'n' || id;
INSERT INTO person VALUES (6, 'Fay', '6', true);
SELECT * FROM compared();
SELECT enqueue_full_sync('Contact', delete_surplus => true, max_delete_percent => 100, max_change_percent => 100) IS NOT NULL AS enqueued;
CALL run_sync_jobs();
SELECT status, result -> 'inserted' AS inserted, result -> 'updated' AS updated, result -> 'deleted' AS deleted, result -> 'failed' AS failed, error_message FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT id, name, phone, gone FROM contact ORDER BY id;
SELECT * FROM compared();
