-- Installs the example controllers/:controller as it stands. Variables: controller, and folder, where the tests are.
\set install :folder /controllers/ :controller /install.sql
\i :install
UPDATE sync_job_queue SET max_workers = 1;  -- so that ids of targets are the same each time
-- Waits until no job is left to run, retries included.
CREATE PROCEDURE wait_for_jobs() LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
BEGIN
    LOOP
        job := (SELECT min(id) FROM sync_job WHERE status IN ('Queued', 'Started') OR retry_after IS NOT NULL);
        COMMIT;
        EXIT WHEN job IS NULL;
        CALL wait_for_sync_job(job, '30 s');
    END LOOP;
END $$;
