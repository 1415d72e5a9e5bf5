-- ---------------------------------------------------------------------------------------------------------------------
-- Freshness and alerts
-- ---------------------------------------------------------------------------------------------------------------------

-- Kept by the scheduler, so that nobody has to read the whole history for it.
CREATE TABLE sync_job_internal.last_success (
    sync_job_type text COLLATE "C" PRIMARY KEY,
    at            timestamptz NOT NULL,
    compared_at   timestamptz,
    out_of_step   bigint
);
COMMENT ON TABLE sync_job_internal.last_success IS 'When a job of each type last ended well, and what the last comparison found';
COMMENT ON COLUMN sync_job_internal.last_success.sync_job_type IS 'the job type';
COMMENT ON COLUMN sync_job_internal.last_success.at IS 'when';
COMMENT ON COLUMN sync_job_internal.last_success.compared_at IS 'when the last comparison of all its documents ended';
COMMENT ON COLUMN sync_job_internal.last_success.out_of_step IS 'how many documents it found out of step without a job waiting for them';

CREATE VIEW @extschema@.sync_job_freshness WITH (security_invoker = true) AS
    SELECT n.name AS sync_job_type, w.oldest_change, coalesce(w.waiting, 0) AS waiting, coalesce(a.running, 0) AS running,
        coalesce(w.retrying, 0) AS retrying, coalesce(w.failed, 0) AS failed, GREATEST(e.last_success, s.at) AS last_success,
        pg_catalog.round(coalesce(e.ended, 0) OPERATOR(pg_catalog./) 60.0, 3) AS per_minute, e.latency_p50, e.latency_p95
    FROM (SELECT t.name FROM @extschema@.sync_job_type AS t
          UNION SELECT j.sync_job_type FROM @extschema@.sync_job AS j WHERE j.status IN ('Queued', 'Started', 'Failed')) AS n
    LEFT JOIN (SELECT j.sync_job_type,
                   pg_catalog.count(*) FILTER (WHERE h.due AND j.status OPERATOR(pg_catalog.=) 'Queued') AS waiting,
                   pg_catalog.count(*) FILTER (WHERE j.status OPERATOR(pg_catalog.=) 'Failed' AND j.retry_after OPERATOR(pg_catalog.<) 'infinity') AS retrying,
                   pg_catalog.count(*) FILTER (WHERE j.status OPERATOR(pg_catalog.=) 'Failed' AND coalesce(j.retry_after, 'infinity') OPERATOR(pg_catalog.=) 'infinity') AS failed,
                   pg_catalog.min(h.since) FILTER (WHERE h.due AND NOT j.dry_run) AS oldest_change
               FROM @extschema@.sync_job AS j
               CROSS JOIN LATERAL (SELECT coalesce(j.scheduled_at, j.created_at) AS since) AS c
               CROSS JOIN LATERAL (SELECT c.since, c.since OPERATOR(pg_catalog.<=) pg_catalog.now()
                   AND (j.status OPERATOR(pg_catalog.<>) 'Failed' OR j.retry_after IS NOT NULL) AS due) AS h
               WHERE j.status IN ('Queued', 'Started', 'Failed') GROUP BY j.sync_job_type) AS w ON w.sync_job_type OPERATOR(pg_catalog.=) n.name
    LEFT JOIN (SELECT a.sync_job_type, pg_catalog.count(*) AS running FROM sync_job_internal.activity() AS a GROUP BY a.sync_job_type) AS a
        ON a.sync_job_type OPERATOR(pg_catalog.=) n.name
    LEFT JOIN (SELECT j.sync_job_type, pg_catalog.count(*) AS ended, pg_catalog.max(j.ended_at) AS last_success,
                   pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY j.ended_at OPERATOR(pg_catalog.-) GREATEST(j.created_at, j.scheduled_at)) AS latency_p50,
                   pg_catalog.percentile_cont(0.95) WITHIN GROUP (ORDER BY j.ended_at OPERATOR(pg_catalog.-) GREATEST(j.created_at, j.scheduled_at)) AS latency_p95
               FROM @extschema@.sync_job AS j
               WHERE j.status IN ('Finished', 'Skipped', 'No Target', 'Relayed') AND NOT j.dry_run
                   AND j.ended_at OPERATOR(pg_catalog.>=) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval)
               GROUP BY j.sync_job_type) AS e ON e.sync_job_type OPERATOR(pg_catalog.=) n.name
    LEFT JOIN sync_job_internal.last_success AS s ON s.sync_job_type OPERATOR(pg_catalog.=) n.name;
COMMENT ON VIEW @extschema@.sync_job_freshness IS 'Per job type: how far its targets are behind, and how fast it is; only for jobs that the reader may see';
COMMENT ON COLUMN @extschema@.sync_job_freshness.sync_job_type IS 'the job type';
COMMENT ON COLUMN @extschema@.sync_job_freshness.oldest_change IS 'time of the oldest change that has not been synced yet, by jobs that wait, run or will be retried; NULL: everything is in step, except what has failed for good';
COMMENT ON COLUMN @extschema@.sync_job_freshness.waiting IS 'jobs that are due';
COMMENT ON COLUMN @extschema@.sync_job_freshness.running IS 'workers that are running a job of the type';
COMMENT ON COLUMN @extschema@.sync_job_freshness.retrying IS 'jobs that have failed and will be retried';
COMMENT ON COLUMN @extschema@.sync_job_freshness.failed IS 'jobs that have failed for good, or are held because the set-up of the type is broken';
COMMENT ON COLUMN @extschema@.sync_job_freshness.last_success IS 'when a job of the type last ended well';
COMMENT ON COLUMN @extschema@.sync_job_freshness.per_minute IS 'jobs that ended well, per minute, over the last hour';
COMMENT ON COLUMN @extschema@.sync_job_freshness.latency_p50 IS 'median time of these jobs from enqueueing (or scheduled_at) to their end';
COMMENT ON COLUMN @extschema@.sync_job_freshness.latency_p95 IS '95th percentile of the same';

CREATE TABLE @extschema@.sync_job_alert (
    name          text COLLATE "C" PRIMARY KEY,
    sync_job_type text COLLATE "C",
    queue         text COLLATE "C",
    measure       text NOT NULL,
    threshold     text NOT NULL,
    hold          interval NOT NULL DEFAULT '0',
    procedure     text,
    owner         regrole NOT NULL,
    state         text NOT NULL DEFAULT 'ok',
    since         timestamptz,
    value         text
);
COMMENT ON TABLE @extschema@.sync_job_alert IS 'What the scheduler watches: when a measure exceeds its threshold, it writes one line to the log and sends one event, and again when all is well. Operators write to it with INSERT, UPDATE and DELETE';
COMMENT ON COLUMN @extschema@.sync_job_alert.name IS 'name of the alert';
COMMENT ON COLUMN @extschema@.sync_job_alert.sync_job_type IS 'only jobs of this type; NULL: of all types';
COMMENT ON COLUMN @extschema@.sync_job_alert.queue IS 'only jobs of this queue; NULL: of all queues except alert';
COMMENT ON COLUMN @extschema@.sync_job_alert.measure IS 'failed (jobs that failed for good, or because of a broken set-up), waiting (jobs that are due), oldest_change (for how long the oldest change has not been in step), no_success (for how long no job has ended well while work waited), out_of_step (documents that the last comparison of the whole type found out of step)';
COMMENT ON COLUMN @extschema@.sync_job_alert.threshold IS 'the alert fires above this value: a number for failed, waiting and out_of_step, else an interval';
COMMENT ON COLUMN @extschema@.sync_job_alert.hold IS 'for how long the measure must exceed the threshold';
COMMENT ON COLUMN @extschema@.sync_job_alert.procedure IS 'enqueued at each change of state, as background work of the owner in queue alert, with one argument: alert jsonb; NULL: none';
COMMENT ON COLUMN @extschema@.sync_job_alert.owner IS 'whose alert it is, and with whose rights the procedure runs; default: the role that inserts it';
COMMENT ON COLUMN @extschema@.sync_job_alert.state IS 'ok or firing; written by the scheduler, like the next two columns';
COMMENT ON COLUMN @extschema@.sync_job_alert.since IS 'when the state last changed; NULL: never';
COMMENT ON COLUMN @extschema@.sync_job_alert.value IS 'what was measured then';

-- Not ENABLE ALWAYS: what the engine writes is not checked.
CREATE FUNCTION sync_job_internal.check_alert() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_check_alert';
CREATE TRIGGER check_alert BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.sync_job_alert
    FOR EACH ROW EXECUTE FUNCTION sync_job_internal.check_alert();
COMMENT ON FUNCTION sync_job_internal.check_alert() IS 'trigger of sync_job_alert: fills defaults, checks form and rights';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_alert',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)');
