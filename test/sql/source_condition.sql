-- source_condition: a row for which it does not hold is, for the type, a row that is not there. For declarations and for code, one
-- document at a time (execute_sync_job) and many a statement (run_sync_jobs).
\set VERBOSITY terse
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- whatever runs, runs here
CREATE FUNCTION last_jobs(count int, OUT type text, OUT source text, OUT status text, OUT operation text, OUT target text, OUT hint text, OUT error text)
RETURNS SETOF record LANGUAGE sql BEGIN ATOMIC
    SELECT j.sync_job_type, j.source_document_name, j.status, j.operation, j.target_document_name, j.context ->> 'trigger_operation', split_part(j.error_message, E'\n', 1)
    FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT count) AS j ORDER BY j.id;
END;
CREATE VIEW kept AS SELECT document_name, sync_job_type, is_deletion, data FROM sync_job_deleted_document ORDER BY id;
\getenv folder PG_ABS_SRCDIR
\set error_of :folder /setup/error_of.sql
\i :error_of

-- ---- What is refused, and what is found ----

CREATE TABLE customer (id int PRIMARY KEY, country text, active boolean NOT NULL DEFAULT true, name text, context text);
CREATE TABLE german (id int PRIMARY KEY, name text);
\pset format unaligned
SELECT error_of(format('INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, source_condition) VALUES (%L, ''customer'', ''german'', %L, %L, %L)',
    'German', '{"id": "id"}', '{"name": "name"}', condition)) AS "error"
FROM (VALUES (''), ('source.country ='), ('true; SELECT 1'), ('source.id = $1')) AS v (condition);
SELECT error_of($$INSERT INTO sync_job_type (name, source_condition) VALUES ('None', 'true')$$) AS "error";
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('German', 'customer', 'german', '{"id": "id"}', '{"name": "name"}');
CREATE FUNCTION found(condition text) RETURNS TABLE (severity text, object text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sync_job_type SET source_condition = condition;
    RETURN QUERY SELECT v.severity, v.object, v.message, v.hint FROM validate_sync_job_type('German') AS v;
END $$;
SELECT * FROM found('source.land = 1');
SELECT * FROM found('source.country');
SELECT * FROM found('count(*) > 1');
SELECT * FROM found($$context ->> 'a' = 'b'$$);
SELECT * FROM found('generate_series(1, 2) > 1');
SELECT status, retry_count, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('German', 1));
SELECT * FROM found($$source.country = 'DE' AND active -- a comment$$);
\pset format aligned

-- ---- Declared ----

SELECT attach_sync_job_triggers('German', 'customer');
INSERT INTO customer VALUES (1, 'DE', true, 'Anna'), (2, 'FR', true, 'Béatrice'), (3, 'DE', false, 'Carl'), (4, NULL, true, 'Dora');
CALL run_sync_jobs();
SELECT * FROM last_jobs(4);
TABLE german ORDER BY id;
-- One comes in, one leaves: as an insert, and a deletion. The trigger keeps the row as it was.
UPDATE customer SET country = 'DE' WHERE id = 2;
UPDATE customer SET active = false WHERE id = 1;
TABLE kept;
CALL run_sync_jobs();
SELECT * FROM last_jobs(2);
TABLE german ORDER BY id;
TABLE kept;
-- Changes outside are of no concern; nor is a deletion there, whatever has the same key in the target.
INSERT INTO german VALUES (3, 'somebody else''s'), (4, 'too');
UPDATE customer SET name = 'Dorothea' WHERE id = 4;
UPDATE customer SET country = 'IT' WHERE id = 4;
DELETE FROM customer WHERE id = 3;
CALL run_sync_jobs();
SELECT * FROM last_jobs(3);
TABLE german ORDER BY id;
DELETE FROM german WHERE id > 2;
-- It leaves, changes outside, and is deleted, before any job runs: the target goes all the same.
UPDATE customer SET active = false WHERE id = 2;
UPDATE customer SET name = 'B.' WHERE id = 2;
DELETE FROM customer WHERE id = 2;
CALL run_sync_jobs();
SELECT * FROM last_jobs(3);
TABLE german ORDER BY id;
-- It leaves and comes back before any job runs: it stays.
UPDATE customer SET active = true WHERE id = 1;
CALL run_sync_jobs();
UPDATE customer SET active = false WHERE id = 1;
UPDATE customer SET active = true, name = 'Anne' WHERE id = 1;
CALL run_sync_jobs();
SELECT * FROM last_jobs(2);
TABLE german ORDER BY id;
TABLE kept;
-- A row that is enqueued by hand, and not there; a name that is nowhere is an error, as ever.
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('German', 4));
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('German', 99));

-- By a value that documents share: that of one that is not there is nobody's.
CREATE TABLE place (country text PRIMARY KEY, resident int);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, source_condition)
VALUES ('Place', 'customer', 'place', '{"country": "country"}', '{"resident": "id"}', 'source.active');
SELECT detach_sync_job_triggers('German', 'customer');
SELECT attach_sync_job_triggers('Place', 'customer');
TRUNCATE customer;
INSERT INTO customer (id, country, active) VALUES (10, 'AT', true), (11, 'AT', false), (12, 'CH', true), (13, 'CH', true);
CALL run_sync_jobs();
TABLE place ORDER BY country;
-- 11 has the value, but is not there; 13 is. What 11 had before decides nothing.
UPDATE customer SET country = 'LI' WHERE id IN (10, 12);
UPDATE customer SET country = 'CH', active = true WHERE id = 11;
CALL run_sync_jobs();
SELECT country FROM place ORDER BY country;
DELETE FROM customer WHERE id IN (11, 13);
CALL run_sync_jobs();
SELECT country FROM place ORDER BY country;

-- Many at once, as one by one: 400 documents, over and over.
CREATE TABLE doc (id int PRIMARY KEY, code int, live boolean, n int);
CREATE TABLE by_row (code int PRIMARY KEY, id int, n int);
CREATE TABLE by_set (LIKE by_row INCLUDING ALL);
CREATE INDEX ON doc (code);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, source_condition, max_retries)
SELECT name, 'doc', lower(replace(name, ' ', '_'))::regclass, '{"code": "code"}', '{"id": "id", "n": {"expr": "100 / source.n"}}', 'source.live AND n <> 0', 0
FROM unnest(ARRAY['By Row', 'By Set']) AS name;
SELECT attach_sync_job_triggers(name, 'doc', level => CASE name WHEN 'By Set' THEN 'statement' ELSE 'row' END) FROM sync_job_type WHERE name LIKE 'By %' ORDER BY name;
CREATE FUNCTION dice(seed text, sides int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT (('x' || substr(md5(seed), 1, 7))::bit(28)::int % sides) $$;
CREATE PROCEDURE run() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM execute_sync_job(id) FROM (SELECT id FROM sync_job WHERE sync_job_type = 'By Row' AND status = 'Queued' ORDER BY id) AS j;
    COMMIT;
    CALL run_sync_jobs();
END $$;
CREATE VIEW out_of_step AS
    SELECT code, to_jsonb(r) AS by_row, to_jsonb(s) AS by_set, to_jsonb(d) AS wanted
    FROM by_row AS r FULL JOIN by_set AS s USING (code)
    FULL JOIN (SELECT code, id, 100 / n AS n FROM doc WHERE live AND n <> 0) AS d USING (code)
    WHERE to_jsonb(r) - 'code' IS DISTINCT FROM to_jsonb(d) - 'code' OR to_jsonb(s) - 'code' IS DISTINCT FROM to_jsonb(d) - 'code';
INSERT INTO doc SELECT i, i, dice('l' || i, 3) > 0, dice('n' || i, 4) FROM generate_series(1, 400) AS i;
CALL run();
TABLE out_of_step;
SELECT sync_job_type, status, operation, count(*) FROM sync_job WHERE sync_job_type LIKE 'By %' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
DO $$
BEGIN
    FOR i IN 1 .. 6 LOOP
        UPDATE doc SET live = NOT live WHERE dice(i || 'l' || id, 4) = 0;
        UPDATE doc SET n = (n + 1) % 4 WHERE dice(i || 'n' || id, 4) = 0;
        DELETE FROM doc WHERE dice(i || 'd' || id, 20) = 0;
        UPDATE doc SET code = code + 1000, live = NOT live WHERE dice(i || 'c' || id, 10) = 0;
        INSERT INTO doc SELECT i * 1000 + n, i * 100000 + n, n % 3 > 0, n % 4 FROM generate_series(1, 20) AS n;
        COMMIT;
        CALL run();
        IF EXISTS (SELECT FROM out_of_step) THEN
            RAISE WARNING 'round %: %', i, (SELECT jsonb_agg(to_jsonb(o)) FROM out_of_step AS o);
        END IF;
    END LOOP;
END $$;
SELECT (SELECT count(*) FROM by_row) > 100 AS many, (SELECT count(*) FROM sync_job WHERE status = 'Failed') AS failed, (SELECT count(*) FROM kept WHERE sync_job_type = 'By Set' AND NOT is_deletion) AS kept;
-- Where the target cannot be another, what was kept is no reason for a job to run by itself.
CREATE TABLE written (relation regclass, operation text, rows bigint);
CREATE FUNCTION count_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO written SELECT TG_RELID, TG_OP, count(*) FROM new_rows; RETURN NULL; END $$;
CREATE TABLE by_key (id int PRIMARY KEY, n int);
CREATE TRIGGER update AFTER UPDATE ON by_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_written();
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, source_condition) VALUES ('By Key', 'doc', 'by_key', '{"id": "id"}', '{"n": "n"}', 'source.n > 0');
SELECT detach_sync_job_triggers(name, 'doc') IS NOT NULL AS detached FROM sync_job_type WHERE name LIKE 'By _o_' OR name = 'By Set';
SELECT attach_sync_job_triggers('By Key', 'doc');
UPDATE doc SET n = n + 1;
CALL run_sync_jobs();
UPDATE doc SET n = n + 1;
SELECT count(*) > 100 AS kept FROM kept WHERE sync_job_type = 'By Key';
CALL run_sync_jobs();
SELECT max(rows) > 100 AS many_at_once FROM written;
SELECT count(*) FROM kept WHERE sync_job_type = 'By Key';
SELECT count(*) FROM doc FULL JOIN by_key USING (id) WHERE doc.n IS DISTINCT FROM by_key.n;

-- ---- Code ----

CREATE SCHEMA code;
CREATE FUNCTION code.get_target_document(sync_job sync_job, source_doc customer) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete' WHEN t.id IS NULL THEN 'insert' ELSE 'update' END,
        target_document_name => source_doc.id::text, context => sync_job.context || jsonb_build_object('seen', source_doc.name))
    FROM (SELECT 1) AS one LEFT JOIN german AS t ON t.id = source_doc.id
$$;
CREATE FUNCTION code.update_target_doc(sync_job sync_job, source_doc customer, INOUT target_doc german) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := source_doc.id;
    target_doc.name := source_doc.name;
END $$;
TRUNCATE german, customer;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, source_condition) VALUES ('Code', 'customer', 'german', 'code', 'source.active');
SELECT detach_sync_job_triggers('Place', 'customer');
SELECT attach_sync_job_triggers('Code', 'customer');
INSERT INTO customer VALUES (1, 'DE', true, 'Anna'), (2, 'DE', false, 'Bert');
CALL run_sync_jobs();
UPDATE customer SET active = false, name = 'gone' WHERE id = 1;
UPDATE customer SET active = true WHERE id = 2;
CALL run_sync_jobs();
SELECT l.*, context ->> 'seen' AS seen FROM last_jobs(2) AS l JOIN sync_job AS j ON j.id > (SELECT max(id) - 2 FROM sync_job) AND j.source_document_name = l.source ORDER BY l.source;
TABLE german;
-- Where what it reads of a kept row cannot be read any more, the column is named.
UPDATE customer SET active = false WHERE id = 2;
ALTER TABLE customer ALTER active DROP DEFAULT, ALTER active TYPE int USING 0;
UPDATE sync_job_type SET source_condition = 'source.active = 1' WHERE name = 'Code';
SELECT status, regexp_replace(split_part(error_message, E'\n', 1), 'kept at \S+ \S+', 'kept at …') AS error FROM execute_sync_job((SELECT max(id) FROM sync_job));
