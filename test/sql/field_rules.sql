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
