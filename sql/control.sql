-- ---------------------------------------------------------------------------------------------------------------------
-- Steering jobs
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.start_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start';
COMMENT ON FUNCTION @extschema@.start_sync_job(bigint) IS 'queues a Pending job; any other state is an error';
CREATE FUNCTION @extschema@.start_sync_job(ids bigint[]) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start_many';
COMMENT ON FUNCTION @extschema@.start_sync_job(bigint[]) IS 'queues those of the jobs that are Pending, and returns them';

CREATE FUNCTION @extschema@.retry_sync_job(id bigint, context jsonb DEFAULT NULL) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint, jsonb) IS 'queues a Failed job again, with another context where one is given; any other state is an error';
CREATE FUNCTION @extschema@.retry_sync_job(ids bigint[], context jsonb DEFAULT NULL) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry_many';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint[], jsonb) IS 'queues those of the jobs again that are Failed, and returns them';

CREATE FUNCTION @extschema@.cancel_sync_job(id bigint, reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint, text, boolean) IS 'cancels a job that is Pending, Queued or Failed, with running => true also one that runs (at once, whatever becomes of the calling transaction); any other state is an error';
CREATE FUNCTION @extschema@.cancel_sync_job(ids bigint[], reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel_many';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint[], text, boolean) IS 'cancels those of the jobs that can be, and returns them';

CREATE FUNCTION @extschema@.execute_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_execute';
COMMENT ON FUNCTION @extschema@.execute_sync_job(bigint) IS 'runs a job that is Pending, Queued or Failed here and now, in this transaction, and returns it; only for the role the job runs as';
CREATE PROCEDURE @extschema@.execute_sync_job(id bigint, INOUT job @extschema@.sync_job)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_execute_call';
COMMENT ON PROCEDURE @extschema@.execute_sync_job(bigint, @extschema@.sync_job) IS 'CALL execute_sync_job(id, NULL): as the function, in transactions of its own; for controllers that COMMIT';

CREATE PROCEDURE @extschema@.run_sync_jobs(queue text DEFAULT NULL, max_jobs integer DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_run_jobs';
COMMENT ON PROCEDURE @extschema@.run_sync_jobs(text, integer) IS 'runs the due jobs of the current role here and now: of one queue or all, all or at most max_jobs; commits as it goes where it may';

CREATE PROCEDURE @extschema@.wait_for_sync_job(id bigint, timeout interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_wait';
COMMENT ON PROCEDURE @extschema@.wait_for_sync_job(bigint, interval) IS 'returns when the job has ended (a Failed one when no retry is to come); an error when that takes longer than timeout (NULL: however long it takes)';

CREATE FUNCTION @extschema@.current_sync_job() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_current';
COMMENT ON FUNCTION @extschema@.current_sync_job() IS 'the id of the job that runs in this session, else NULL: for triggers that must not echo what a sync writes';

CREATE FUNCTION @extschema@.adopt_sync_jobs() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_adopt';
COMMENT ON FUNCTION @extschema@.adopt_sync_jobs() IS 'lets the workers run the jobs of this database after it has been restored or copied from elsewhere';

