-- Who sees what of jobs: rows, errors, views, results of functions.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET paused = true; -- what runs is run by hand
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_clerk LOGIN;  -- may enqueue
CREATE ROLE regress_reader LOGIN; -- may read the target
CREATE ROLE regress_mallory LOGIN;
CREATE ROLE regress_viewer LOGIN;
CREATE ROLE regress_operator LOGIN;
SELECT grant_sync_job_access('regress_app', 'manager'), grant_sync_job_access('regress_viewer', 'viewer'),
    grant_sync_job_access('regress_operator', 'operator');
CREATE SCHEMA app AUTHORIZATION regress_app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE SCHEMA app_sync AUTHORIZATION regress_app;
CREATE SCHEMA open_sync AUTHORIZATION regress_app;
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;

\c - regress_app
CREATE TABLE app.source (id integer PRIMARY KEY, v text);
CREATE TABLE app.target (id integer PRIMARY KEY, v text, secret text DEFAULT 'the secret');
GRANT SELECT ON app.target TO regress_reader;
INSERT INTO app.source VALUES (1, 'one'), (2, 'two');
INSERT INTO app.target VALUES (1, 'before'), (2, 'before');
CREATE FUNCTION app_sync.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target('update', 'app.target', source_doc ->> 'id')
$$;
CREATE FUNCTION app_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF sync_job #>> '{context,fail}' IS NOT NULL THEN
        RAISE EXCEPTION 'failed with %', target_doc ->> 'secret';
    END IF;
    IF sync_job #>> '{context,null}' IS NOT NULL THEN
        RETURN jsonb_build_object('id', NULL);
    END IF;
    RETURN source_doc;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, verbose_logging)
VALUES ('App Sync', 'app.source', 'app.target', 'app_sync', true);
INSERT INTO sync_job_type (name, source_document_type, module, run_as) VALUES ('Open Sync', 'app.source', 'app_sync', 'regress_app');
SELECT grant_sync_job_type('App Sync', r), grant_sync_job_type('Open Sync', r)
FROM unnest(ARRAY['regress_clerk', 'regress_reader']::regrole[]) AS r;

\c - regress_clerk
SELECT enqueue_sync_job('App Sync', '1', job_id => 'clerk good') AS clerk_good \gset
SELECT enqueue_sync_job('App Sync', '2', '{"fail": true}', job_id => 'clerk bad') AS clerk_bad \gset
\c - regress_reader
SELECT enqueue_sync_job('App Sync', '2', job_id => 'reader good') AS reader_good \gset
\c - regress_app
SELECT enqueue_sync_job('App Sync', '1', '{"fail": true}', job_id => 'app bad') AS app_bad \gset
SELECT status FROM execute_sync_job(:clerk_good);
SELECT status FROM execute_sync_job(:clerk_bad);
SELECT status FROM execute_sync_job(:reader_good);
SELECT status, current_data, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:app_bad);

-- The owner, while he may read the target; operators and viewers all.
\c - regress_clerk
SELECT id FROM sync_job;
SELECT * FROM sync_job_error;
SELECT * FROM sync_job_stats;
SELECT * FROM sync_job_recent;
SELECT * FROM sync_job_relay;
SELECT id FROM get_sync_job_status('clerk bad') WHERE id IS NOT NULL;
\c - postgres
GRANT SELECT (id, v) ON app.target TO regress_clerk; -- of columns: not enough
\c - regress_clerk
SELECT id FROM sync_job;
-- State and times he has in any case, of his own.
SELECT status, started_at IS NOT NULL AS started, ended_at IS NOT NULL AS ended, retry_count, retry_after IS NOT NULL AS again
FROM get_sync_job_status(:clerk_bad);
SELECT * FROM get_sync_job_status(:app_bad);
SELECT * FROM get_sync_job_status(:reader_good);
CALL wait_for_sync_job(:clerk_good);
\set VERBOSITY terse
CALL wait_for_sync_job(:app_bad, '0');
CALL wait_for_sync_job(:reader_good);
\set VERBOSITY default
-- Steering his own he gets the row without what he may not read.
SELECT status, title, target_document_name, context, current_data, updated_data, diff_summary, error_message, messages
FROM retry_sync_job(:clerk_bad);
\c - regress_app
SELECT status FROM execute_sync_job(:clerk_bad);
\c - regress_clerk
SELECT status, current_data, error_message FROM retry_sync_job(ARRAY[:clerk_bad]);
SELECT status, current_data, error_message FROM cancel_sync_job(:clerk_bad);

\c - regress_reader
SELECT job_id, diff_summary, current_data FROM sync_job;
SELECT count(*) FROM sync_job_error;
SELECT sync_job_type, status, jobs FROM sync_job_stats;
\c - postgres
REVOKE SELECT ON app.target FROM regress_reader;
\c - regress_reader
SELECT job_id FROM sync_job;
\c - postgres
GRANT SELECT ON app.target TO regress_reader;
-- With policies on the target it is not said which rows he may read: then only who has the rights of run_as.
ALTER TABLE app.target ENABLE ROW LEVEL SECURITY;
\c - regress_reader
SELECT job_id FROM sync_job;
\c - regress_app
SELECT job_id FROM sync_job ORDER BY id;
\c - postgres
GRANT regress_app TO regress_reader;
\c - regress_reader
SELECT job_id FROM sync_job ORDER BY id; -- those of regress_app now, too
\c - postgres
REVOKE regress_app FROM regress_reader;
ALTER TABLE app.target DISABLE ROW LEVEL SECURITY;

\c - regress_viewer
SELECT job_id, error_message IS NOT NULL AS error, current_data IS NOT NULL AS data FROM sync_job ORDER BY id;
SELECT sync_job, attempt, message FROM sync_job_error ORDER BY sync_job;
SELECT status FROM get_sync_job_status(:app_bad);
SELECT retry_sync_job(:app_bad);
SELECT cancel_sync_job(:app_bad);
\c - regress_operator
SELECT count(*) FROM sync_job;
SELECT count(*) FROM sync_job_error;
SELECT status, error_message IS NULL AS cleared FROM retry_sync_job(:app_bad);
SELECT status, current_data ->> 'secret' AS secret FROM cancel_sync_job(:app_bad);

-- Somebody else: nothing, by no way.
\c - regress_mallory
SELECT count(*) FROM sync_job;
SELECT count(*) FROM sync_job_error;
SELECT count(*) FROM sync_job_type;
SELECT count(*) FROM sync_job_stats;
SELECT count(*) FROM sync_job_recent;
SELECT count(*) FROM sync_job_relay;
SELECT sum(waiting) AS waiting, sum(scheduled) AS scheduled, max(oldest_waiting) AS oldest FROM sync_job_queue_status;
SELECT count(*) FROM sync_job_schedules;
SELECT count(*) FROM sync_job_schedule;
SELECT * FROM sync_job_deleted_document;
SELECT * FROM get_sync_job_status('app bad');
SELECT * FROM validate_sync_job_type('App Sync');
SELECT create_sync_job_boilerplate('App Sync');
SELECT get_sync_document('app.target', '1');
-- A job given as a row says only which document is meant.
SELECT get_source_document(json_populate_record(NULL::sync_job,
    '{"sync_job_type": "App Sync", "source_document_type": "app.source", "source_document_name": "1", "run_as": "regress_app"}'));
SELECT get_target_document(json_populate_record(NULL::sync_job,
    '{"target_document_type": "app.target", "target_document_name": "1"}'), for_update => true);
SELECT get_source_document(json_populate_record(NULL::sync_job, '{"source_document_type": 0, "source_document_name": "1"}'));
SELECT get_source_document(json_populate_record(NULL::sync_job, '{"source_document_type": "pg_class_oid_index", "source_document_name": "1"}'));
SELECT get_source_document(json_populate_record(NULL::sync_job, '{}'));
SELECT * FROM sync_job_internal.sync_job_live;
SELECT * FROM sync_job_internal.sync_job_failed;
SELECT * FROM sync_job_internal.sync_job_ended;
SELECT * FROM sync_job_internal.access;
SELECT * FROM sync_job_internal.type_grant;
SELECT * FROM sync_job_internal.dependency;
SELECT * FROM sync_job_internal.home;
SELECT last_value FROM sync_job_internal.sync_job_id_seq;
SELECT nextval('sync_job_internal.sync_job_id_seq');
SELECT setval('sync_job_internal.sync_job_id_seq', 1);
INSERT INTO sync_job SELECT * FROM sync_job;
UPDATE sync_job SET status = 'Queued';
DELETE FROM sync_job;
SELECT id FROM sync_job FOR UPDATE;
INSERT INTO sync_job_error VALUES (1, 1, now(), '00000', 'x', NULL, NULL, NULL, true);
INSERT INTO sync_job_queue (name) VALUES ('mine');
UPDATE sync_job_queue SET max_workers = 0;
INSERT INTO sync_job_schedule VALUES ('x', '', '* * * * *', NULL, 'f', '{}', NULL, false, 'postgres');
INSERT INTO sync_job_event (event, created_by) VALUES ('x', 'postgres');
-- A function that tells what it sees comes after the policies, not before.
CREATE FUNCTION mallory.tell(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'seen: %', $1;
    RETURN true;
END $$;
CREATE FUNCTION mallory.tell_text(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'seen: %', $1;
    RETURN true;
END $$;
CREATE OPERATOR mallory.<<< (FUNCTION = mallory.tell_text, LEFTARG = text, RIGHTARG = text);
SELECT id FROM sync_job WHERE mallory.tell(title);
SELECT id FROM sync_job WHERE title OPERATOR(mallory.<<<) 'x';
SELECT sync_job FROM sync_job_error WHERE mallory.tell(message);
SELECT name FROM sync_job_type WHERE mallory.tell(name);
SELECT name FROM sync_job_schedule WHERE mallory.tell(params);
SELECT id FROM sync_job_recent WHERE mallory.tell(title);
SELECT id FROM sync_job WHERE 1 / (id - :app_bad) > 0;
-- Statistics of the columns are as secret as the rows.
\c - postgres
ANALYZE sync_job_internal.sync_job_ended, sync_job_internal.sync_job_failed, sync_job_error, sync_job_type;
\c - regress_mallory
SELECT tablename FROM pg_stats WHERE tablename LIKE 'sync_job%';

-- Also for who was given all tables of the schema, as many do.
\c - postgres
GRANT ALL ON ALL TABLES IN SCHEMA public TO regress_mallory;
INSERT INTO sync_job_deleted_document (document_type, document_name, data, deleted_by) VALUES ('app.source', '9', '{"id": 9, "v": "old"}', 'regress_app');
\c - regress_mallory
SELECT count(*) FROM sync_job;
SELECT count(*) FROM sync_job_error;
SELECT count(*) FROM sync_job_deleted_document;
UPDATE sync_job SET run_as = 'regress_mallory';
DELETE FROM sync_job;
INSERT INTO sync_job_deleted_document (document_type, document_name, data, deleted_by) VALUES ('app.source', '1', '{"id": 1}', 'regress_app');
INSERT INTO sync_job_event (event, created_by) VALUES ('x', 'postgres');
UPDATE sync_job_schedule SET owner = 'regress_mallory';
\c - postgres
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM regress_mallory;
-- What was deleted is for who may read all of the table.
\c - regress_mallory
SELECT get_sync_document('app.source', '9');
\c - regress_app
SELECT get_sync_document('app.source', '9');
\c - postgres
GRANT SELECT ON app.source TO regress_reader;
\c - regress_reader
SELECT get_sync_document('app.source', '9');
\c - postgres
ALTER TABLE app.source ENABLE ROW LEVEL SECURITY;
\c - regress_reader
SELECT get_sync_document('app.source', '9');
\c - postgres
ALTER TABLE app.source DISABLE ROW LEVEL SECURITY;

-- A target that the controller names for each job: what a failed attempt has seen of it is not for the owner.
\c - regress_clerk
SELECT enqueue_sync_job('Open Sync', '1', '{"fail": true}') AS open \gset
SELECT status, target_document_type FROM sync_job WHERE id = :open; -- nothing of the target is known yet
\c - regress_app
SELECT status, target_document_type, current_data ->> 'secret' AS secret FROM execute_sync_job(:open);
\c - regress_clerk
SELECT status FROM sync_job WHERE id = :open;
SELECT * FROM sync_job_error WHERE sync_job = :open;
SELECT status, current_data, error_message FROM retry_sync_job(:open);
SELECT * FROM sync_job WHERE id = :open; -- still kept
SELECT * FROM sync_job_error WHERE sync_job = :open;
\c - regress_app
SELECT status FROM sync_job WHERE id = :open;
SELECT count(*) FROM sync_job_error WHERE sync_job = :open;
-- What an error quotes of the source is for who may read that, too.
\c - postgres
CREATE TABLE app.open_target (id integer PRIMARY KEY, v integer);
ALTER TABLE app.open_target OWNER TO regress_app;
GRANT SELECT ON app.open_target TO PUBLIC;
\c - regress_app
INSERT INTO app.source VALUES (100, 'a secret of the source');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
VALUES ('Quotes', 'app.source', 'app.open_target', '{"id": "id"}', '{"v": {"expr": "source.v::integer"}}', 0);
SELECT grant_sync_job_type('Quotes', 'regress_clerk');
\c - regress_clerk
SELECT enqueue_sync_job('Quotes', '100') AS quotes \gset
SELECT status FROM sync_job WHERE id = :quotes;
\c - regress_app
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:quotes);
\c - regress_clerk
SELECT status, error_message FROM sync_job WHERE id = :quotes;
SELECT * FROM sync_job_error WHERE sync_job = :quotes;
SELECT status FROM get_sync_job_status(:quotes);
SELECT status, error_message FROM retry_sync_job(:quotes);
\c - regress_viewer
SELECT status, split_part(message, E'\n', 1) AS error FROM sync_job_error JOIN sync_job ON id = sync_job WHERE id = :quotes;
-- Nor is an earlier attempt's, once the job has ended well.
\c - regress_app
UPDATE app.source SET v = '42' WHERE id = 100;
SELECT status FROM execute_sync_job(:quotes);
\c - regress_clerk
SELECT status FROM sync_job WHERE id = :quotes;
SELECT * FROM sync_job_error WHERE sync_job = :quotes;
\c - postgres
GRANT SELECT ON app.source TO regress_clerk;
\c - regress_clerk
SELECT message FROM sync_job_error WHERE sync_job = :quotes;
\c - postgres
REVOKE SELECT ON app.source FROM regress_clerk;

-- A target that is gone is for nobody else either.
\c - postgres
GRANT SELECT ON app.target TO regress_clerk;
\c - regress_clerk
SELECT job_id FROM sync_job WHERE job_id LIKE 'clerk%' ORDER BY id;
\c - regress_app
DROP TABLE app.target;
\c - regress_clerk
SELECT job_id FROM sync_job WHERE job_id LIKE 'clerk%' ORDER BY id;
\c - regress_app
SELECT count(*) FROM sync_job WHERE job_id LIKE 'app%';

\c - postgres
SET client_min_messages = warning;
DROP SCHEMA app, app_sync, open_sync, mallory CASCADE;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_app, regress_clerk, regress_reader, regress_mallory, regress_viewer, regress_operator;
DROP ROLE regress_app, regress_clerk, regress_reader, regress_mallory, regress_viewer, regress_operator;
