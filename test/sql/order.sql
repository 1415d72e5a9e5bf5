-- In which order the jobs of a queue run: by priority, then by id, whatever is due; queues one by one; paused ones not at all.
-- What several workers do at a time is in test/tap.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never
CREATE TABLE source (id int PRIMARY KEY);
CREATE TABLE target (id int PRIMARY KEY);
INSERT INTO source SELECT generate_series(1, 9);
CREATE SCHEMA ordered;
CREATE FUNCTION ordered.execute(sync_job sync_job, source_doc source) RETURNS sync_job_result LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% of source %: priority %, %', sync_job.queue, source_doc.id, sync_job.priority, coalesce(sync_job.scheduled_at::text, 'at once');
    IF sync_job.context ? 'then' THEN
        PERFORM enqueue_sync_job('Ordered', (sync_job.context ->> 'then'), priority => (sync_job.context ->> 'priority')::int);
    END IF;
    RETURN NULL;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, batchable) VALUES ('Ordered', 'source', 'target', 'ordered', true);

SELECT count(enqueue_sync_job('Ordered', id::text, priority => p)) FROM (VALUES (1, 0), (2, 5), (3, -5), (4, NULL), (5, 5), (6, -2147483648), (7, 2147483647), (8, -5)) AS v (id, p);
CALL run_sync_jobs();
-- What is scheduled takes its place when it is due, by priority and id, not by its time.
SELECT count(enqueue_sync_job('Ordered', id::text, priority => p, scheduled_at => at)) FROM (VALUES
    (1, 0, '2020-01-02'::timestamptz), (2, 0, NULL), (3, 0, '2020-01-01'), (4, -1, '2020-01-03'), (5, -2, 'infinity'), (6, 1, '-infinity'), (7, -1, NULL)) AS v (id, p, at);
CALL run_sync_jobs();
SELECT source_document_name, status FROM sync_job WHERE scheduled_at = 'infinity';
-- Some at a time; of one queue; of none such.
SELECT count(enqueue_sync_job('Ordered', id::text, queue => q)) FROM (VALUES (1, 'long'), (2, 'short'), (3, 'long'), (4, 'default')) AS v (id, q);
CALL run_sync_jobs(max_jobs => 1);
CALL run_sync_jobs('long', 1);
CALL run_sync_jobs('long');
CALL run_sync_jobs('long');
CALL run_sync_jobs();
CALL run_sync_jobs('nowhere');
CALL run_sync_jobs(max_jobs => -1);
BEGIN;
SELECT enqueue_sync_job('Ordered', '1') > 0 AS done;
CALL run_sync_jobs();
CALL run_sync_jobs();
COMMIT;
-- One that is enqueued meanwhile comes in its turn.
SELECT enqueue_sync_job('Ordered', '1', '{"then": 3, "priority": 7}') > 0 AS done, enqueue_sync_job('Ordered', '2', priority => 5) > 0 AS done;
CALL run_sync_jobs();
SELECT enqueue_sync_job('Ordered', '1', '{"then": 1, "priority": -7}') > 0 AS done, enqueue_sync_job('Ordered', '2', priority => 5) > 0 AS done;
CALL run_sync_jobs();
-- One document: the earlier job first, but for the priority. One that has failed is passed by.
SELECT count(enqueue_sync_job('Ordered', '1', priority => p)) FROM (VALUES (1), (2), (1)) AS v (p);
CALL run_sync_jobs();
SELECT source_document_name, priority FROM sync_job ORDER BY id DESC LIMIT 3;

-- A paused queue enqueues and starts nothing; by hand a job runs all the same.
SELECT pause_sync_job_queue('default');
SELECT pause_sync_job_queue('default');
SELECT pause_sync_job_queue('nowhere');
SELECT resume_sync_job_queue('nowhere');
SELECT enqueue_sync_job('Ordered', '1') AS id, enqueue_sync_job('Ordered', '2', queue => 'long') \gset
CALL run_sync_jobs();
CALL run_sync_jobs('default');
BEGIN;
CALL run_sync_jobs();
COMMIT;
SELECT queue, paused, waiting, note FROM sync_job_queue_status ORDER BY queue;
SELECT status FROM execute_sync_job(:id);
SELECT enqueue_sync_job('Ordered', '3') > 0 AS done;
SELECT resume_sync_job_queue('default');
CALL run_sync_jobs();
-- A concurrency_limit is one of sessions: one session runs one after the other.
UPDATE sync_job_type SET concurrency_limit = 1;
SELECT count(enqueue_sync_job('Ordered', id::text)) FROM source WHERE id < 4;
CALL run_sync_jobs();
UPDATE sync_job_type SET concurrency_limit = 0;
SELECT status, count(*) FROM sync_job GROUP BY status ORDER BY status;
