-- What a job may do and keeps: insert_, update_, delete_enabled, update_without_changes_enabled, verbose_logging, dry_run.
-- Everything runs here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;

CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE target (id int PRIMARY KEY, note text CHECK (note <> 'checked'), owner int REFERENCES owner DEFERRABLE INITIALLY DEFERRED,
    nr serial, CONSTRAINT once UNIQUE (note) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE log (id serial, what text);
CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (what) VALUES (TG_WHEN || ' ' || TG_OP);
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER log_before BEFORE INSERT OR UPDATE OR DELETE ON target FOR EACH ROW EXECUTE FUNCTION log_write();
CREATE CONSTRAINT TRIGGER log_deferred AFTER INSERT OR UPDATE OR DELETE ON target DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION log_write();

-- The operation is the context's; every function logs and tells.
CREATE SCHEMA flagged;
CREATE FUNCTION flagged.tell(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (what) VALUES (what);
    RAISE DEBUG 'debug of %', what;
    RAISE NOTICE 'notice of %', what;
    RAISE WARNING 'warning of %', what USING DETAIL = 'with a detail', HINT = 'and a hint';
END $$;
CREATE FUNCTION flagged.after_start(sync_job sync_job, source_doc source) RETURNS void LANGUAGE sql AS $$ SELECT flagged.tell('after_start') $$;
CREATE FUNCTION flagged.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell('get_target_document');
    RETURN sync_job_target(sync_job.context ->> 'do', target_document_name => source_doc.id::text);
END $$;
CREATE FUNCTION flagged.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell('update_target_doc');
    target_doc.id := source_doc.id;
    target_doc.note := source_doc.note;
    target_doc.owner := sync_job.context ->> 'owner';
END $$;
CREATE FUNCTION flagged.before_sync(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE sql AS $$ SELECT flagged.tell('before_sync') $$;
CREATE FUNCTION flagged.after_sync(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE sql AS $$ SELECT flagged.tell('after_sync') $$;
CREATE FUNCTION flagged.finished(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE sql AS $$ SELECT flagged.tell('finished') $$;
CREATE FUNCTION flagged.failed(sync_job sync_job, source_doc source, error jsonb) RETURNS void LANGUAGE sql AS $$ SELECT flagged.tell('failed') $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, retry_delay) VALUES ('Flagged', 'source', 'target', '1 hour');
SELECT * FROM validate_sync_job_type('Flagged');
INSERT INTO source VALUES (1, 'one'), (2, 'two');

CREATE FUNCTION run(source int, context jsonb, VARIADIC more text[] DEFAULT '{}')
RETURNS TABLE (status text, operation text, name text, diff jsonb, before jsonb, after jsonb, error text) LANGUAGE sql AS $$
    SELECT j.status, j.operation, j.target_document_name, j.diff_summary, j.current_data, j.updated_data, split_part(j.error_message, E'\nCONTEXT', 1)
    FROM execute_sync_job(enqueue_sync_job(jsonb_object(more) || jsonb_build_object('sync_job_type', 'Flagged',
        'source_document_name', source, 'context', context))) AS j
$$;
CREATE FUNCTION logged() RETURNS text LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM log RETURNING id, what)
    SELECT string_agg(what, ', ' ORDER BY id) FROM gone
$$;
SET client_min_messages = error;

-- ---- Not enabled: Skipped, after discovery, before anything of the target is touched ----

SELECT * FROM run(1, '{"do": "insert"}', 'insert_enabled', 'false');
SELECT logged();
SELECT * FROM run(1, '{"do": "insert"}', 'update_enabled', 'false', 'delete_enabled', 'false');
SELECT logged();
UPDATE source SET note = 'changed' WHERE id = 1;
SELECT * FROM run(1, '{"do": "update"}', 'update_enabled', 'false');
SELECT logged();
SELECT * FROM run(2, '{"do": "update"}', 'update_enabled', 'false');
SELECT * FROM run(1, '{"do": "delete"}', 'delete_enabled', 'false');
SELECT id, note FROM target;
SELECT logged() IS NOT NULL AS logged;
-- The same with the operation given at enqueue.
SELECT * FROM run(1, '{}', 'operation', 'update', 'target_document_name', '1', 'update_enabled', 'false');
SELECT logged();

-- ---- An update that changes nothing ----

SELECT * FROM run(1, '{"do": "update"}');
SELECT logged();
SELECT * FROM run(1, '{"do": "update"}');
SELECT logged();
SELECT * FROM run(1, '{"do": "update"}', 'update_without_changes_enabled', 'true');
SELECT logged();

-- ---- Verbose: messages, snapshots, and the diff of every operation ----

SELECT * FROM run(2, '{"do": "insert"}', 'verbose_logging', 'true');
SELECT messages FROM sync_job ORDER BY id DESC LIMIT 1;
UPDATE source SET note = 'zwei' WHERE id = 2;
SELECT * FROM run(2, '{"do": "update"}', 'verbose_logging', 'true');
SELECT * FROM run(2, '{"do": "update"}', 'verbose_logging', 'true');
SELECT * FROM run(2, '{"do": "delete"}', 'verbose_logging', 'true');
SELECT * FROM run(2, '{"do": "delete"}', 'verbose_logging', 'true');
SELECT status, operation, length(messages) > 0 AS messages FROM sync_job WHERE verbose_logging ORDER BY id;
-- Without, nothing of it; and the diff of updates only.
SELECT * FROM run(2, '{"do": "insert"}');
SELECT messages FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT * FROM run(2, '{"do": "delete"}');
-- As the type says, and as the job says otherwise.
UPDATE sync_job_type SET verbose_logging = true;
SELECT after FROM run(2, '{"do": "insert"}');
SELECT after FROM run(2, '{"do": "update"}', 'update_without_changes_enabled', 'true', 'verbose_logging', 'false');
UPDATE sync_job_type SET verbose_logging = false;
-- What raised before the failure is kept, with the snapshots, also without.
UPDATE source SET note = 'checked' WHERE id = 2;
SELECT * FROM run(2, '{"do": "update"}');
SELECT messages FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT * FROM run(2, '{"do": "update"}', 'verbose_logging', 'true');
SELECT messages FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT logged() IS NOT NULL AS logged;

-- ---- A dry run writes nothing, and says what it would ----

CREATE VIEW state AS SELECT (SELECT count(*) FROM log) AS logged, (SELECT string_agg(note, ', ' ORDER BY id) FROM target) AS targets;
SELECT * FROM state;
INSERT INTO source VALUES (3, 'three');
SELECT * FROM run(3, '{"do": "insert"}', 'dry_run', 'true');
SELECT * FROM run(3, '{"do": "insert"}', 'dry_run', 'true', 'verbose_logging', 'true');
-- The hooks around the write are left out; the triggers of the target fire.
SELECT messages FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT * FROM run(1, '{"do": "update"}', 'dry_run', 'true');
UPDATE source SET note = 'would be' WHERE id = 1;
SELECT * FROM run(1, '{"do": "update"}', 'dry_run', 'true');
SELECT * FROM run(1, '{"do": "delete"}', 'dry_run', 'true');
SELECT * FROM state;
-- Constraints hold: checks, and those that are deferred, of its own.
SELECT * FROM run(2, '{"do": "update"}', 'dry_run', 'true');
SELECT * FROM run(1, '{"do": "update", "owner": 5}', 'dry_run', 'true');
INSERT INTO source VALUES (4, 'changed');
SELECT * FROM run(4, '{"do": "insert"}', 'dry_run', 'true');
SELECT * FROM state;
-- What the transaction has broken before is not its doing.
BEGIN;
INSERT INTO target (id, note, owner) VALUES (8, 'without an owner', 8);
SELECT * FROM run(3, '{"do": "insert"}', 'dry_run', 'true');
ROLLBACK;
-- Sequences move.
SELECT nextval('target_nr_seq') - max(nr) > 1 AS moved FROM target;
-- In a batch with others, of which those that are not dry write.
SELECT enqueue_sync_job('Flagged', 3, '{"do": "insert"}', dry_run => true) IS NOT NULL AS dry,
    enqueue_sync_job('Flagged', 3, '{"do": "insert"}') IS NOT NULL AS wet,
    enqueue_sync_job('Flagged', 1, '{"do": "update"}', dry_run => true) IS NOT NULL AS dry;
CALL run_sync_jobs();
SELECT status, operation, dry_run, diff_summary FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT 3) AS j ORDER BY id;
SELECT targets FROM state;
-- A bypass function, and a procedure that commits.
CREATE SCHEMA bypass;
CREATE FUNCTION bypass.execute(sync_job sync_job, source_doc source) RETURNS sync_job_result LANGUAGE sql
    AS $$ INSERT INTO target (id, note) VALUES (source_doc.id, source_doc.note) RETURNING sync_job_result('target', id::text, 'insert', '{"own": "diff"}') $$;
CREATE SCHEMA committing;
CREATE PROCEDURE committing.execute(sync_job sync_job, source_doc source) LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO target (id, note) VALUES (source_doc.id, source_doc.note); COMMIT; END $$;
INSERT INTO source VALUES (5, 'five');
INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('Bypass', 'source', 'bypass'), ('Committing', 'source', 'committing');
SELECT j.status, j.operation, j.target_document_name, j.diff_summary FROM execute_sync_job(enqueue_sync_job('Bypass', 5, dry_run => true)) AS j;
SELECT j.status, split_part(j.error_message, E'\nCONTEXT', 1) AS error FROM execute_sync_job(enqueue_sync_job('Committing', 5, dry_run => true)) AS j;
-- A controller that relays: the children are dry runs, too.
CREATE SCHEMA relaying;
CREATE FUNCTION relaying.get_multiple_target_documents(sync_job sync_job, source_doc source) RETURNS SETOF sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('insert', context => jsonb_build_object('n', n)) FROM generate_series(10, 11) AS n $$;
CREATE FUNCTION relaying.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.id := sync_job.context ->> 'n';
    target_doc.note := sync_job.context ->> 'n';
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Relaying', 'source', 'target', 'relaying');
SELECT j.status, j.multiple_target_documents FROM execute_sync_job(enqueue_sync_job('Relaying', 5, dry_run => true, verbose_logging => true)) AS j;
CALL run_sync_jobs();
SELECT status, dry_run, verbose_logging, source_document_name, operation, target_document_name, context, diff_summary
FROM sync_job WHERE parent_sync_job IS NOT NULL ORDER BY id;
SELECT targets FROM state;
