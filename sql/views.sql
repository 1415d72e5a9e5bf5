-- ---------------------------------------------------------------------------------------------------------------------
-- Views
-- ---------------------------------------------------------------------------------------------------------------------

CREATE VIEW @extschema@.sync_job_activity WITH (security_invoker = true) AS
    SELECT a.pid, a.queue, a.sync_job, a.sync_job_type, a.started_at, a.percent, a.title, a.description, a.run_as, a.state,
        a.run_as::pg_catalog.text AS run_as_name
    FROM sync_job_internal.activity() AS a;
COMMENT ON VIEW @extschema@.sync_job_activity IS 'What each worker process of this database is doing right now, from shared memory';
COMMENT ON COLUMN @extschema@.sync_job_activity.pid IS 'process of the worker, as in pg_stat_activity';
COMMENT ON COLUMN @extschema@.sync_job_activity.queue IS 'the queue it serves';
COMMENT ON COLUMN @extschema@.sync_job_activity.sync_job IS 'the job it runs; NULL: none';
COMMENT ON COLUMN @extschema@.sync_job_activity.sync_job_type IS 'the job''s type';
COMMENT ON COLUMN @extschema@.sync_job_activity.started_at IS 'when the job started';
COMMENT ON COLUMN @extschema@.sync_job_activity.percent IS 'progress, as the job reports it';
COMMENT ON COLUMN @extschema@.sync_job_activity.title IS 'what it does, as the job reports it';
COMMENT ON COLUMN @extschema@.sync_job_activity.description IS 'details, as the job reports them';
COMMENT ON COLUMN @extschema@.sync_job_activity.run_as IS 'the role it is connected as';
COMMENT ON COLUMN @extschema@.sync_job_activity.state IS 'starting, idle or running';
COMMENT ON COLUMN @extschema@.sync_job_activity.run_as_name IS 'the same as run_as, as text, for comparisons';

CREATE VIEW @extschema@.sync_job_stats WITH (security_invoker = true) AS
    SELECT j.sync_job_type, j.status, pg_catalog.count(*) AS jobs,
        pg_catalog.count(*) FILTER (WHERE h.recent) AS last_hour,
        pg_catalog.round(pg_catalog.count(*) FILTER (WHERE h.recent) OPERATOR(pg_catalog./) 3600.0, 3) AS per_second,
        pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY h.wait) FILTER (WHERE h.recent) AS wait_p50,
        pg_catalog.percentile_cont(0.95) WITHIN GROUP (ORDER BY h.wait) FILTER (WHERE h.recent) AS wait_p95,
        pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY j.time_taken) FILTER (WHERE h.recent) AS run_p50,
        pg_catalog.percentile_cont(0.95) WITHIN GROUP (ORDER BY j.time_taken) FILTER (WHERE h.recent) AS run_p95
    FROM @extschema@.sync_job AS j
    CROSS JOIN LATERAL (SELECT
        coalesce(j.ended_at, j.created_at) OPERATOR(pg_catalog.>=) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval) AS recent,
        j.started_at OPERATOR(pg_catalog.-) GREATEST(j.created_at, j.scheduled_at) AS wait) AS h
    GROUP BY j.sync_job_type, j.status;
COMMENT ON VIEW @extschema@.sync_job_stats IS 'Per job type and state: how many there are, and the rate, waiting time and run time over the last hour';
COMMENT ON COLUMN @extschema@.sync_job_stats.sync_job_type IS 'the job type';
COMMENT ON COLUMN @extschema@.sync_job_stats.status IS 'the state';
COMMENT ON COLUMN @extschema@.sync_job_stats.jobs IS 'jobs in that state, as far back as they are kept';
COMMENT ON COLUMN @extschema@.sync_job_stats.last_hour IS 'those of them that ended (or, if they have not, were enqueued) within the last hour';
COMMENT ON COLUMN @extschema@.sync_job_stats.per_second IS 'last_hour / 3600';
COMMENT ON COLUMN @extschema@.sync_job_stats.wait_p50 IS 'median time from enqueueing (or scheduled_at) to the start';
COMMENT ON COLUMN @extschema@.sync_job_stats.wait_p95 IS '95th percentile of the same';
COMMENT ON COLUMN @extschema@.sync_job_stats.run_p50 IS 'median run time';
COMMENT ON COLUMN @extschema@.sync_job_stats.run_p95 IS '95th percentile of the run time';

CREATE VIEW @extschema@.sync_job_queue_status WITH (security_invoker = true) AS
    SELECT q.name AS queue, q.paused, q.max_workers,
        coalesce(w.workers, 0) AS workers, coalesce(w.running, 0) AS running,
        coalesce(j.waiting, 0) AS waiting, coalesce(j.scheduled, 0) AS scheduled, j.oldest_waiting,
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby: jobs run on the primary'
             WHEN NOT sync_job_internal.preloaded() THEN 'pg_sync_job is not preloaded'
             WHEN pg_catalog.string_to_array(v.library, '.')::pg_catalog.int4[] OPERATOR(pg_catalog.>) pg_catalog.string_to_array(v.extension, '.')::pg_catalog.int4[]
                 THEN 'waits for ALTER EXTENSION pg_sync_job UPDATE'
             WHEN coalesce(v.library, '') OPERATOR(pg_catalog.<>) v.extension THEN 'waits for a restart with the library of this version'
             WHEN sync_job_internal.waiting_elsewhere() THEN 'waits for adopt_sync_jobs()'
             WHEN sync_job_internal.in_the_way() IS NOT NULL THEN sync_job_internal.in_the_way()
             ELSE NULLIF(pg_catalog.concat_ws('; ', CASE WHEN q.paused THEN 'paused' END,
                 CASE WHEN NOT pg_catalog.current_setting('sync_job.enabled', true)::pg_catalog.bool THEN 'sync_job.enabled is off' END,
                 CASE WHEN q.max_workers OPERATOR(pg_catalog.=) 0 THEN 'max_workers of the queue is 0' END,
                 CASE WHEN pg_catalog.current_setting('sync_job.max_workers', true)::pg_catalog.int4 OPERATOR(pg_catalog.=) 0 THEN 'sync_job.max_workers is 0' END,
                 'paused types: ' OPERATOR(pg_catalog.||) (SELECT pg_catalog.string_agg(t.name, ', ' ORDER BY t.name) FROM @extschema@.sync_job_type AS t
                     WHERE t.paused AND t.queue OPERATOR(pg_catalog.=) q.name) COLLATE pg_catalog."default",
                 sync_job_internal.trouble_of_queue(q.name),
                 (SELECT pg_catalog.string_agg(pg_catalog.format('the set-up of sync job type "%s" is broken%s: %s', s.sync_job_type,
                          CASE WHEN s.held_since IS NOT NULL THEN ', and its jobs are held' END, pg_catalog."left"(s.message, 200)), '; ' ORDER BY s.since)
                  FROM @extschema@.sync_job_setup_error AS s JOIN @extschema@.sync_job_type AS t ON t.name OPERATOR(pg_catalog.=) s.sync_job_type
                  WHERE t.queue OPERATOR(pg_catalog.=) q.name)), '') COLLATE pg_catalog."default"
        END AS note,
        coalesce(j.failed, 0) AS failed, coalesce(j.retrying, 0) AS retrying
    FROM @extschema@.sync_job_queue AS q
    CROSS JOIN (SELECT e.extversion AS extension, pg_catalog.current_setting('sync_job.library_version', true) AS library
                FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_sync_job') AS v
    LEFT JOIN (SELECT a.queue, pg_catalog.count(*) AS workers, pg_catalog.count(*) FILTER (WHERE a.state OPERATOR(pg_catalog.=) 'running') AS running
               FROM sync_job_internal.activity() AS a GROUP BY a.queue) AS w ON w.queue OPERATOR(pg_catalog.=) q.name
    LEFT JOIN (SELECT s.queue,
                   pg_catalog.count(*) FILTER (WHERE h.waits AND h.since OPERATOR(pg_catalog.<=) pg_catalog.now()) AS waiting,
                   pg_catalog.count(*) FILTER (WHERE h.waits AND s.scheduled_at OPERATOR(pg_catalog.>) pg_catalog.now()) AS scheduled,
                   pg_catalog.min(h.since) FILTER (WHERE h.waits AND h.since OPERATOR(pg_catalog.<=) pg_catalog.now()) AS oldest_waiting,
                   pg_catalog.count(*) FILTER (WHERE NOT h.waits AND coalesce(s.retry_after, 'infinity') OPERATOR(pg_catalog.=) 'infinity') AS failed,
                   pg_catalog.count(*) FILTER (WHERE NOT h.waits AND s.retry_after OPERATOR(pg_catalog.<) 'infinity') AS retrying
               FROM @extschema@.sync_job AS s
               CROSS JOIN LATERAL (SELECT s.status OPERATOR(pg_catalog.=) 'Queued' AS waits, coalesce(s.scheduled_at, s.created_at) AS since) AS h
               WHERE s.status IN ('Queued', 'Failed') GROUP BY s.queue) AS j
        ON j.queue OPERATOR(pg_catalog.=) q.name;
COMMENT ON VIEW @extschema@.sync_job_queue_status IS 'Per queue: how much waits, since when, and who works on it';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.queue IS 'the queue';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.paused IS 'true: none of its jobs is started';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.max_workers IS 'the most workers it may have';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.workers IS 'worker processes it has now';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.running IS 'those of them that run a job';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.waiting IS 'jobs that are due';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.scheduled IS 'jobs whose time has not come';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.oldest_waiting IS 'since when the oldest due job could have run';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.note IS 'the reasons why its jobs wait, or run slower than they could';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.failed IS 'jobs that have failed for good, or are held because the set-up of their type is broken';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.retrying IS 'jobs that have failed and will be retried';

CREATE VIEW @extschema@.sync_job_relay WITH (security_invoker = true) AS
    SELECT p.id AS sync_job, p.sync_job_type, p.title, p.ended_at AS relayed_at, pg_catalog.count(c.id) AS children,
        pg_catalog.count(c.id) FILTER (WHERE c.status IN ('Pending', 'Queued', 'Started')) AS waiting,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Finished') AS finished,
        pg_catalog.count(c.id) FILTER (WHERE c.status IN ('Skipped', 'No Target')) AS skipped,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Relayed') AS relayed,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Failed') AS failed,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Canceled') AS canceled
    FROM @extschema@.sync_job AS p
    LEFT JOIN @extschema@.sync_job AS c ON c.parent_sync_job OPERATOR(pg_catalog.=) p.id AND coalesce(c.relation, '') NOT IN ('rerun', 'replay')
    WHERE p.status OPERATOR(pg_catalog.=) 'Relayed'
    GROUP BY p.id, p.sync_job_type, p.title, p.ended_at;
COMMENT ON VIEW @extschema@.sync_job_relay IS 'Each Relayed job with how many of its children are in which state';
COMMENT ON COLUMN @extschema@.sync_job_relay.sync_job IS 'the parent';
COMMENT ON COLUMN @extschema@.sync_job_relay.sync_job_type IS 'its type';
COMMENT ON COLUMN @extschema@.sync_job_relay.title IS 'its title';
COMMENT ON COLUMN @extschema@.sync_job_relay.relayed_at IS 'when it made its children';
COMMENT ON COLUMN @extschema@.sync_job_relay.children IS 'how many children it made that are still kept';
COMMENT ON COLUMN @extschema@.sync_job_relay.waiting IS 'children that are Pending, Queued or Started';
COMMENT ON COLUMN @extschema@.sync_job_relay.finished IS 'children that are Finished';
COMMENT ON COLUMN @extschema@.sync_job_relay.skipped IS 'children that are Skipped or have No Target';
COMMENT ON COLUMN @extschema@.sync_job_relay.relayed IS 'children that relayed again';
COMMENT ON COLUMN @extschema@.sync_job_relay.failed IS 'children that are Failed';
COMMENT ON COLUMN @extschema@.sync_job_relay.canceled IS 'children that are Canceled';

CREATE VIEW @extschema@.sync_job_document_history WITH (security_invoker = true) AS
    SELECT j.source_document_type, j.source_document_name, j.id AS sync_job, j.sync_job_type, j.target_document_type, j.target_document_name,
        j.operation, j.status, j.diff_summary, j.created_at, j.started_at, j.ended_at,
        j.source_document_type::pg_catalog.text AS source_document_type_name, j.target_document_type::pg_catalog.text AS target_document_type_name
    FROM @extschema@.sync_job AS j WHERE j.source_document_name IS NOT NULL
    UNION ALL
    SELECT j.source_document_type, d.source_document_name, j.id, j.sync_job_type, j.target_document_type, d.target_document_name,
        d.operation, d.status, d.diff_summary, j.created_at, j.started_at, j.ended_at,
        j.source_document_type::pg_catalog.text, j.target_document_type::pg_catalog.text
    FROM @extschema@.sync_job_document AS d JOIN @extschema@.sync_job AS j ON j.id OPERATOR(pg_catalog.=) d.sync_job;
COMMENT ON VIEW @extschema@.sync_job_document_history IS 'What happened to a document: its jobs, and what set jobs did to it. Query it by source_document_name, which is indexed';
COMMENT ON COLUMN @extschema@.sync_job_document_history.source_document_type IS 'the relation the source document is in';
COMMENT ON COLUMN @extschema@.sync_job_document_history.source_document_name IS 'the key of the source document, as text';
COMMENT ON COLUMN @extschema@.sync_job_document_history.sync_job IS 'the job; a set job has a row here for each document that it has changed';
COMMENT ON COLUMN @extschema@.sync_job_document_history.sync_job_type IS 'the job type';
COMMENT ON COLUMN @extschema@.sync_job_document_history.target_document_type IS 'the relation the target document is in';
COMMENT ON COLUMN @extschema@.sync_job_document_history.target_document_name IS 'the key of the target document';
COMMENT ON COLUMN @extschema@.sync_job_document_history.operation IS 'Insert, Update or Delete';
COMMENT ON COLUMN @extschema@.sync_job_document_history.status IS 'what became of the document: the state of its job; Finished if a set job changed it';
COMMENT ON COLUMN @extschema@.sync_job_document_history.diff_summary IS 'what changed';
COMMENT ON COLUMN @extschema@.sync_job_document_history.created_at IS 'when the job was enqueued';
COMMENT ON COLUMN @extschema@.sync_job_document_history.started_at IS 'start of its last attempt';
COMMENT ON COLUMN @extschema@.sync_job_document_history.ended_at IS 'end of its last attempt';
COMMENT ON COLUMN @extschema@.sync_job_document_history.source_document_type_name IS 'the same as source_document_type, as text, for comparisons';
COMMENT ON COLUMN @extschema@.sync_job_document_history.target_document_type_name IS 'the same as target_document_type, as text';
