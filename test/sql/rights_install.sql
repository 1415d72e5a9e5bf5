-- CREATE EXTENSION by a superuser, where somebody who may create in its schema was there before.
CREATE ROLE regress_mallory LOGIN;
GRANT CREATE ON SCHEMA public TO regress_mallory;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_mallory', current_database()); END $$;

\c - regress_mallory
CREATE TABLE public.caught (what text, as_role name);
GRANT INSERT ON public.caught TO PUBLIC;
CREATE FUNCTION public.trap(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.caught VALUES (what, current_user);
    RETURN true;
END $$;
-- Operators that fit better than any of the server's.
DO $do$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM (VALUES
            ('=', 'oid', 'regnamespace', 'boolean', 'true'), ('<>', 'oid', 'regclass', 'boolean', 'true'),
            ('/', 'bigint', 'numeric', 'numeric', '1'), ('=', 'regrole', 'oid', 'boolean', 'true'),
            ('=', 'name', 'regclass', 'boolean', 'true'), ('=', 'oid', 'regrole', 'boolean', 'true'),
            ('=', 'regrole', 'regrole', 'boolean', 'true'), ('||', 'text', 'name', 'text', '$1'),
            ('-', 'timestamptz', 'timestamp', 'interval', 'NULL'))
            AS v (symbol, left_type, right_type, result, value) LOOP
        EXECUTE format('CREATE FUNCTION public.operator(%s, %s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap(%L); RETURN %s; END $$',
            t.left_type, t.right_type, t.result, t.left_type || t.symbol || t.right_type, t.value);
        EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.operator, LEFTARG = %s, RIGHTARG = %s)', t.symbol, t.left_type, t.right_type);
    END LOOP;
END $do$;
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT public.trap('now')::text::timestamptz $$;
CREATE FUNCTION public.format(text, regprocedure, text) RETURNS text LANGUAGE sql AS $$ SELECT public.trap('format')::text $$;
CREATE FUNCTION public.strpos(text, regclass) RETURNS integer LANGUAGE sql AS $$ SELECT public.trap('strpos')::integer $$;
CREATE FUNCTION public.pg_has_role(regrole, text) RETURNS boolean LANGUAGE sql AS $$ SELECT public.trap('pg_has_role') $$;
CREATE FUNCTION public.has_table_privilege(regclass, text) RETURNS boolean LANGUAGE sql AS $$ SELECT public.trap('has_table_privilege') $$;
CREATE FUNCTION public.pg_extension_config_dump(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('dump'); END $$;
TRUNCATE public.caught;
-- What the traps are worth: they catch who leaves the choice to his search_path.
\c - postgres
SELECT count(*) / 3.0 AS trapped FROM pg_am;
SELECT * FROM caught;
DELETE FROM caught;

-- An object of the extension's own that is there already stops it.
\set SHOW_CONTEXT never
\c - regress_mallory
CREATE SCHEMA sync_job_internal;
\c - postgres
CREATE EXTENSION pg_sync_job;
DROP SCHEMA sync_job_internal;
\c - regress_mallory
CREATE TYPE public.sync_job_target AS (operation text);
\c - postgres
CREATE EXTENSION pg_sync_job;
DROP TYPE public.sync_job_target;
\c - regress_mallory
CREATE FUNCTION public.enqueue_sync_job(params jsonb) RETURNS bigint LANGUAGE sql AS $$ SELECT 1::bigint $$;
\c - postgres
CREATE EXTENSION pg_sync_job;
DROP FUNCTION public.enqueue_sync_job(jsonb);
\c - regress_mallory
CREATE VIEW public.sync_job_queue AS SELECT 1 AS name;
\c - postgres
CREATE EXTENSION pg_sync_job;
DROP VIEW public.sync_job_queue;
\set SHOW_CONTEXT errors

CREATE EXTENSION pg_sync_job;
SELECT * FROM caught;
-- Nor does what it has made fall into them, for whoever uses it.
UPDATE sync_job_queue SET paused = true; -- what runs is run by hand
INSERT INTO sync_job_type (name, module) VALUES ('Some', 'none');
SELECT enqueue_sync_job('Some', max_retries => 0) AS job \gset
SELECT status FROM execute_sync_job(:job);
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', job_id => 'b') AS job_b \gset
SELECT status FROM execute_sync_job(:job_b);
CALL run_sync_jobs();
SELECT count(*) > 0 AS any FROM sync_job_stats;
SELECT count(*) > 0 AS any FROM sync_job_queue_status;
SELECT count(*) > 0 AS any FROM sync_job_recent;
SELECT count(*) > 0 AS any FROM sync_job_relay;
SELECT count(*) >= 0 AS any FROM sync_job_activity;
SELECT count(*) > 0 AS any FROM sync_job_schedules;
SELECT status FROM get_sync_job_status(:job);
SELECT status FROM get_sync_job_status('b');
SELECT (sync_job_target('insert')).operation, (sync_job_result()).operation;
CALL clear_sync_job_logs(0);
SELECT count(*) AS errors FROM sync_job_error;
SELECT sync_job_internal.waiting_elsewhere();
\c - regress_mallory
SELECT count(*) FROM sync_job; -- the policies
SELECT count(*) FROM sync_job_error;
SELECT count(*) FROM sync_job_type;
SELECT count(*) FROM sync_job_schedule;
\c - postgres
SELECT * FROM caught;

SET client_min_messages = warning;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_mallory CASCADE;
DROP ROLE regress_mallory;
