-- Clearing the history: clear_old_sync_jobs(), clear_sync_job_logs(), clear_all_sync_jobs(): what goes, what stays, how much at a time.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
SET sync_job.log_retention_days = 30;  -- what is the default: the scheduler of the tests clears nothing
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text NOT NULL);
CREATE SCHEMA copy;
CREATE FUNCTION copy.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
                                WHEN EXISTS (SELECT FROM target WHERE id = source_doc.id) THEN 'update' ELSE 'insert' END,
                           target_document_name => source_doc.id::text)
$$;
CREATE FUNCTION copy.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := source_doc.id;
    target_doc.note := source_doc.note;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, retry_delay) VALUES ('Copy', 'source', 'target', '1 hour');
INSERT INTO source VALUES (1, 'one'), (2, NULL), (3, 'three'), (4, 'four'), (5, 'five');

-- A job of each kind, and the same again; the first of them ended 40 days ago.
CREATE FUNCTION make_jobs() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    failed bigint;
BEGIN
    PERFORM execute_sync_job(enqueue_sync_job('Copy', 1));                          -- Finished, then Skipped
    PERFORM execute_sync_job(enqueue_sync_job('Copy', 1));                          -- Skipped
    PERFORM execute_sync_job(enqueue_sync_job('Copy', 2));                          -- Failed, with a retry to come
    failed := enqueue_sync_job('Copy', 2, max_retries => 0);
    PERFORM execute_sync_job(failed);                                               -- Failed for good
    PERFORM cancel_sync_job(enqueue_sync_job('Copy', 1));                           -- Canceled
    PERFORM enqueue_sync_job('Copy', 1);                                            -- Queued
    PERFORM enqueue_sync_job('Copy', 1, queue_on_insert => false);                  -- Pending
END $$;
CREATE PROCEDURE age(days int) LANGUAGE sql AS $$
    UPDATE sync_job SET ended_at = ended_at - make_interval(days => days), created_at = created_at - make_interval(days => days);
    UPDATE sync_job_deleted_document SET deleted_at = deleted_at - make_interval(days => days);
$$;
CREATE VIEW kept AS
    SELECT ended_at < now() - interval '30 days' AS old, status, count(*) AS jobs, sum(errors) AS errors
    FROM (SELECT j.*, (SELECT count(*) FROM sync_job_error AS e WHERE e.sync_job = j.id) AS errors FROM sync_job AS j) AS j
    GROUP BY 1, 2;
SELECT make_jobs();
CALL age(40);
SELECT make_jobs();
SELECT * FROM kept ORDER BY 1, 2;

-- What ended more than 30 days ago goes, with its errors. What waits, and what is tried again, stays, however old.
SELECT clear_old_sync_jobs();
SELECT * FROM kept ORDER BY 1, 2;
SELECT count(*) AS errors_of_no_job FROM sync_job_error WHERE sync_job NOT IN (SELECT id FROM sync_job);
SELECT clear_old_sync_jobs();

-- At most so many at a time; days are counted from now.
SELECT clear_old_sync_jobs(days => 0, max_jobs => 2);
SELECT clear_old_sync_jobs(30, 2);
SELECT clear_old_sync_jobs(0);
SELECT * FROM kept ORDER BY 1, 2;

-- Records of deleted documents go when they are as old, unless a job that waits or failed needs them.
SELECT * FROM attach_sync_job_triggers('Copy', 'source');
DELETE FROM source WHERE id IN (3, 4);
SELECT status FROM execute_sync_job((SELECT max(id) FROM sync_job WHERE source_document_name = '3'));
CALL age(31);
SELECT clear_old_sync_jobs();
SELECT document_name, data FROM sync_job_deleted_document;
SELECT get_sync_document('source', '3') IS NULL AS cleared, get_sync_document('source', '4') IS NULL AS needed;
SELECT status, operation FROM execute_sync_job((SELECT max(id) FROM sync_job WHERE source_document_name = '4'));
SELECT clear_old_sync_jobs();
SELECT count(*) AS documents FROM sync_job_deleted_document;

-- With the setting, each step committed.
SELECT make_jobs();
CALL age(8);
CALL clear_sync_job_logs();
SELECT count(*) FROM sync_job WHERE ended_at < now() - interval '7 days';
SET sync_job.log_retention_days = 7;
CALL clear_sync_job_logs();
SELECT status, count(*) FROM sync_job WHERE ended_at < now() - interval '7 days' GROUP BY status;

-- All that has ended for good.
SELECT make_jobs();
SELECT clear_all_sync_jobs();
SELECT * FROM kept ORDER BY 1, 2;

-- Wrong, and not for everybody.
SELECT clear_old_sync_jobs(-1);
SELECT clear_old_sync_jobs(30, 0);
CREATE ROLE cleaner;
SET ROLE cleaner;
SELECT clear_old_sync_jobs();
SELECT clear_all_sync_jobs();
CALL clear_sync_job_logs();
RESET ROLE;
GRANT EXECUTE ON FUNCTION clear_old_sync_jobs TO cleaner;
GRANT EXECUTE ON PROCEDURE clear_sync_job_logs TO cleaner;
SELECT make_jobs();
CALL age(40);
SET ROLE cleaner;
SELECT clear_old_sync_jobs(days => 35);
CALL clear_sync_job_logs();
RESET ROLE;
DROP OWNED BY cleaner;
DROP ROLE cleaner;
