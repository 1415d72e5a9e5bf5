\echo Use "ALTER EXTENSION pg_sync_job UPDATE TO '1.0.0'" to load this file. \quit

-- A server goes on with the library that it has loaded, whatever has been installed meanwhile. That of 0.1.0 does not tell its version.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
    IF pg_catalog.current_setting('sync_job.library_version', true) IS NULL THEN
        RAISE SQLSTATE '55000' USING MESSAGE := 'the library of pg_sync_job 0.1.0 is still loaded',
            HINT := 'Restart the server, then use ALTER EXTENSION pg_sync_job UPDATE.';
    END IF;
END $$;

CREATE FUNCTION sync_job_internal.types_alone(queue text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_types_alone';
COMMENT ON FUNCTION sync_job_internal.types_alone(text) IS 'the job types that workers of the queue run alone, as jobs of theirs took too long for a batch; NULL: none';
REVOKE ALL ON FUNCTION sync_job_internal.types_alone(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.types_alone(text) TO PUBLIC;

CREATE OR REPLACE VIEW @extschema@.sync_job_queue_status WITH (security_invoker = true) AS
    SELECT q.name AS queue, q.paused, q.max_workers,
        coalesce(w.workers, 0) AS workers, coalesce(w.running, 0) AS running,
        coalesce(j.waiting, 0) AS waiting, coalesce(j.scheduled, 0) AS scheduled, j.oldest_waiting,
        CASE WHEN NOT sync_job_internal.preloaded() THEN 'pg_sync_job is not preloaded'
             WHEN pg_catalog.string_to_array(v.library, '.')::pg_catalog.int4[] OPERATOR(pg_catalog.>) pg_catalog.string_to_array(v.extension, '.')::pg_catalog.int4[]
                 THEN 'waits for ALTER EXTENSION pg_sync_job UPDATE'
             WHEN coalesce(v.library, '') OPERATOR(pg_catalog.<>) v.extension THEN 'waits for a restart with the library of this version'
             WHEN sync_job_internal.waiting_elsewhere() THEN 'waits for adopt_sync_jobs()'
             WHEN q.paused THEN 'paused'
             WHEN NOT pg_catalog.current_setting('sync_job.enabled', true)::pg_catalog.bool THEN 'sync_job.enabled is off'
             ELSE 'types that run alone: ' OPERATOR(pg_catalog.||) sync_job_internal.types_alone(q.name)
        END AS note
    FROM @extschema@.sync_job_queue AS q
    CROSS JOIN (SELECT e.extversion AS extension, pg_catalog.current_setting('sync_job.library_version', true) AS library
                FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_sync_job') AS v
    LEFT JOIN (SELECT a.queue, pg_catalog.count(*) AS workers, pg_catalog.count(*) FILTER (WHERE a.state OPERATOR(pg_catalog.=) 'running') AS running
               FROM sync_job_internal.activity() AS a GROUP BY a.queue) AS w ON w.queue OPERATOR(pg_catalog.=) q.name
    LEFT JOIN (SELECT s.queue,
                   pg_catalog.count(*) FILTER (WHERE coalesce(s.scheduled_at, s.created_at) OPERATOR(pg_catalog.<=) pg_catalog.now()) AS waiting,
                   pg_catalog.count(*) FILTER (WHERE s.scheduled_at OPERATOR(pg_catalog.>) pg_catalog.now()) AS scheduled,
                   pg_catalog.min(coalesce(s.scheduled_at, s.created_at)) FILTER (WHERE coalesce(s.scheduled_at, s.created_at) OPERATOR(pg_catalog.<=) pg_catalog.now()) AS oldest_waiting
               FROM @extschema@.sync_job AS s WHERE s.status OPERATOR(pg_catalog.=) 'Queued' GROUP BY s.queue) AS j
        ON j.queue OPERATOR(pg_catalog.=) q.name;
COMMENT ON COLUMN @extschema@.sync_job_queue_status.note IS 'why nothing runs, where there is a reason; or which types run alone and slower, as jobs of theirs took too long for a batch';

-- The caller's own keys are as long as he likes: a hash of them is indexed.
DROP INDEX sync_job_internal.sync_job_live_group;
CREATE INDEX sync_job_live_group ON sync_job_internal.sync_job_live USING hash (job_group) WHERE job_group IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_live_job_id;
CREATE INDEX sync_job_live_job_id ON sync_job_internal.sync_job_live USING hash (job_id) WHERE job_id IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_failed_job_id;
CREATE INDEX sync_job_failed_job_id ON sync_job_internal.sync_job_failed USING hash (job_id) WHERE job_id IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_ended_job_id;
CREATE INDEX sync_job_ended_job_id ON sync_job_internal.sync_job_ended USING hash (job_id) WHERE job_id IS NOT NULL;

SELECT sync_job_internal.wake_launcher();
