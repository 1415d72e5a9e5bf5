-- Rows that triggers keep: of deleted documents, which must decide over this life of the key only, must still read after DDL, and
-- may be large; and of documents that changed in what match reads, whose targets move or go.
\set VERBOSITY terse
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
CREATE FUNCTION last_jobs(count int, OUT source text, OUT status text, OUT operation text, OUT target text, OUT result jsonb, OUT error text)
RETURNS SETOF record LANGUAGE sql BEGIN ATOMIC
    SELECT j.source_document_name, j.status, j.operation, j.target_document_name, j.result,
        regexp_replace(split_part(j.error_message, E'\n', 1), 'kept at \S+ \S+', 'kept at …')
    FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT count) AS j ORDER BY j.id;
END;
CREATE FUNCTION kept() RETURNS TABLE (name text, type text, is_deletion boolean) LANGUAGE sql BEGIN ATOMIC
    SELECT document_name, sync_job_type, is_deletion FROM sync_job_deleted_document ORDER BY id;
END;
CREATE PROCEDURE unseen(command text) LANGUAGE plpgsql AS $$  -- by triggers
BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE command;
    SET LOCAL session_replication_role = origin;
END $$;

-- A later life of a key: what was kept of the earlier one decides nothing.
CREATE TABLE part (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE shelf (code text PRIMARY KEY, part int);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
VALUES ('Shelf', 'part', 'shelf', '{"code": "code"}', '{"part": "id"}', 0);
SELECT attach_sync_job_triggers('Shelf', 'part');
INSERT INTO part VALUES (2, 'A');
CALL run_sync_jobs();
DELETE FROM part;
CALL run_sync_jobs();
INSERT INTO part VALUES (3, 'A'), (2, 'B');
CALL run_sync_jobs();
CALL unseen('DELETE FROM part WHERE id = 2');
SELECT enqueue_sync_job('Shelf', 2) > 0 AS enqueued;
CALL run_sync_jobs();
SELECT * FROM last_jobs(1);
TABLE shelf ORDER BY code;
-- Nor where no job has seen the later life alive: the trigger says that it was.
TRUNCATE shelf;
DELETE FROM part;
CALL run_sync_jobs();
INSERT INTO part VALUES (3, 'C');
CALL unseen('DELETE FROM part');
CALL run_sync_jobs();
SELECT * FROM last_jobs(1);
-- Used three times, and gone before any job ran: the targets of all values go.
INSERT INTO shelf VALUES ('x', 5), ('y', 5), ('z', 5), ('other', 1);
INSERT INTO part VALUES (5, 'x');
DELETE FROM part;
INSERT INTO part VALUES (5, 'y');
DELETE FROM part;
INSERT INTO part VALUES (5, 'z');
DELETE FROM part;
CALL run_sync_jobs();
SELECT * FROM last_jobs(1);
TABLE shelf;
-- Two types: what the one keeps is not the other's, as long as its own is there; and none outlives a life that either has seen.
CREATE TABLE part_log (id int PRIMARY KEY, code text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries, queue)
VALUES ('Log', 'part', 'part_log', '{"id": "id"}', '{"code": "code"}', 0, 'default');
SELECT attach_sync_job_triggers('Log', 'part');
INSERT INTO part VALUES (6, 'six');
CALL run_sync_jobs();
DELETE FROM part;
SELECT * FROM kept() WHERE name = '6' ORDER BY type;
INSERT INTO part VALUES (6, 'seven');
SELECT (execute_sync_job(id)).status FROM sync_job WHERE status = 'Queued' AND sync_job_type = 'Log' ORDER BY id;
SELECT * FROM kept() WHERE name = '6' ORDER BY type;
CALL run_sync_jobs();
SELECT * FROM kept() WHERE name = '6' ORDER BY type;
SELECT get_sync_document('part', '6');
TABLE shelf;
TABLE part_log;
SELECT detach_sync_job_triggers('Log', 'part');

-- After DDL: what match does not read need not be readable; what cannot be read is named.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN felt AS mood;
CREATE TABLE src (id int PRIMARY KEY, m mood, f felt, n text);
CREATE TABLE dst (id int PRIMARY KEY, m text UNIQUE);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries) VALUES
    ('By id', 'src', 'dst', '{"id": "id"}', '{"m": "m"}', 0), ('By mood', 'src', 'dst', '{"m": "m"}', '{"id": "id"}', 0),
    ('By expression', 'src', 'dst', '{"id": {"expr": "abs(source.id)"}}', '{"m": "m"}', 0),
    ('By row', 'src', 'dst', '{"m": {"expr": "(to_jsonb(source) || jsonb_build_object(''x'', source.f)) ->> ''m''"}}', '{"id": "id"}', 0);
SELECT attach_sync_job_triggers('By id', 'src');
SELECT attach_sync_job_triggers('By expression', 'src');
SELECT attach_sync_job_triggers('By mood', 'src');
SELECT attach_sync_job_triggers('By row', 'src');
INSERT INTO src VALUES (1, 'sad', 'sad', '1'), (2, 'sad', 'sad', 'two');
INSERT INTO dst VALUES (1, 'low'), (2, 'other');
DELETE FROM src;
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
ALTER TABLE src ALTER n TYPE int USING 0;
CALL run_sync_jobs();
SELECT * FROM last_jobs(8) ORDER BY source, error NULLS FIRST, status;
TABLE dst;
DO $$
BEGIN
    PERFORM get_sync_document('src', '2');
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '% %', sqlstate, regexp_replace(sqlerrm, 'kept at \S+ \S+', 'kept at …');
END $$;
-- The row can be repaired.
UPDATE sync_job_deleted_document SET data = data || '{"m": "low", "f": "low", "n": 1}' WHERE document_type = 'src'::regclass;
INSERT INTO dst VALUES (1, 'low');
SELECT r.status, r.operation FROM sync_job AS j, execute_sync_job(j.id) AS r
WHERE j.status = 'Failed' AND j.sync_job_type = 'By mood' AND j.source_document_name = '1';
TABLE dst;
-- A column that match reads was renamed, or dropped and made anew under another name.
INSERT INTO src VALUES (7, 'ok', 'ok', 1);
DELETE FROM src;
SELECT count(*) FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued' AND sync_job_type <> 'By mood'));
ALTER TABLE src RENAME m TO mo;
UPDATE sync_job_type SET match = '{"m": "mo"}' WHERE name = 'By mood';
CALL run_sync_jobs();
SELECT * FROM last_jobs(8) WHERE status <> 'Canceled';

-- A large row does not make the DELETE fail, and is kept without its largest columns.
CREATE TABLE big (id int PRIMARY KEY, a text, b text, c bytea, small text);
CREATE TABLE big_copy (id int PRIMARY KEY, small text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries) VALUES
    ('Big', 'big', 'big_copy', '{"id": "id"}', '{"small": "small"}', 0), ('Big text', 'big', 'big_copy', '{"small": "a"}', '{"id": "id"}', 0);
SELECT attach_sync_job_triggers('Big', 'big');
SELECT attach_sync_job_triggers('Big text', 'big', level => 'statement');
ALTER TABLE big ALTER a SET STORAGE EXTENDED, DISABLE TRIGGER USER;
INSERT INTO big VALUES (1, repeat('x', 300000000), repeat('y', 20000000), repeat('z', 100)::bytea, 'kept');
ALTER TABLE big ENABLE TRIGGER USER;
INSERT INTO big_copy VALUES (1, 'kept');
DELETE FROM big;
SELECT sync_job_type, jsonb_object_agg(key, left(value::text, 20)) AS data FROM sync_job_deleted_document, jsonb_each(data)
WHERE document_type = 'big'::regclass GROUP BY 1 ORDER BY 1;
CALL run_sync_jobs();
SELECT * FROM last_jobs(2) ORDER BY error NULLS FIRST;
TABLE big_copy;

-- A matched value that changes: the target moves; it goes with NULL, and with the source.
CREATE TABLE c (id int PRIMARY KEY, email text, name text);
CREATE TABLE m (email text PRIMARY KEY, name text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
VALUES ('M', 'c', 'm', '{"email": "email"}', '{"name": "name"}', 0);
SELECT object, message FROM validate_sync_job_type('M');
CREATE INDEX ON c (email);
SELECT object, message FROM validate_sync_job_type('M');
CREATE PROCEDURE try_changes(level text) LANGUAGE plpgsql AS $$
DECLARE
    command text;
    last bigint;
BEGIN
    PERFORM attach_sync_job_triggers('M', 'c', level => level);
    COMMIT;
    FOREACH command IN ARRAY ARRAY[
        $c$INSERT INTO c VALUES (1, 'a@x', 'Ann'), (2, 'b@x', 'Bob')$c$,
        $c$UPDATE c SET email = 'ann@x' WHERE id = 1$c$,
        $c$UPDATE c SET email = NULL WHERE id = 2$c$,
        $c$UPDATE c SET email = 'bob@x', name = 'Rob' WHERE id = 2$c$,
        -- Several times before the job runs; back again; to where a target is; nothing that match reads.
        $c$UPDATE c SET email = 'p@x' WHERE id = 1; UPDATE c SET email = 'q@x' WHERE id = 1; UPDATE c SET email = 'r@x' WHERE id = 1$c$,
        $c$UPDATE c SET email = 's@x' WHERE id = 1; UPDATE c SET email = 'r@x' WHERE id = 1$c$,
        $c$INSERT INTO m VALUES ('t@x', 'there'); UPDATE c SET email = 't@x' WHERE id = 1$c$,
        $c$UPDATE c SET name = upper(name)$c$,
        -- Two exchange their values; one takes over the other's, which then goes elsewhere, or does not.
        $c$UPDATE c SET email = CASE id WHEN 1 THEN 'bob@x' ELSE 't@x' END$c$,
        $c$UPDATE c SET email = 't@x' WHERE id = 1; UPDATE c SET email = 'u@x' WHERE id = 2$c$,
        $c$UPDATE c SET email = 'u@x' WHERE id = 1$c$,
        $c$UPDATE c SET email = 'v@x' WHERE id = 2$c$,
        -- With the key; then two rows exchange theirs; then deleted, after a change that no job has seen.
        $c$UPDATE c SET id = 3, email = 'w@x' WHERE id = 2$c$,
        $c$DELETE FROM c WHERE id = 1; INSERT INTO c VALUES (1, 'one@x', 'One')$c$,
        $c$UPDATE c SET email = 'last@x' WHERE id = 1; DELETE FROM c$c$] LOOP
        SELECT coalesce(max(id), 0) INTO last FROM sync_job;
        EXECUTE command;
        COMMIT;
        CALL run_sync_jobs();
        RAISE NOTICE E'%\n    jobs    %\n    targets %', command,
            (SELECT string_agg(concat_ws(' ', source_document_name, status, operation, target_document_name, result, error_message), ', ' ORDER BY id)
             FROM sync_job WHERE id > last), (SELECT string_agg(m::text, ' ' ORDER BY email) FROM m);
    END LOOP;
    PERFORM detach_sync_job_triggers('M', 'c');
    TRUNCATE m;
    COMMIT;
END $$;
CALL try_changes('row');
CALL try_changes('statement');
SELECT count(*) FROM kept() WHERE type = 'M' AND NOT is_deletion;

-- Many at once; some of them in sets.
SELECT attach_sync_job_triggers('M', 'c', level => 'statement');
INSERT INTO c SELECT i, i || '@x', 'n' FROM generate_series(1, 300) AS i;
CALL run_sync_jobs();
UPDATE c SET email = CASE WHEN id % 3 = 0 THEN NULL WHEN id % 3 = 1 THEN 'new ' || id ELSE email END, name = 'N';
CALL run_sync_jobs();
SELECT (SELECT count(*) FROM m) AS targets, (SELECT count(*) FROM c FULL JOIN m USING (email) WHERE m IS NULL <> (email IS NULL) OR c IS NULL) AS wrong;
DELETE FROM c;
CALL run_sync_jobs();
SELECT count(*) FROM m;
-- Not by halves: an insert of another source that has the old value meanwhile keeps the target.
INSERT INTO c VALUES (1, 'a@x', 'Ann');
CALL run_sync_jobs();
UPDATE c SET email = 'b@x';
CALL unseen($$INSERT INTO c VALUES (9, 'a@x', 'Unseen')$$);
CALL run_sync_jobs();
SELECT * FROM last_jobs(1);
TABLE m ORDER BY email;
-- Flags: nothing is moved or deleted where that is not enabled, and it is not made up for.
UPDATE c SET email = 'c@x' WHERE id = 1;
SELECT count(*) FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued'));
SELECT status, operation, target_document_name, diff_summary FROM execute_sync_job(enqueue_sync_job('M', 1, dry_run => true));
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('M', 1, update_enabled => false));
SELECT status, operation, target_document_name FROM execute_sync_job(enqueue_sync_job('M', 1));
TABLE m ORDER BY email;
UPDATE c SET email = NULL WHERE id = 1;
SELECT count(*) FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued'));
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('M', 1, delete_enabled => false));
TABLE m ORDER BY email;
SELECT detach_sync_job_triggers('M', 'c');

-- Other matches: by several columns, in another equality, by expression, through a domain, with constants. The sources are small,
-- so that no index is needed.
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN short AS varchar(10);
CREATE TABLE s (id int PRIMARY KEY, a int, b short, n numeric, fresh text GENERATED ALWAYS AS (a || '/' || b) STORED);
CREATE TABLE t (a bigint, b text COLLATE caseless, n numeric(8, 0), k text, e text, id int, PRIMARY KEY (id));
CREATE PROCEDURE try_match(match jsonb) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
    VALUES ('S', 's', 't', match, '{"id": "id"}', 0);
    PERFORM attach_sync_job_triggers('S', 's');
    COMMIT;
    INSERT INTO s VALUES (1, 1, 'one', 1.4), (2, 2, 'two', 2.4), (3, 3, 'ONE', 1.2);
    COMMIT;
    CALL run_sync_jobs();
    UPDATE s SET a = a + 10, b = 'x' || b, n = n + 10 WHERE id < 3;
    COMMIT;
    CALL run_sync_jobs();
    RAISE NOTICE '%: %', match, (SELECT string_agg(t::text, ' ' ORDER BY id) FROM t);
    DELETE FROM s WHERE id < 3;
    COMMIT;
    CALL run_sync_jobs();
    RAISE NOTICE '    %', (SELECT string_agg(t::text, ' ' ORDER BY id) FROM t);
    RAISE NOTICE '    %', (SELECT string_agg(DISTINCT concat_ws(' ', status, operation, split_part(error_message, E'\n', 1)), ', ') FROM sync_job WHERE sync_job_type = 'S');
    PERFORM detach_sync_job_triggers('S', 's');
    PERFORM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE sync_job_type = 'S' AND status IN ('Queued', 'Failed')));
    DELETE FROM sync_job_type WHERE name = 'S';
    PERFORM clear_all_sync_jobs();
    TRUNCATE s, t;
    COMMIT;
END $$;
CALL try_match('{"a": "a", "b": "b", "k": {"value": "s"}}');
CALL try_match('{"b": "b"}');
CALL try_match('{"n": "n"}');
CALL try_match('{"e": {"expr": "upper(source.b)"}}');
CALL try_match('{"e": "fresh"}');
CALL try_match('{"e": {"expr": "coalesce(context ->> ''x'', source.b)"}}');

-- The target says which values are equal, also where only the source has a collation of its own.
CREATE TABLE caseless_source (id int PRIMARY KEY, b text COLLATE caseless);
CREATE TABLE exact_target (b text PRIMARY KEY, id int);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Exact', 'caseless_source', 'exact_target', '{"b": "b"}', '{"id": "id"}');
SELECT attach_sync_job_triggers('Exact', 'caseless_source');
INSERT INTO caseless_source VALUES (1, 'ONE'), (2, 'one');
CALL run_sync_jobs();
UPDATE caseless_source SET b = 'two' WHERE id = 2;
CALL run_sync_jobs();
TABLE exact_target ORDER BY id;
