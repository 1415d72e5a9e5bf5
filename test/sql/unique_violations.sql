-- A unique violation in an insert: the target is looked for once more, as somebody else may have inserted it.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
CREATE TABLE failure (sync_job bigint, attempt int, sqlstate text, message text);
CREATE SCHEMA copies;
-- Two targets for the source 1, one for the others; always an insert.
CREATE FUNCTION copies.get_multiple_target_documents(sync_job sync_job, source_doc source) RETURNS SETOF sync_job_target
LANGUAGE sql AS $$
    SELECT sync_job_target('insert', target_document_name => (n * 10 + source_doc.id)::text)
    FROM generate_series(1, CASE source_doc.id WHEN 1 THEN 2 ELSE 1 END) AS n
$$;
CREATE FUNCTION copies.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.note := source_doc.note;
END $$;
CREATE FUNCTION copies.failed(sync_job sync_job, source_doc source, error jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO failure SELECT sync_job.id, (error ->> 'attempt')::int, error ->> 'sqlstate', error ->> 'message'
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, max_retries)
VALUES ('Copies', 'source', 'target', 0);
INSERT INTO source VALUES (1, 'one'), (2, 'two');

-- A child's target is there by the time it runs: its insert has become an update.
SELECT status FROM execute_sync_job(enqueue_sync_job('Copies', '1'));
INSERT INTO target VALUES (11, 'another'), (21, 'one');
CALL run_sync_jobs();
SELECT status, operation, target_document_name, diff_summary FROM sync_job WHERE parent_sync_job IS NOT NULL ORDER BY id;
SELECT * FROM target ORDER BY id;

-- A job that is no child has asked its controller, which wants an insert all the same: that is an error, told to the hook once.
INSERT INTO target VALUES (12, 'of somebody else');
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Copies', '2'));
SELECT attempt, sqlstate, message FROM failure;
SELECT * FROM target WHERE id = 12;
