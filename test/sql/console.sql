-- What the console calls with the rights of whoever uses it: act_on_jobs(), write_type(), and who sees which grants of types.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET paused = true;
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_clerk LOGIN;
CREATE ROLE regress_operator LOGIN;
CREATE ROLE regress_other LOGIN;
SELECT grant_sync_job_access('regress_app', 'manager'), grant_sync_job_access('regress_operator', 'operator');
CREATE SCHEMA app AUTHORIZATION regress_app;
GRANT USAGE ON SCHEMA app TO PUBLIC;

-- A type is made and changed by columns; what is null has its default in a new one, and is null in one that is there.
\c - regress_app
SET search_path = pg_catalog, pg_temp;
CREATE TABLE app.source (id bigint PRIMARY KEY, v text);
CREATE TABLE app.target (id bigint PRIMARY KEY, v text);
INSERT INTO app.source VALUES (1, 'one'), (2, 'two'), (9007199254740993, 'large');
SELECT sync_job_internal.write_type(NULL, '{"name": "App Sync", "source_document_type": "app.source", "target_document_type": "app.target",
    "match": {"id": "id"}, "field_map": {"v": "v"}, "priority": null, "max_retries": 0, "timeout": "1 minute", "source_key": ["id"]}');
SELECT name, source_document_type, match, field_map, priority, max_retries, timeout, source_key, queue FROM public.sync_job_type;
SELECT sync_job_internal.write_type('App Sync', '{"description": "of the app", "timeout": null}');
SELECT description, timeout, max_retries FROM public.sync_job_type;
\set VERBOSITY terse
SELECT sync_job_internal.write_type('App Sync', '{"descriptio": "x"}');
SELECT sync_job_internal.write_type('App Sync', '{}');
SELECT sync_job_internal.write_type('No Sync', '{"description": "x"}');
SELECT sync_job_internal.write_type('App Sync', '{"priority": null}');
SELECT sync_job_internal.write_type(NULL, '{"name": "Other Sync", "source_document_type": "source"}');
SELECT public.grant_sync_job_type('App Sync', 'regress_clerk');
\c - regress_operator
\set VERBOSITY terse
SELECT sync_job_internal.write_type('App Sync', '{"description": "mine"}');
SELECT sync_job_internal.write_type(NULL, '{"name": "Mine"}');

-- Who holds a grant, or sees the type, sees the grant.
SELECT * FROM sync_job_internal.type_grant;
\c - regress_clerk
SELECT * FROM sync_job_internal.type_grant;
\c - regress_app
SELECT * FROM sync_job_internal.type_grant;
\c - regress_other
SELECT * FROM sync_job_internal.type_grant;

-- Each of several jobs has its outcome; a refusal undoes no other.
\c - regress_clerk
SELECT enqueue_sync_job('App Sync', '1') AS one, enqueue_sync_job('App Sync', '2', queue_on_insert => false) AS two,
    enqueue_sync_job('App Sync', '9007199254740993') AS large \gset
\c - regress_other
SELECT id - :one AS job, status, error ->> 'code' AS code FROM sync_job_internal.act_on_jobs('cancel', ARRAY[:one, :two, :large + 1]);
\c - regress_operator
SELECT id - :one AS job, status, error ->> 'code' AS code, error ->> 'message' IS NOT NULL AS says
FROM sync_job_internal.act_on_jobs('start', ARRAY[:one, :two, :large, :large + 1]);
SELECT id - :one AS job, status, error ->> 'code' AS code FROM sync_job_internal.act_on_jobs('cancel', ARRAY[:one, :one, :two], reason => 'not now');
SELECT id - :one AS job, status, cancel_reason FROM sync_job ORDER BY id;
SELECT id - :one AS job, status, error ->> 'code' AS code FROM sync_job_internal.act_on_jobs('delete', ARRAY[:one]);
SELECT id - :one AS job, status, error ->> 'code' AS code FROM sync_job_internal.act_on_jobs('pause', ARRAY[:large]);
SELECT id - :one AS job, job IS NOT NULL AS again, error ->> 'code' AS code FROM sync_job_internal.act_on_jobs('rerun', ARRAY[:one]);
\c - regress_app
SELECT id - :one AS job, job - :large AS again, error ->> 'code' AS code FROM sync_job_internal.act_on_jobs('rerun', ARRAY[:one, :large], '{"again": true}');
SELECT id - :large AS job, status, context FROM sync_job WHERE id > :large;
\set VERBOSITY terse
SELECT * FROM sync_job_internal.act_on_jobs('forget', ARRAY[:one]);
SELECT * FROM sync_job_internal.act_on_jobs(NULL, ARRAY[:one]);
SELECT * FROM sync_job_internal.act_on_jobs('start', ARRAY(SELECT generate_series(1, 501)));

\c - postgres
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_app, regress_clerk, regress_operator, regress_other;
DROP ROLE regress_app, regress_clerk, regress_operator, regress_other;
