-- ---------------------------------------------------------------------------------------------------------------------
-- What workers and sessions share
-- ---------------------------------------------------------------------------------------------------------------------

CREATE PROCEDURE sync_job_internal.run_committing_job(job bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_run_committing_job';
COMMENT ON PROCEDURE sync_job_internal.run_committing_job(bigint) IS 'called by workers to run a job whose procedure commits';

CREATE FUNCTION sync_job_internal.wake_launcher() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sync_job_wake_launcher';
COMMENT ON FUNCTION sync_job_internal.wake_launcher() IS 'at commit, tells the launcher to serve this database';

CREATE FUNCTION sync_job_internal.activity(OUT pid integer, OUT queue text, OUT sync_job bigint,
        OUT sync_job_type text, OUT started_at timestamptz, OUT percent numeric, OUT title text, OUT description text,
        OUT run_as regrole, OUT state text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_activity';
COMMENT ON FUNCTION sync_job_internal.activity() IS 'the worker processes of this database, from shared memory';

-- Called by a view that must also be readable with an older library. So each is wrapped in a function whose body is not looked
-- at before it is called.
CREATE FUNCTION sync_job_internal.find_trouble_of_queue(queue text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_trouble_of_queue';
COMMENT ON FUNCTION sync_job_internal.find_trouble_of_queue(text) IS 'what trouble_of_queue() returns';
CREATE FUNCTION sync_job_internal.trouble_of_queue(queue text) RETURNS text
    LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
    AS 'SELECT sync_job_internal.find_trouble_of_queue($1)';
COMMENT ON FUNCTION sync_job_internal.trouble_of_queue(text) IS 'why jobs of the queue wait, as far as the cause is the launcher, the scheduler or the workers; and the job types that its workers run alone, because jobs of them took too long for a batch; NULL: nothing of the kind';

-- False only if all rows of home, normally one, are of this server and database; true if there is none.
CREATE FUNCTION sync_job_internal.waiting_elsewhere() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(pg_catalog.bool_or(h.system_identifier OPERATOR(pg_catalog.<>) s.system_identifier
                            OR h.database OPERATOR(pg_catalog.<>) (SELECT d.oid FROM pg_catalog.pg_database AS d
                                WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())), true)
          FROM sync_job_internal.home AS h CROSS JOIN pg_catalog.pg_control_system() AS s $$;
COMMENT ON FUNCTION sync_job_internal.waiting_elsewhere() IS 'true: the jobs came here with a dump or a copy, and nobody has called adopt_sync_jobs() yet';
CREATE FUNCTION sync_job_internal.find_in_the_way() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_in_the_way';
COMMENT ON FUNCTION sync_job_internal.find_in_the_way() IS 'what in_the_way() returns';
CREATE FUNCTION sync_job_internal.in_the_way() RETURNS text
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
    AS 'SELECT sync_job_internal.find_in_the_way()';
COMMENT ON FUNCTION sync_job_internal.in_the_way() IS 'what somebody has attached to the extension''s tables that keeps jobs from being written, or types from being trusted; NULL: nothing';

-- Only superusers may read that setting by themselves.
CREATE FUNCTION sync_job_internal.preloaded() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_catalog.strpos(pg_catalog.current_setting('shared_preload_libraries'), 'pg_sync_job') OPERATOR(pg_catalog.>) 0 $$;
COMMENT ON FUNCTION sync_job_internal.preloaded() IS 'true: the server loaded the library when it started, so there are workers';


CREATE FUNCTION @extschema@.pause_sync_job_queue(queue text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause_queue';
COMMENT ON FUNCTION @extschema@.pause_sync_job_queue(text) IS 'starts no more jobs of the queue; running jobs go on; for operators';
CREATE FUNCTION @extschema@.resume_sync_job_queue(queue text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_resume_queue';
COMMENT ON FUNCTION @extschema@.resume_sync_job_queue(text) IS 'starts the jobs of the queue again; for operators';
CREATE FUNCTION @extschema@.pause_sync_job_type(sync_job_type text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause_type';
COMMENT ON FUNCTION @extschema@.pause_sync_job_type(text) IS 'starts no more jobs of the type; running jobs go on, and triggers still enqueue; for operators, and roles that may become its run_as';
CREATE FUNCTION @extschema@.resume_sync_job_type(sync_job_type text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_resume_type';
COMMENT ON FUNCTION @extschema@.resume_sync_job_type(text) IS 'starts jobs of the type again: all that wait, in their order; for operators, and roles that may become its run_as';

CREATE FUNCTION @extschema@.auto_retry_failed_sync_jobs() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_auto_retry';
COMMENT ON FUNCTION @extschema@.auto_retry_failed_sync_jobs() IS 'queues the failed jobs whose retry_after has passed, at most 10,000, and returns how many: a safety net in addition to the workers'' own timers; for operators';

CREATE FUNCTION @extschema@.clear_old_sync_jobs(days integer DEFAULT 30, max_jobs integer DEFAULT 10000) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_clear_old';
COMMENT ON FUNCTION @extschema@.clear_old_sync_jobs(integer, integer) IS 'deletes jobs that ended more than that many days ago, with their errors, and equally old records of deleted documents; at most max_jobs; returns how many jobs it deleted';
CREATE FUNCTION @extschema@.clear_all_sync_jobs() RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_clear_all';
COMMENT ON FUNCTION @extschema@.clear_all_sync_jobs() IS 'deletes all jobs that have ended or failed for good, at most 100,000 per call; returns how many';

SELECT sync_job_internal.wake_launcher();

