-- Mallory may create functions, tables, types, operators, casts, triggers, and enqueue. Whatever she defines, its code runs
-- with her own rights, or with those of a role that has chosen to use it, and never as the extension's owner.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET paused = true; -- what runs is run by hand
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_mallory LOGIN;
SELECT grant_sync_job_access('regress_app', 'manager'), grant_sync_job_access('regress_mallory', 'manager');
CREATE SCHEMA app AUTHORIZATION regress_app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;
CREATE SCHEMA mallory_sync AUTHORIZATION regress_mallory;
CREATE SCHEMA mallory_moves AUTHORIZATION regress_mallory;
CREATE SCHEMA mallory_leaves AUTHORIZATION regress_mallory;

-- Every piece of hers notes who runs it, and with which rights.
\c - regress_mallory
GRANT USAGE ON SCHEMA mallory, mallory_sync TO PUBLIC;
CREATE TABLE mallory.caught (what text, as_role name, session name, superuser boolean);
GRANT INSERT, SELECT ON mallory.caught TO PUBLIC;
CREATE FUNCTION mallory.catch(what text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO mallory.caught VALUES (what, current_user, session_user, current_setting('is_superuser')::boolean);
    RETURN true;
END $$;

-- ---- What the engine does with a document by itself: to and from text and jsonb, comparing, keying ----
CREATE TYPE mallory.pair AS (a integer, b text);
CREATE TYPE mallory.mood AS ENUM ('fine', 'bad');
CREATE DOMAIN mallory.word AS text CHECK (mallory.catch('domain check'));
CREATE TYPE mallory.words AS (w mallory.word);
CREATE FUNCTION mallory.pair_to_json(mallory.pair) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to json');
    RETURN '1';
END $$;
CREATE FUNCTION mallory.mood_to_json(mallory.mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to json');
    RETURN '1';
END $$;
CREATE FUNCTION mallory.mood_to_jsonb(mallory.mood) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to jsonb');
    RETURN '1';
END $$;
CREATE FUNCTION mallory.mood_to_text(mallory.mood) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to text');
    RETURN '1';
END $$;
CREATE CAST (mallory.pair AS json) WITH FUNCTION mallory.pair_to_json(mallory.pair) AS IMPLICIT;
CREATE CAST (mallory.mood AS json) WITH FUNCTION mallory.mood_to_json(mallory.mood) AS IMPLICIT;
CREATE CAST (mallory.mood AS jsonb) WITH FUNCTION mallory.mood_to_jsonb(mallory.mood) AS IMPLICIT;
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.mood_to_text(mallory.mood) AS IMPLICIT;
CREATE FUNCTION mallory.equal(mallory.mood, mallory.mood) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator =');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.equal, LEFTARG = mallory.mood, RIGHTARG = mallory.mood);
CREATE FUNCTION mallory.equal_pair(mallory.pair, mallory.pair) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator =');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.equal_pair, LEFTARG = mallory.pair, RIGHTARG = mallory.pair);
CREATE TABLE mallory.bait (mood mallory.mood, pair mallory.pair, word mallory.word, words mallory.words[], t integer,
    PRIMARY KEY (mood, pair));
GRANT SELECT, INSERT, UPDATE, DELETE ON mallory.bait TO PUBLIC;
ALTER TABLE mallory.bait OWNER TO regress_mallory;
INSERT INTO mallory.bait VALUES ('fine', '(1,x)', 'w', ARRAY['(v)']::mallory.words[], 7);
TRUNCATE mallory.caught;
SELECT to_jsonb(b) IS NOT NULL AS ok FROM mallory.bait AS b; -- what the engine must not do
SELECT DISTINCT what FROM mallory.caught ORDER BY what;
TRUNCATE mallory.caught;
-- Anybody who asks for the document, a superuser, too. An implicit cast of a key's type must not choose the operator.
\c - postgres
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
\c - regress_mallory
DROP CAST (mallory.mood AS jsonb);
\c - postgres
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
\c - regress_mallory
SELECT * FROM mallory.caught;
DROP CAST (mallory.mood AS text);
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.mood_to_text(mallory.mood) AS ASSIGNMENT;
CREATE CAST (mallory.mood AS jsonb) WITH FUNCTION mallory.mood_to_jsonb(mallory.mood) AS ASSIGNMENT;
\c - postgres
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
\c - regress_mallory
SELECT * FROM mallory.caught;
-- Enqueueing and triggers: the key is made canonical as who asks, by type I/O only.
CREATE FUNCTION mallory_sync.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('insert')
$$;
CREATE FUNCTION mallory_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT (source_doc || '{"mood": "bad"}'::jsonb) - 'word'::text - 'words'::text
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, verbose_logging)
VALUES ('Bait', 'mallory.bait', 'mallory.bait', 'mallory_sync', true);
SELECT attach_sync_job_triggers('Bait', 'mallory.bait');
SELECT attach_sync_job_triggers('Bait', 'mallory.bait', level => 'statement');
DELETE FROM mallory.caught;
\c - postgres
UPDATE mallory.bait SET t = 8;
DELETE FROM mallory.bait;
INSERT INTO mallory.bait (mood, pair) VALUES ('fine', '(1,x)');
SELECT enqueue_sync_job('Bait', '["fine", "(1,x)"]') IS NOT NULL AS ok;
SELECT count(enqueue_sync_job('Bait', b)) FROM mallory.bait AS b;
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
SELECT status FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued' ORDER BY id OFFSET 1));
SELECT severity, message FROM validate_sync_job_type('Bait');
SELECT clear_old_sync_jobs(0), auto_retry_failed_sync_jobs();
\c - regress_mallory
SELECT * FROM mallory.caught WHERE what <> 'domain check'; -- that is what INSERT does
-- The job itself, with her own rights; its diff and snapshots are made without her casts.
SELECT status, operation, diff_summary -> 'mood' AS mood FROM execute_sync_job((SELECT min(id) FROM sync_job WHERE status = 'Queued'));
SELECT DISTINCT what, as_role, superuser FROM mallory.caught;

-- ---- An operator on a domain, found by the name of the base type's ----
\c - postgres
SET client_min_messages = warning; -- the notices differ from server to server
CREATE TYPE mallory.number; -- a base type, as an extension's is: its = is the real one
CREATE FUNCTION mallory.number_in(cstring) RETURNS mallory.number LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION mallory.number_out(mallory.number) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE mallory.number (INPUT = mallory.number_in, OUTPUT = mallory.number_out, LIKE = integer);
RESET client_min_messages;
CREATE FUNCTION mallory.number_eq(mallory.number, mallory.number) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION mallory.number_cmp(mallory.number, mallory.number) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE OPERATOR mallory.= (FUNCTION = mallory.number_eq, LEFTARG = mallory.number, RIGHTARG = mallory.number);
CREATE OPERATOR CLASS mallory.number_ops DEFAULT FOR TYPE mallory.number USING btree AS
    OPERATOR 3 mallory.=, FUNCTION 1 mallory.number_cmp(mallory.number, mallory.number);
\c - regress_app
CREATE DOMAIN app.number AS mallory.number;
CREATE TABLE app.numbers (n app.number, v text);
INSERT INTO app.numbers VALUES ('1', 'one');
GRANT SELECT ON app.numbers TO PUBLIC;
\c - regress_mallory
CREATE FUNCTION mallory.number_trap(app.number, mallory.number) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator of a domain');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.number_trap, LEFTARG = app.number, RIGHTARG = mallory.number);
CREATE FUNCTION mallory.number_trap(app.number, app.number) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator of a domain');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.number_trap, LEFTARG = app.number, RIGHTARG = app.number);
TRUNCATE mallory.caught;
\c - regress_app
CREATE FUNCTION app.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('diff', source_doc) $$;
INSERT INTO sync_job_type (name, source_document_type, source_key, module) VALUES ('Numbers', 'app.numbers', '{n}', 'app');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Numbers', '1'));
SELECT * FROM mallory.caught;

-- ---- Names ----
-- A column that is called like the row.
\c - regress_mallory
CREATE TABLE mallory.t (id integer PRIMARY KEY, t integer, t_ text);
INSERT INTO mallory.t VALUES (1, 2, 'three');
SELECT get_sync_document('mallory.t', '1');
-- Names that end a comment, a quote, a dollar quote.
CREATE TABLE mallory."x
SELECT mallory.catch('boilerplate'); --" (id integer PRIMARY KEY, "$function$; SELECT mallory.catch('boilerplate'); --" text);
CREATE TABLE mallory.y (id integer PRIMARY KEY, "$function$; SELECT mallory.catch('boilerplate'); --" text, "$target$" text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES (E'y\nSELECT mallory.catch(''boilerplate''); --',
    E'mallory."x\nSELECT mallory.catch(''boilerplate''); --"', 'mallory.y', E'z\nSELECT mallory.catch(''boilerplate''); --');
\c - postgres
BEGIN;
SELECT create_sync_job_boilerplate(name) FROM sync_job_type WHERE name LIKE 'y%' \gexec
SELECT count(*) AS functions FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname LIKE 'z%');
SELECT * FROM mallory.caught;
ROLLBACK;
SELECT create_sync_job_boilerplate(name, 'plpython3u') FROM sync_job_type WHERE name LIKE 'y%';
-- A name that is SQL, where the engine makes SQL of names.
\c - regress_mallory
CREATE TABLE mallory."a"";SELECT mallory.catch('name');--" ("k"";SELECT mallory.catch('name');--" text PRIMARY KEY);
INSERT INTO mallory."a"";SELECT mallory.catch('name');--" VALUES ('''); SELECT mallory.catch(''name''); --');
INSERT INTO sync_job_type (name, source_document_type, module, run_as)
VALUES ('''); SELECT mallory.catch(''name''); --', 'mallory."a"";SELECT mallory.catch(''name'');--"', 'mallory_sync', 'regress_mallory');
SELECT attach_sync_job_triggers(name, source_document_type) FROM sync_job_type WHERE name LIKE '''%';
SELECT enqueue_sync_job(name, '''); SELECT mallory.catch(''name''); --') IS NOT NULL AS ok FROM sync_job_type WHERE name LIKE '''%';
SELECT detach_sync_job_triggers(name, source_document_type) FROM sync_job_type WHERE name LIKE '''%';
SELECT * FROM mallory.caught;

-- ---- A table that changes while a row of it is in use: no row is read as what it is not ----
CREATE TABLE mallory.moving (id integer PRIMARY KEY, v text, w text);
INSERT INTO mallory.moving VALUES (1, repeat('a', 50), repeat('b', 3000));
CREATE FUNCTION mallory_moves.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => '1')
$$;
CREATE FUNCTION mallory_moves.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc mallory.moving) RETURNS mallory.moving LANGUAGE plpgsql AS $$
DECLARE
    r mallory.moving;
BEGIN
    EXECUTE 'ALTER TABLE mallory.moving ALTER v TYPE bigint USING 81985529216486895';
    EXECUTE 'SELECT * FROM mallory.moving' INTO r;
    RETURN r;
END $$;
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Moves', 'mallory.moving', 'mallory_moves');
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Moves'));
CREATE OR REPLACE FUNCTION mallory_moves.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc mallory.moving) RETURNS mallory.moving LANGUAGE plpgsql AS $$
BEGIN
    target_doc.w := 'changed';
    RETURN target_doc;
END $$;
CREATE FUNCTION mallory_moves.before_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER TABLE mallory.moving ALTER v TYPE bigint USING 81985529216486895';
END $$;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Moves'));
CREATE OR REPLACE FUNCTION mallory_moves.before_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER TABLE mallory.moving ADD x text';
    EXECUTE 'CREATE INDEX ON mallory.moving (w)';
END $$;
-- Some servers refuse to take the row apart after that ("using outdated tuple descriptor"), some can.
SELECT status IN ('Finished', 'Failed') AS ended FROM execute_sync_job(enqueue_sync_job('Moves'));
SELECT id, v, w IN (repeat('b', 3000), 'changed') AS w_is_whole, to_jsonb(m)->>'x' AS x FROM mallory.moving AS m;
UPDATE mallory.moving SET w = repeat('b', 3000);
CREATE OR REPLACE FUNCTION mallory_moves.before_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE INDEX ON mallory.moving (w)'; -- as good as no change
END $$;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Moves'));

-- ---- What a job leaves behind in the session that runs it by hand ----
\c - postgres
GRANT regress_app TO regress_mallory;
\c - regress_mallory
CREATE FUNCTION mallory_leaves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    SET search_path = mallory;
    SET statement_timeout = '1h';
    SET ROLE regress_app;
    RETURN jsonb_build_object('diff', current_user);
END $$;
INSERT INTO sync_job_type (name, module) VALUES ('Leaves', 'mallory_leaves');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Leaves'));
SELECT current_user, current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout, current_sync_job();
-- More rights than her own are not to be had by it.
CREATE OR REPLACE FUNCTION mallory_leaves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        SET SESSION AUTHORIZATION postgres;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'session: %', SQLERRM;
    END;
    BEGIN
        SET ROLE postgres;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'role: %', SQLERRM;
    END;
    BEGIN
        SET sync_job.enabled = off;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'setting: %', SQLERRM;
    END;
    BEGIN
        SET sync_job.max_workers = 64;
    EXCEPTION WHEN cant_change_runtime_param THEN
        RAISE NOTICE 'setting: %', SQLERRM;
    END;
    BEGIN
        SET sync_job.no_such = 'x';
    EXCEPTION WHEN invalid_name OR undefined_object THEN
        RAISE NOTICE 'setting: %', SQLERRM;
    END;
    BEGIN
        CALL sync_job_internal.run_committing_job((sync_job ->> 'id')::bigint);
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'committing: %', SQLERRM;
    END;
    BEGIN
        PERFORM sync_job_internal.wake_launcher();
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'launcher: %', SQLERRM;
    END;
    RESET ROLE;
    RESET SESSION AUTHORIZATION;
    RETURN jsonb_build_object('diff', current_user);
END $$;
SELECT status, diff_summary, error_message FROM execute_sync_job(enqueue_sync_job('Leaves'));
SELECT current_user, session_user;
ALTER ROLE regress_mallory SET sync_job.enabled = off;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()); END $$;
\c - postgres
REVOKE regress_app FROM regress_mallory;

-- ---- Functions that are the engine's own ----
\c - regress_mallory
CALL sync_job_internal.run_committing_job(1);
SELECT sync_job_internal.wake_launcher();
SELECT sync_job_internal.check_type();
SELECT sync_job_internal.check_queue();
SELECT sync_job_internal.types_changed();
CREATE TABLE mallory.queue (LIKE sync_job_queue);
CREATE TRIGGER t BEFORE INSERT ON mallory.queue FOR EACH ROW EXECUTE FUNCTION sync_job_internal.check_queue();
CREATE TRIGGER t AFTER INSERT ON mallory.queue FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.types_changed();
SELECT sync_job_internal.has_level('manager'), sync_job_internal.has_level('operator', 'viewer'), sync_job_internal.has_level('no such level');
SELECT sync_job_internal.may_read('regress_app', 'regress_app', NULL), sync_job_internal.may_read('regress_mallory', 'regress_app', 'pg_authid');
SELECT sync_job_internal.waiting_elsewhere();
SELECT sync_job_internal.next_cron_time(repeat('1,', 10000) || '1 * * * *', '-infinity') IS NULL AS none;
SELECT adopt_sync_jobs();
SELECT clear_all_sync_jobs();
SELECT clear_old_sync_jobs(0);
CALL clear_sync_job_logs(0);
SELECT enable_sync_job_schedules();
SELECT disable_sync_job_schedules();
SELECT pause_sync_job_queue('default');
SELECT auto_retry_failed_sync_jobs();
SELECT grant_sync_job_access('regress_mallory', 'operator');
SELECT revoke_sync_job_access('regress_app', 'manager');
SELECT set_sync_job_checkpoint('{}');
SELECT get_sync_job_checkpoint();
SELECT report_sync_job_progress(50, 'not in a job');
CREATE TRIGGER t AFTER INSERT ON sync_job FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Bait');
CREATE RULE r AS ON INSERT TO sync_job_event DO ALSO SELECT 1;
CREATE POLICY p ON sync_job USING (true);
CREATE INDEX ON sync_job (mallory.catch(title));
COMMENT ON TABLE sync_job IS 'mine';
ALTER TABLE sync_job_type DISABLE TRIGGER ALL;
SET session_replication_role = replica;
-- An owner's rights come with his own objects only.
CREATE FUNCTION mallory.definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    SELECT enqueue_background_job('pg_catalog.pg_backend_pid', scheduled_at => '2100-01-01')
$$;
CREATE FUNCTION mallory.run(bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT status FROM execute_sync_job($1) $$;
CREATE FUNCTION mallory.drain() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN CALL run_sync_jobs(); END $$;
SELECT mallory.definer() AS job \gset
\c - postgres
SELECT run_as, owner FROM sync_job WHERE id = :job;
SELECT mallory.run(:job); -- her job, her function, a superuser's session
SELECT mallory.drain();
SET ROLE regress_mallory;
SELECT execute_sync_job(:job);
CALL run_sync_jobs();
RESET ROLE;

-- ---- A diff that somebody else has made up ----
\c - regress_mallory
CREATE TABLE mallory.victim (id integer PRIMARY KEY, v text);
INSERT INTO mallory.victim VALUES (1, 'now');
CREATE OR REPLACE FUNCTION mallory_leaves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"target_document_type": "app.target", "target_document_name": "1", "operation": "update",
             "diff": {"v": {"old": "forged", "new": "now"}}}'::jsonb
$$;
\c - regress_app
CREATE TABLE app.target (id integer PRIMARY KEY, v text);
INSERT INTO app.target VALUES (1, 'now');
\c - regress_mallory
SELECT enqueue_sync_job('Leaves') AS job \gset
SELECT status, target_document_type, diff_summary FROM execute_sync_job(:job);
SELECT revert_sync_job(:job); -- made by a bypass controller
DROP FUNCTION mallory_leaves.execute;
CREATE FUNCTION mallory_leaves.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$;
SELECT revert_sync_job(:job); -- as a standard one, with her own rights all the same
\c - regress_app
SELECT revert_sync_job(:job);
\c - postgres
SELECT revert_sync_job(:job);
SELECT * FROM app.target;
SELECT DISTINCT what, superuser FROM mallory.caught WHERE superuser OR as_role <> 'regress_mallory';

SET client_min_messages = warning;
DROP SCHEMA app, mallory, mallory_sync, mallory_moves, mallory_leaves CASCADE;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_app, regress_mallory;
DROP ROLE regress_app, regress_mallory;
