-- Rules of field_map: what an update leaves alone; and expressions that read the target. One document at a time (execute_sync_job) and
-- many a statement (run_sync_jobs).
\set VERBOSITY terse
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- whatever runs, runs here
CREATE TABLE src (id int PRIMARY KEY, phone text, email text, visits int);
CREATE TABLE by_row (id int PRIMARY KEY, phone text, email text, "when" text, n int, fixed text);
CREATE TABLE by_set (LIKE by_row INCLUDING ALL);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
SELECT name, 'src', lower(replace(name, ' ', '_'))::regclass, '{"id": "id"}',
    '{"phone": {"column": "phone", "only": "insert"}, "email": {"only": "null", "expr": "lower(source.email)"}, "when": {"value": "then", "only": "insert"}, "n": {"column": "visits"}}'
FROM unnest(ARRAY['By Row', 'By Set']) AS name;
SELECT name, v.* FROM sync_job_type, validate_sync_job_type(name) AS v;
CREATE PROCEDURE run() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count(enqueue_sync_job(name, src)) FROM sync_job_type, src;
    PERFORM execute_sync_job(id) FROM (SELECT id FROM sync_job WHERE sync_job_type = 'By Row' AND status = 'Queued' ORDER BY id) AS j;
    COMMIT;
    CALL run_sync_jobs();
END $$;
CREATE VIEW tally AS SELECT sync_job_type, status, operation, count(*), jsonb_agg(DISTINCT diff_summary) AS diffs
    FROM sync_job WHERE id > coalesce((SELECT max(id) - 20 FROM sync_job), 0) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
INSERT INTO src SELECT i, 'p' || i, CASE WHEN i > 2 THEN 'E' || i END, 0 FROM generate_series(1, 10) AS i;
CALL run();
TABLE tally;
SELECT * FROM by_set WHERE id IN (1, 3) ORDER BY id;
UPDATE src SET phone = 'new', email = 'NEW';
CALL run();
TABLE tally;
SELECT * FROM by_set WHERE id IN (1, 3) ORDER BY id;
UPDATE src SET visits = 1;
UPDATE by_row SET phone = NULL, email = NULL WHERE id = 3;
UPDATE by_set SET phone = NULL, email = NULL WHERE id = 3;
CALL run();
TABLE tally;
SELECT * FROM by_set WHERE id IN (1, 3) ORDER BY id;
SELECT count(*) AS different FROM by_row FULL JOIN by_set USING (id) WHERE by_row::text IS DISTINCT FROM by_set::text;

-- Wrong ones.
CREATE FUNCTION found(map text, match text DEFAULT '{"id": "id"}') RETURNS TABLE (object text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sync_job_type SET field_map = map::jsonb, match = found.match::jsonb WHERE name = 'By Row';
    RETURN QUERY SELECT v.object, v.message, v.hint FROM validate_sync_job_type('By Row') AS v WHERE severity = 'error';
END $$;
SELECT * FROM found('{"phone": {"column": "phone", "only": "sometimes"}}');
SELECT * FROM found('{"phone": {"column": "phone", "only": 1}}');
SELECT * FROM found('{"phone": {"only": "insert"}}');
SELECT * FROM found('{"phone": {"column": "nowhere", "only": "insert"}}');
SELECT * FROM found('{"phone": {"column": "phone", "value": 1}}');
SELECT * FROM found('{"phone": {"column": 1}}');
SELECT * FROM found('{"phone": "phone"}', '{"id": {"column": "id", "only": "insert"}}');
SELECT * FROM found('{"phone": "phone"}', '{"id": {"expr": "target.id"}}');
SELECT * FROM found('{"phone": "phone"}', '{"id": {"expr": "(SELECT sync_job_id)"}}');
SELECT * FROM found('{"phone": {"expr": "target.nowhere"}}');
SELECT * FROM found('{"phone": {"expr": "target.phone"}, "email": {"expr": "source.nowhere"}}');

-- The target, null in an insert; and which job it is.
UPDATE sync_job_type SET match = '{"id": {"column": "id"}}', field_map = '{"n": {"expr": "coalesce(target.n, 100) + source.visits"}, "fixed": {"expr": "CASE WHEN target IS NULL THEN ''new '' || sync_job_id ELSE target.fixed END"},
    "email": {"expr": "coalesce(target.email, source.email, (SELECT max(s.email) FROM src AS s WHERE s.id <> target.id))", "only": "null"}}';
SELECT name, v.* FROM sync_job_type, validate_sync_job_type(name) AS v;
TRUNCATE by_row, by_set, src;
INSERT INTO src SELECT i, NULL, CASE WHEN i > 1 THEN 'e' || i END, i FROM generate_series(1, 10) AS i;
CALL run();
CALL run();
SELECT id, email, n, fixed ~ '^new \d+$' AS fixed FROM by_row ORDER BY id LIMIT 3;
SELECT id, email, n, fixed ~ '^new \d+$' AS fixed FROM by_set ORDER BY id LIMIT 3;
SELECT count(*) FROM by_row JOIN sync_job AS j ON 'new ' || j.id = fixed WHERE j.operation = 'Insert' AND j.sync_job_type = 'By Row' AND j.target_document_name = by_row.id::text;
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('By Row', 2, dry_run => true));

-- ---- Only while nobody has edited it ----

CREATE TABLE person (id int PRIMARY KEY, name text, phone text, note text);
CREATE TABLE contact (id int PRIMARY KEY, name text, phone varchar(8), note text DEFAULT 'none');
CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.phone := upper(NEW.phone); RETURN NEW; END $$;
CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION tidy();
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Contact', 'person', 'contact', '{"id": "id"}',
    '{"name": "name", "phone": {"column": "phone", "only": "unedited"}, "note": {"expr": "source.note", "only": "unedited"}}');
SELECT attach_sync_job_triggers('Contact', 'person');
CREATE FUNCTION synced() RETURNS TABLE (id int, name text, phone text, note text, status text, diff jsonb) LANGUAGE sql AS $$
    SELECT c.*, (SELECT j.status FROM sync_job AS j WHERE j.source_document_name = c.id::text AND j.sync_job_type = 'Contact' ORDER BY j.id DESC LIMIT 1),
        (SELECT j.diff_summary FROM sync_job AS j WHERE j.source_document_name = c.id::text AND j.sync_job_type = 'Contact' ORDER BY j.id DESC LIMIT 1)
    FROM contact AS c ORDER BY c.id
$$;
INSERT INTO person VALUES (1, 'Ann', 'a1', NULL), (2, 'Bob', 'b1', 'n'), (3, 'Cy', 'c1', 'n');
INSERT INTO contact VALUES (3, 'Cy', 'before', 'n');
CALL run_sync_jobs();
SELECT * FROM synced();
-- What the sync wrote it writes again, also where a trigger has changed it; what somebody has edited stays, and the rest is synced.
UPDATE contact SET phone = 'by hand' WHERE id = 2;
UPDATE person SET phone = 'x' || id, note = 'm', name = upper(name);
CALL run_sync_jobs();
SELECT * FROM synced();
-- Edited to what the sync would write, it is the sync's again.
UPDATE contact SET phone = 'X2' WHERE id = 2;
UPDATE person SET phone = 'X' || id;
CALL run_sync_jobs();
UPDATE person SET phone = 'y' || id;
CALL run_sync_jobs();
SELECT * FROM synced();
-- NULL is a value. A dry run remembers nothing; applied, it does; reverted, too.
UPDATE contact SET note = NULL WHERE id = 1;
UPDATE person SET note = NULL WHERE id = 2;
UPDATE person SET note = 'o' WHERE id = 1;
CALL run_sync_jobs();
UPDATE person SET phone = 'z2' WHERE id = 2;
SELECT id AS dry FROM execute_sync_job(enqueue_sync_job('Contact', 2, dry_run => true)) \gset
SELECT apply_sync_job(:dry) AS applied \gset
SELECT * FROM synced() WHERE id < 3;
CALL run_sync_jobs();
SELECT revert_sync_job(:applied) > 0 AS reverted;
UPDATE person SET phone = 'w2' WHERE id = 2;
CALL run_sync_jobs();
SELECT * FROM synced() WHERE id = 2;
-- Gone with the target, and with the type; renamed with it.
SELECT sync_job_type, count(*) FROM sync_job_internal.written GROUP BY 1;
DELETE FROM person WHERE id = 1;
CALL run_sync_jobs();
SELECT detach_sync_job_triggers('Contact', 'person');
UPDATE sync_job_type SET name = 'Contacts' WHERE name = 'Contact';
SELECT sync_job_type, count(*) FROM sync_job_internal.written GROUP BY 1;
SELECT difference, source_document_name, diff FROM compare_sync_documents('Contacts');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Another', 'person', 'contact', '{"id": "id"}', '{"phone": "name"}');
SELECT severity, object, message FROM validate_sync_job_type('Contacts');
DELETE FROM sync_job_type WHERE name = 'Contacts';
SELECT count(*) FROM sync_job_internal.written;

-- What is taken out of field_map keeps its value, and is no difference; null clears it.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Fewer', 'src', 'by_set', '{"id": "id"}', '{"phone": "phone", "email": "email"}');
UPDATE src SET phone = 'last', email = 'last@example.com';
SELECT enqueue_full_sync('Fewer', max_change_percent => 100) > 0 AS done;
CALL run_sync_jobs();
UPDATE sync_job_type SET field_map = '{"email": "email"}' WHERE name = 'Fewer';
UPDATE src SET phone = 'unseen', email = 'seen@example.com';
SELECT DISTINCT difference, diff FROM compare_sync_documents('Fewer');
SELECT count(enqueue_sync_job('Fewer', src)) FROM src;
CALL run_sync_jobs();
SELECT DISTINCT phone, email FROM by_set;
UPDATE sync_job_type SET field_map = '{"email": "email", "phone": {"value": null}}' WHERE name = 'Fewer';
SELECT enqueue_full_sync('Fewer', max_change_percent => 100) > 0 AS done;
CALL run_sync_jobs();
SELECT DISTINCT phone, email FROM by_set;
