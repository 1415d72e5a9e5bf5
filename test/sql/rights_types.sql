-- Who may make and change a job type, and whose code its jobs run.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET paused = true; -- what runs is run by hand
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_boss LOGIN IN ROLE regress_app;
CREATE ROLE regress_mallory LOGIN;
CREATE ROLE regress_nologin;
GRANT regress_nologin TO regress_app;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_app, regress_mallory', current_database()); END $$;

\c - regress_app
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE TABLE app.source (id integer PRIMARY KEY, v text);
CREATE TABLE app.target (id integer PRIMARY KEY, v text);
INSERT INTO app.source VALUES (1, 'one'), (2, 'two');
CREATE SCHEMA app_sync;
CREATE FUNCTION app_sync.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object('operation', 'update', 'diff', jsonb_build_object('by', current_user));
END $$;
\c - postgres

-- Without the level manager nobody makes, changes or drops a type, not even for himself.
SELECT grant_sync_job_access('regress_boss', 'operator'), grant_sync_job_access('regress_boss', 'viewer');
\c - regress_boss
INSERT INTO sync_job_type (name, target_document_type) VALUES ('App Sync', 'app.target');
UPDATE sync_job_type SET priority = 1;
DELETE FROM sync_job_type;
\c - postgres
SELECT grant_sync_job_access('regress_boss', 'manager'), grant_sync_job_access('regress_app', 'manager'),
    grant_sync_job_access('regress_mallory', 'manager');

-- The role is the target's owner, else the source's, else the one who inserts; who inserts must be able to become it.
\c - regress_boss
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('App Sync', 'app.source', 'app.target');
INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('From App', 'app.source', 'app_sync');
INSERT INTO sync_job_type (name, module) VALUES ('Plain', 'app_sync');
SELECT name, run_as FROM sync_job_type ORDER BY name;
INSERT INTO sync_job_type (name, run_as) VALUES ('As Mallory', 'regress_mallory');
INSERT INTO sync_job_type (name, run_as) VALUES ('As Superuser', 'postgres');
INSERT INTO sync_job_type (name, run_as) VALUES ('As Nobody', 4711);
-- Both the old role and the new one.
UPDATE sync_job_type SET run_as = 'regress_mallory' WHERE name = 'Plain';
\c - regress_app
UPDATE sync_job_type SET run_as = 'regress_app' WHERE name = 'Plain'; -- regress_boss's
UPDATE sync_job_type SET description = 'mine' WHERE name = 'App Sync';
\c - regress_mallory
SELECT name FROM sync_job_type ORDER BY name; -- every level sees all of them
UPDATE sync_job_type SET run_as = 'regress_mallory', module = 'evil';
DELETE FROM sync_job_type;
INSERT INTO sync_job_type (name, run_as) VALUES ('App Sync', 'regress_mallory') ON CONFLICT (name) DO UPDATE SET run_as = 'regress_mallory';
-- Another's table as target, with his own rights, is his own affair.
INSERT INTO sync_job_type (name, target_document_type, run_as) VALUES ('On App', 'app.target', 'regress_mallory');
DELETE FROM sync_job_type WHERE name = 'On App';

-- The table cannot be locked by those who may only try to insert: all jobs would wait.
\c - postgres
SELECT revoke_sync_job_access('regress_mallory', 'manager');
\c - regress_mallory
BEGIN;
LOCK TABLE sync_job_type IN ACCESS EXCLUSIVE MODE;
ROLLBACK;
BEGIN;
LOCK TABLE sync_job IN ROW EXCLUSIVE MODE;
ROLLBACK;
\c - postgres
SELECT grant_sync_job_access('regress_mallory', 'manager');

-- A superuser's rights are not for what others may change: tables, modules, functions; when the type is written …
CREATE TABLE public.super_target (id integer PRIMARY KEY, v text);
CREATE SCHEMA super_sync;
INSERT INTO sync_job_type (name, target_document_type, run_as) VALUES ('S', 'app.target', 'postgres');
INSERT INTO sync_job_type (name, source_document_type, run_as) VALUES ('S', 'app.source', 'postgres');
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('S', 'super_target', 'app_sync');
CREATE FUNCTION super_sync.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target
    LANGUAGE sql AS $$ SELECT sync_job_target('insert') $$;
CREATE FUNCTION super_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb
    LANGUAGE sql AS $$ SELECT jsonb_build_object('id', sync_job -> 'id', 'v', current_user) $$;
ALTER FUNCTION super_sync.update_target_doc OWNER TO regress_app;
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('S', 'super_target', 'super_sync');
ALTER FUNCTION super_sync.update_target_doc OWNER TO postgres;
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('S', 'super_target', 'super_sync');
SELECT status FROM execute_sync_job(enqueue_sync_job('S'));
-- … and whenever its jobs run, after something has changed hands in between. The session has the controller cached.
ALTER FUNCTION super_sync.update_target_doc OWNER TO regress_app;
SELECT status, split_part(error_message, E'\n', 1) AS error, retry_after IS NOT NULL AS again FROM execute_sync_job(enqueue_sync_job('S'));
ALTER FUNCTION super_sync.update_target_doc OWNER TO postgres;
ALTER SCHEMA super_sync OWNER TO regress_app;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('S'));
ALTER SCHEMA super_sync OWNER TO postgres;
ALTER TABLE super_target OWNER TO regress_mallory;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('S'));
ALTER TABLE super_target OWNER TO postgres;
SELECT status FROM execute_sync_job(enqueue_sync_job('S'));
-- Also where the controller chooses the table, or the job its source.
INSERT INTO sync_job_type (name, module, run_as) VALUES ('Open', 'super_open', 'postgres');
CREATE SCHEMA super_open;
CREATE FUNCTION super_open.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target
    LANGUAGE sql AS $$ SELECT sync_job_target('insert', 'app.target') $$;
CREATE FUNCTION super_open.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb
    LANGUAGE sql AS $$ SELECT '{"id": 1}'::jsonb $$;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Open'));
SELECT status, split_part(error_message, E'\n', 1) AS error
FROM execute_sync_job(enqueue_sync_job('Open', '1', source_document_type => 'app.source'));
-- A role that becomes a superuser later does not bring its tables along.
\c - regress_app
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('From App', '1'));
\c - postgres
CREATE ROLE regress_fresh LOGIN SUPERUSER;
GRANT regress_app TO regress_fresh;
UPDATE sync_job_type SET run_as = 'regress_fresh' WHERE name = 'From App';
ALTER ROLE regress_fresh NOSUPERUSER;
UPDATE sync_job_type SET run_as = 'regress_fresh' WHERE name = 'From App';
ALTER ROLE regress_fresh SUPERUSER;
\c - regress_fresh
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('From App', '1'));
\c - postgres
ALTER ROLE regress_fresh NOSUPERUSER;
UPDATE sync_job_type SET run_as = 'regress_app' WHERE name = 'From App';

-- A module and its functions belong to the job's role, a superuser, or one that may become the role.
\c - postgres
ALTER SCHEMA app_sync OWNER TO regress_mallory;
\c - regress_app
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('From App', '1'));
SELECT severity, object, message, hint FROM validate_sync_job_type('From App');
\c - postgres
ALTER SCHEMA app_sync OWNER TO regress_boss; -- who may become regress_app
GRANT USAGE ON SCHEMA app_sync TO regress_app;
ALTER FUNCTION app_sync.execute OWNER TO postgres;
\c - regress_app
SELECT status FROM execute_sync_job(enqueue_sync_job('From App', '1'));
\c - postgres
ALTER FUNCTION app_sync.execute OWNER TO regress_boss;
\c - regress_app
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('From App', '1')); -- as regress_app, whoever's function it is
-- That right may end, between two jobs of one session.
\c - postgres
REVOKE regress_app FROM regress_boss;
\c - regress_app
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('From App', '1'));
\c - postgres
ALTER SCHEMA app_sync OWNER TO regress_app;
ALTER FUNCTION app_sync.execute OWNER TO regress_app;
GRANT regress_app TO regress_boss;

-- Who may create in the module puts nothing of his own into it: the job fails, and runs nothing.
GRANT USAGE, CREATE ON SCHEMA app_sync TO regress_mallory;
\c - regress_mallory
CREATE FUNCTION app_sync.after_start(sync_job jsonb, source_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'mallory runs as %', current_user;
END $$;
\c - regress_app
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('From App', '1'));
\c - regress_mallory
DROP FUNCTION app_sync.after_start;
CREATE FUNCTION app_sync.execute(sync_job jsonb, source_doc jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
\c - regress_app
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('From App', '1'));
\c - regress_mallory
DROP FUNCTION app_sync.execute(jsonb, jsonb, jsonb);
\c - regress_app
-- A function is replaced by another owner's in the middle of a transaction that has it cached.
BEGIN;
SELECT status FROM execute_sync_job(enqueue_sync_job('From App', '1'));
ALTER FUNCTION app_sync.execute RENAME TO execute_before;
SET ROLE regress_nologin;
RESET ROLE;
CREATE FUNCTION app_sync.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"diff": "new"}'::jsonb $$;
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('From App', '1'));
ROLLBACK;
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('From App', '1'));
-- EXECUTE and USAGE are asked for, too.
REVOKE EXECUTE ON FUNCTION app_sync.execute FROM PUBLIC, regress_app;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('From App', '1'));
GRANT EXECUTE ON FUNCTION app_sync.execute TO regress_app;

-- A type that was dropped while a job of it waits for its retry, and made again by another: not with the old role's rights.
\c - regress_app
CREATE SCHEMA gone_sync;
CREATE FUNCTION gone_sync.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not today';
END $$;
INSERT INTO sync_job_type (name, module, run_as) VALUES ('Gone Sync', 'gone_sync', 'regress_app');
SELECT enqueue_sync_job('Gone Sync', retry_delay => '1 day') AS gone \gset
SELECT status, run_as FROM execute_sync_job(:gone);
DELETE FROM sync_job_type WHERE name = 'Gone Sync';
\c - regress_mallory
CREATE SCHEMA evil;
CREATE FUNCTION evil.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object('diff', 'mallory runs as ' || current_user);
END $$;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
INSERT INTO sync_job_type (name, module, run_as) VALUES ('Gone Sync', 'evil', 'regress_mallory');
\c - regress_app
SELECT status, diff_summary, error_message FROM execute_sync_job(:gone);
\c - postgres
DELETE FROM sync_job_type WHERE name = 'Gone Sync';
INSERT INTO sync_job_type (name, module, run_as) VALUES ('Gone Sync', 'super_sync', 'postgres');
\c - regress_app
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:gone); -- a superuser's is trusted

-- Nobody holds a type fast by a trigger of his own that names it.
\c - regress_mallory
CREATE TABLE evil.t (id integer PRIMARY KEY);
CREATE TRIGGER hold AFTER INSERT ON evil.t FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('App Sync');
INSERT INTO evil.t VALUES (1);
\c - regress_app
DELETE FROM sync_job_type WHERE name = 'App Sync';

\c - postgres
SET client_min_messages = warning;
DROP SCHEMA app, app_sync, gone_sync, evil, super_sync, super_open CASCADE;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_app, regress_boss, regress_mallory, regress_nologin, regress_fresh;
DROP ROLE regress_app, regress_boss, regress_mallory, regress_nologin, regress_fresh;
