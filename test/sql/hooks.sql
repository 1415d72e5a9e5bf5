-- The hooks of a standard controller: which run when, in which order, with which arguments; what each may return; what
-- happens when one fails. Each hook tells by a NOTICE that it was called, as what it writes may be rolled back.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never

CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text, stamped text);
CREATE SCHEMA hooked;

-- What the controller does is in the job's context: "operation"; "raise": the hook that raises; "return": what hooks return.
CREATE FUNCTION hooked.said(hook text, sync_job sync_job, source_doc source, extra text DEFAULT '') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%', rtrim(format('%s: %s %s %s, source %s%s', hook, sync_job.status, coalesce(sync_job.operation, '-'),
        coalesce(sync_job.target_document_name, '-'), source_doc::text, ', ' || nullif(extra, '')));
    IF sync_job.context ->> 'raise' = hook THEN
        RAISE EXCEPTION 'raised in %', hook USING DETAIL = 'on purpose', HINT = 'none', ERRCODE = 'AB123';
    END IF;
END $$;

CREATE FUNCTION hooked.after_start(sync_job sync_job, source_doc source) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('after_start', sync_job, source_doc);
END $$;
CREATE FUNCTION hooked.get_multiple_target_documents(sync_job sync_job, source_doc source) RETURNS SETOF sync_job_target
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('get_multiple_target_documents', sync_job, source_doc);
    RETURN QUERY SELECT (sync_job_target(coalesce(sync_job.context ->> 'operation', 'update'), target_document_name => n)).*
        FROM unnest(coalesce(string_to_array(sync_job.context ->> 'targets', ','), ARRAY[source_doc.id::text])) AS n;
END $$;
CREATE FUNCTION hooked.before_relay(sync_job sync_job, source_doc source, targets jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('before_relay', sync_job, source_doc, targets::text);
    RETURN sync_job.context -> 'return';
END $$;
CREATE FUNCTION hooked.after_relay(sync_job sync_job, source_doc source, child_jobs jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('after_relay', sync_job, source_doc, format('children %s, of which %s are there', child_jobs,
        (SELECT count(*) FROM public.sync_job AS c WHERE c.id::text IN (SELECT jsonb_array_elements_text(child_jobs)))));
END $$;
CREATE FUNCTION hooked.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('update_target_doc', sync_job, source_doc, target_doc::text);
    target_doc.id := source_doc.id;
    target_doc.note := source_doc.note;
END $$;
CREATE FUNCTION hooked.before_sync(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('before_sync', sync_job, source_doc, target_doc::text);
    CASE sync_job.context ->> 'return'
        WHEN 'changed' THEN target_doc.stamped := 'by before_sync';
        WHEN 'null' THEN target_doc := NULL;
        WHEN 'as it was' THEN SELECT * INTO target_doc FROM target WHERE id = target_doc.id;
        ELSE NULL;
    END CASE;
END $$;
CREATE FUNCTION hooked.after_sync(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hooked.said('after_sync', sync_job, source_doc, target_doc::text);
END $$;
CREATE FUNCTION hooked.finished(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trace VALUES (sync_job.status);
    PERFORM hooked.said('finished', sync_job, source_doc, target_doc::text);
END $$;
CREATE FUNCTION hooked.failed(sync_job sync_job, source_doc source, error jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trace VALUES (sync_job.status);
    PERFORM hooked.said('failed', sync_job, source_doc,
        (error - 'context' - 'occurred_at' || jsonb_build_object('context', error ? 'context', 'occurred_at', error ? 'occurred_at'))::text);
END $$;
CREATE TABLE trace (written_by text);  -- by the two hooks whose own failure must not count

INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries)
VALUES ('Hooked', 'source', 'target', 'hooked', 0);
INSERT INTO source VALUES (1, 'one'), (2, 'two');

-- Runs a job of source 1 with this context, and tells what came of it.
CREATE FUNCTION run(context jsonb, dry_run boolean DEFAULT false, verbose boolean DEFAULT false, update_enabled boolean DEFAULT true)
RETURNS TABLE (status text, operation text, name text, diff jsonb, error text) LANGUAGE sql AS $$
    SELECT j.status, j.operation, j.target_document_name, j.diff_summary, split_part(j.error_message, chr(10), 1)
    FROM execute_sync_job(enqueue_sync_job('Hooked', '1', context, dry_run => run.dry_run,
        verbose_logging => run.verbose, update_enabled => run.update_enabled)) AS j
$$;

-- An insert, an update, an update that changes nothing, a delete, a delete of nothing.
SELECT * FROM run('{"operation": "insert"}');
UPDATE source SET note = 'uno' WHERE id = 1;
SELECT * FROM run('{}');
SELECT * FROM run('{}');
SELECT * FROM run('{}', update_enabled => false);
SELECT * FROM run('{"operation": "delete"}');
SELECT * FROM run('{"operation": "delete"}');
SELECT * FROM run('{"targets": ""}');
TABLE trace;

-- A dry run leaves out before_sync and after_sync; what finished and failed write then is undone, too.
TRUNCATE trace;
SELECT * FROM run('{"operation": "insert"}', dry_run => true);
INSERT INTO target VALUES (1, 'one');
SELECT * FROM run('{}', dry_run => true);
SELECT * FROM run('{"operation": "delete"}', dry_run => true);
SELECT * FROM run('{"raise": "update_target_doc"}', dry_run => true);
TABLE target;
TABLE trace;

-- before_sync may return the target as it is to be; NULL leaves it as it was; one that undoes the change makes it Skipped.
SELECT * FROM run('{"return": "changed"}');
TABLE target;
UPDATE source SET note = 'eins' WHERE id = 1;
SELECT * FROM run('{"return": "null"}');
UPDATE source SET note = 'een' WHERE id = 1;
SELECT * FROM run('{"return": "as it was"}');
TABLE target;

-- Several targets: before_relay sees them, and may hand back fewer.
SELECT * FROM run('{"targets": "1,2,3"}');
SELECT status, operation, target_document_name FROM sync_job WHERE parent_sync_job = (SELECT max(id) FROM sync_job WHERE status = 'Relayed') ORDER BY id;
SELECT * FROM run('{"targets": "1,2,3", "return": []}');
SELECT * FROM run('{"targets": "1,2,3", "return": [{"operation": "Update", "target_document_name": "1"}]}');
SELECT * FROM run('{"targets": "1,2,3", "return": [{"operation": "update", "target_document_name": "1"}, {"operation": "delete", "target_document_name": "3", "context": {"why": "hook"}}]}');
SELECT status, operation, target_document_name, context FROM sync_job WHERE parent_sync_job = (SELECT max(id) FROM sync_job WHERE status = 'Relayed') ORDER BY id;
SELECT * FROM run('{"targets": "1,2,3", "return": {"operation": "update"}}');
SELECT * FROM run('{"targets": "1,2,3", "return": [5]}');
SELECT * FROM run('{"targets": "1,2,3", "return": [{"operation": "upsert"}]}');
SELECT * FROM run('{"targets": "1,2,3"}', dry_run => true);
SELECT count(*) AS children, bool_and(dry_run) AS dry FROM sync_job WHERE parent_sync_job = (SELECT max(id) FROM sync_job WHERE status = 'Relayed');
SELECT status, count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM sync_job WHERE status = 'Relayed')) GROUP BY status;

-- An error in any hook fails the attempt and undoes it all.
TRUNCATE trace;
SELECT * FROM run('{"raise": "after_start"}');
SELECT * FROM run('{"raise": "get_multiple_target_documents"}');
SELECT * FROM run('{"raise": "before_relay", "targets": "1,2"}');
SELECT * FROM run('{"raise": "after_relay", "targets": "1,2"}');
SELECT * FROM run('{"raise": "update_target_doc"}');
UPDATE source SET note = 'ein' WHERE id = 1;
SELECT * FROM run('{"raise": "before_sync"}');
SELECT * FROM run('{"raise": "after_sync"}');
TABLE target;
SELECT written_by, count(*) FROM trace GROUP BY written_by;
SELECT count(*) AS children FROM sync_job WHERE status IN ('Queued', 'Started', 'Pending');

-- One in finished or failed does not change what came of the job; what the hook wrote is undone.
TRUNCATE trace;
SELECT * FROM run('{"raise": "finished"}', verbose => true);
SELECT messages ~ 'WARNING: +hook finished of sync job \d+ .*failed: raised in finished' AS kept FROM sync_job ORDER BY id DESC LIMIT 1;
TABLE target;
CREATE OR REPLACE FUNCTION hooked.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no target today';
END $$;
SELECT * FROM run('{"raise": "failed"}', verbose => true);
SELECT messages ~ 'WARNING: +hook failed of sync job \d+ .*failed: raised in failed' AS kept FROM sync_job ORDER BY id DESC LIMIT 1;
TABLE trace;

-- A hook may run other jobs; current_sync_job() is the job's own before and after.
CREATE OR REPLACE FUNCTION hooked.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
DECLARE
    other sync_job;
BEGIN
    IF source_doc.id = 1 THEN
        other := execute_sync_job(enqueue_sync_job('Hooked', '2', '{"operation": "insert"}'));
    END IF;
    target_doc.id := source_doc.id;
    target_doc.note := format('%s, other: %s, current is %s', source_doc.note, other.status,
        CASE current_sync_job() WHEN sync_job.id THEN 'this' WHEN other.id THEN 'the other' END);
END $$;
SELECT status, error FROM run('{}');
TABLE target;
DELETE FROM target WHERE id = 2;

-- Hooks with jsonb in place of row types; each returns something that is ignored.
DROP SCHEMA hooked CASCADE;
CREATE SCHEMA hooked;
CREATE FUNCTION hooked.said(hook text, sync_job jsonb, source_doc jsonb, extra jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%: % % source % extra %', hook, sync_job ->> 'status', sync_job ->> 'operation', source_doc, extra;
    RETURN '[1]';
END $$;
CREATE FUNCTION hooked.after_start(job jsonb, source jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT hooked.said('after_start', job, source) $$;
CREATE FUNCTION hooked.get_target_document(job jsonb, source jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('operation', job -> 'context' ->> 'operation', 'target_document_name', source ->> 'id', 'target_document_type', 'target')
$$;
CREATE FUNCTION hooked.update_target_doc(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target || source FROM hooked.said('update_target_doc', job, source, target)
$$;
CREATE FUNCTION hooked.before_sync(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT job -> 'context' -> 'return' FROM hooked.said('before_sync', job, source, target)
$$;
CREATE FUNCTION hooked.after_sync(job jsonb, source jsonb, target jsonb) RETURNS int LANGUAGE sql AS $$ SELECT 1 FROM hooked.said('after_sync', job, source, target) $$;
CREATE FUNCTION hooked.finished(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT hooked.said('finished', job, source, target) $$;
CREATE FUNCTION hooked.failed(job jsonb, source jsonb, error jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT hooked.said('failed', job, source, error -> 'message') $$;
TRUNCATE target;
SELECT * FROM run('{"operation": "insert"}');
SELECT * FROM run('{"operation": "update", "return": {"stamped": "sparse"}}');
UPDATE source SET note = 'ena' WHERE id = 1;
SELECT * FROM run('{"operation": "update", "return": {"stamped": "sparse"}}');
SELECT * FROM run('{"operation": "update", "return": null}');
UPDATE source SET note = 'dua' WHERE id = 1;
SELECT * FROM run('{"operation": "update", "return": [1]}');
SELECT * FROM run('{"operation": "update", "return": null}');
SELECT * FROM run('{"operation": "delete", "return": {"note": "ignored in a delete"}}');
TABLE target;

-- A hook with a wrong signature, a procedure as a hook: the set-up is wrong, before anything has run.
UPDATE sync_job_type SET retry_delay = '1 day';
CREATE FUNCTION hooked.after_relay(job jsonb) RETURNS void LANGUAGE sql AS '';
SELECT * FROM run('{"operation": "insert"}');
DROP FUNCTION hooked.after_relay;
DROP FUNCTION hooked.finished;
CREATE PROCEDURE hooked.finished(job jsonb, source jsonb, target jsonb) LANGUAGE sql AS '';
SELECT * FROM run('{"operation": "insert"}');
SELECT detail FROM sync_job_error ORDER BY sync_job DESC LIMIT 1;
