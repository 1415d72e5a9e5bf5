-- Health check: every five minutes, whether jobs wait too long or fail too often.
CREATE SCHEMA health_check;

CREATE TABLE health_check.finding (
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    what     text NOT NULL
);

CREATE FUNCTION health_check.run(longest_wait interval DEFAULT '15 minutes', most_failed integer DEFAULT 10) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    found integer;
BEGIN
    INSERT INTO health_check.finding (what)
    SELECT format('queue %s: %s jobs wait, the first since %s', q.queue, q.waiting, q.oldest_waiting)
    FROM sync_job_queue_status AS q WHERE NOT q.paused AND q.oldest_waiting < clock_timestamp() - longest_wait
    UNION ALL
    SELECT format('type %s: %s jobs failed for good within the last hour', f.sync_job_type, f.jobs)
    FROM (SELECT j.sync_job_type, count(*) AS jobs FROM sync_job AS j
          WHERE j.status = 'Failed' AND j.retry_after IS NULL AND j.ended_at > now() - interval '1 hour'
          GROUP BY j.sync_job_type) AS f
    WHERE f.jobs > most_failed
    UNION ALL
    SELECT format('type %s: its set-up is broken since %s: %s', e.sync_job_type, e.since, e.message) FROM sync_job_setup_error AS e;
    GET DIAGNOSTICS found = ROW_COUNT;
    IF found > 0 THEN
        PERFORM publish_sync_job_event('health_check', jsonb_build_object('findings', found));
    END IF;
    RETURN found;
END $$;
