-- ---------------------------------------------------------------------------------------------------------------------
-- What workers and sessions share
-- ---------------------------------------------------------------------------------------------------------------------

CREATE PROCEDURE sync_job_internal.run_committing_job(job bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_run_committing_job';
COMMENT ON PROCEDURE sync_job_internal.run_committing_job(bigint) IS 'a worker''s own way to run a job whose procedure commits';

CREATE FUNCTION sync_job_internal.wake_launcher() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sync_job_wake_launcher';
COMMENT ON FUNCTION sync_job_internal.wake_launcher() IS 'at commit, tells the launcher to serve this database';

CREATE FUNCTION sync_job_internal.activity(OUT pid integer, OUT queue text, OUT sync_job bigint,
        OUT sync_job_type text, OUT started_at timestamptz, OUT percent numeric, OUT title text, OUT description text,
        OUT run_as regrole, OUT state text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_activity';
COMMENT ON FUNCTION sync_job_internal.activity() IS 'the worker processes of this database, from shared memory';

CREATE FUNCTION sync_job_internal.waiting_elsewhere() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM sync_job_internal.home AS h, pg_catalog.pg_control_system() AS s
                   WHERE h.system_identifier OPERATOR(pg_catalog.<>) s.system_identifier
                      OR h.database OPERATOR(pg_catalog.<>) (SELECT d.oid FROM pg_catalog.pg_database AS d
                            WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()));
COMMENT ON FUNCTION sync_job_internal.waiting_elsewhere() IS 'true: the jobs came here with a dump or a copy, and nobody has called adopt_sync_jobs() yet';

SELECT sync_job_internal.wake_launcher();

