-- ---------------------------------------------------------------------------------------------------------------------
-- Schedules, by pg_cron
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.schedule_sync_job(name text, schedule text, sync_job_type text DEFAULT NULL,
        procedure text DEFAULT NULL, params jsonb DEFAULT NULL, queue text DEFAULT NULL, overlap boolean DEFAULT false)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_schedule_job';
COMMENT ON FUNCTION @extschema@.schedule_sync_job(text, text, text, text, jsonb, text, boolean) IS 'has pg_cron enqueue a job of the type, or a background job of the procedure, by a cron expression (UTC) or a word: all, hourly, daily, weekly, monthly, each also with _long (queue long); none while the last one waits or runs, unless overlap';
CREATE FUNCTION @extschema@.schedule_full_sync(name text, schedule text, sync_job_type text, condition text DEFAULT NULL,
        dry_run boolean DEFAULT false, delete_surplus boolean DEFAULT false, max_change_percent numeric DEFAULT 50,
        max_changes bigint DEFAULT NULL, max_delete_percent numeric DEFAULT 10, documents_per_second integer DEFAULT NULL,
        chunk_size integer DEFAULT 500, check_first boolean DEFAULT false, adopt boolean DEFAULT false, queue text DEFAULT NULL,
        priority integer DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_schedule_full_sync';
COMMENT ON FUNCTION @extschema@.schedule_full_sync(text, text, text, text, boolean, boolean, numeric, bigint, numeric, integer, integer, boolean, boolean, text, integer) IS 'has pg_cron enqueue a full sync of the type, with the arguments of enqueue_full_sync(), as schedule_sync_job() does for a job; none while another full sync of the type has not ended';
CREATE FUNCTION @extschema@.unschedule_sync_job(name text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_unschedule_job';
COMMENT ON FUNCTION @extschema@.unschedule_sync_job(text) IS 'ends a schedule; for its owner';
CREATE FUNCTION @extschema@.pause_sync_job_schedule(name text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause_schedule';
COMMENT ON FUNCTION @extschema@.pause_sync_job_schedule(text) IS 'enqueues nothing for the schedule until it is resumed; by its owner, or an operator';
CREATE FUNCTION @extschema@.resume_sync_job_schedule(name text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_resume_schedule';
COMMENT ON FUNCTION @extschema@.resume_sync_job_schedule(text) IS 'lets a paused schedule go on at its next time; by its owner, or an operator';
CREATE FUNCTION @extschema@.run_sync_job_schedule(name text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_run_schedule';
COMMENT ON FUNCTION @extschema@.run_sync_job_schedule(text) IS 'enqueues the job of a schedule now, as pg_cron does; returns its id; NULL: the schedule is paused';

CREATE PROCEDURE @extschema@.clear_sync_job_logs(days integer DEFAULT NULL)
    LANGUAGE plpgsql
    AS $$
DECLARE
    keep integer := coalesce(days, pg_catalog.current_setting('sync_job.log_retention_days')::pg_catalog.int4);
    step CONSTANT integer := 10000;
    cleared bigint;
BEGIN
    LOOP
        EXIT WHEN keep OPERATOR(pg_catalog.<) 0; -- for ever
        cleared := @extschema@.clear_old_sync_jobs(keep, step);
        COMMIT;
        EXIT WHEN cleared OPERATOR(pg_catalog.<) step;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.clear_sync_job_logs(integer) IS 'clear_old_sync_jobs() in steps, each committed; days: default sync_job.log_retention_days';

CREATE FUNCTION @extschema@.enable_sync_job_schedules(OUT cron_job text) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enable_schedules';
COMMENT ON FUNCTION @extschema@.enable_sync_job_schedules() IS 'has pg_cron call auto_retry_failed_sync_jobs() every minute and clear_sync_job_logs() every night; returns the names of its jobs';
CREATE FUNCTION @extschema@.disable_sync_job_schedules() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_disable_schedules';
COMMENT ON FUNCTION @extschema@.disable_sync_job_schedules() IS 'removes both from pg_cron';

CREATE FUNCTION sync_job_internal.next_cron_time(cron text, after timestamptz) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sync_job_next_cron_time';
COMMENT ON FUNCTION sync_job_internal.next_cron_time(text, timestamptz) IS 'the next time that a cron expression names, in UTC; NULL: it is invalid, or names none';

CREATE VIEW @extschema@.sync_job_schedules WITH (security_invoker = true) AS
    SELECT s.name, s.schedule, coalesce(s.sync_job_type, s.procedure) AS enqueues, s.params, s.queue, s.overlap, s.owner,
        CASE WHEN NOT s.paused THEN sync_job_internal.next_cron_time(s.cron, pg_catalog.now()) END AS next_run,
        j.id AS last_sync_job, j.created_at AS last_run, j.status AS last_status, j.error_message AS last_error, s.paused,
        s.owner::pg_catalog.text AS owner_name
    FROM @extschema@.sync_job_schedule AS s
    LEFT JOIN LATERAL (SELECT i.id, i.created_at, i.status, i.error_message FROM @extschema@.sync_job AS i
                       WHERE i.job_id OPERATOR(pg_catalog.=) ('schedule:' OPERATOR(pg_catalog.||) s.name)
                       AND i.owner OPERATOR(pg_catalog.=) s.owner -- anybody may use that job_id
                       ORDER BY i.id DESC LIMIT 1) AS j ON true;
COMMENT ON VIEW @extschema@.sync_job_schedules IS 'The schedules, with their next run and the outcome of the last one';
COMMENT ON COLUMN @extschema@.sync_job_schedules.name IS 'name of the schedule';
COMMENT ON COLUMN @extschema@.sync_job_schedules.schedule IS 'as it was given';
COMMENT ON COLUMN @extschema@.sync_job_schedules.enqueues IS 'the job type or procedure';
COMMENT ON COLUMN @extschema@.sync_job_schedules.params IS 'the other parameters of the job';
COMMENT ON COLUMN @extschema@.sync_job_schedules.queue IS 'the queue, if one was given';
COMMENT ON COLUMN @extschema@.sync_job_schedules.overlap IS 'true: enqueue even while the last job waits or runs';
COMMENT ON COLUMN @extschema@.sync_job_schedules.owner IS 'who created it';
COMMENT ON COLUMN @extschema@.sync_job_schedules.next_run IS 'when it is due next (pg_cron''s clock is UTC)';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_sync_job IS 'the last job it has enqueued, where that is still kept';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_run IS 'when that was enqueued';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_status IS 'its state';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_error IS 'its error';
COMMENT ON COLUMN @extschema@.sync_job_schedules.paused IS 'true: it enqueues nothing';
COMMENT ON COLUMN @extschema@.sync_job_schedules.owner_name IS 'the same as owner, as text, for comparisons';
