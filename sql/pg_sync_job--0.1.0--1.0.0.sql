\echo Use "ALTER EXTENSION pg_sync_job UPDATE TO '1.0.0'" to load this file. \quit

-- A server keeps using the library that it has loaded, whatever has been installed since. The one of 0.1.0 does not tell its version.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
    IF pg_catalog.current_setting('sync_job.library_version', true) IS NULL THEN
        RAISE SQLSTATE '55000' USING MESSAGE := 'the library of pg_sync_job 0.1.0 is still loaded',
            HINT := 'Restart the server, then use ALTER EXTENSION pg_sync_job UPDATE.';
    END IF;
END $$;

-- All tables are locked before any is changed. It waits only for the first lock, while it holds nothing; so a transaction that has
-- read one of the tables and then enqueues cannot deadlock with this one, and lose its write. If it does not get all locks within some
-- tenths of a second, it releases them and tries again, less and less often, so that others do not queue behind it for a long transaction.
DO $$
DECLARE
    began timestamptz := pg_catalog.clock_timestamp();
    pause double precision := 0.1;
    tried timestamptz;
    target pg_catalog.regclass;
    patience CONSTANT text := pg_catalog.current_setting('lock_timeout');
BEGIN
    LOOP
        BEGIN
            SET LOCAL lock_timeout TO '300 ms';
            LOCK TABLE @extschema@.sync_job_type IN ACCESS EXCLUSIVE MODE;
            PERFORM pg_catalog.set_config('lock_timeout', patience, true);
            tried := pg_catalog.clock_timestamp();
            FOR target IN
                SELECT c.oid FROM pg_catalog.pg_extension AS e
                JOIN pg_catalog.pg_depend AS d ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
                    AND d.refobjid OPERATOR(pg_catalog.=) e.oid AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) d.objid
                WHERE e.extname OPERATOR(pg_catalog.=) 'pg_sync_job' AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::"char"[])
                ORDER BY c.oid
            LOOP
                LOOP
                    BEGIN
                        EXECUTE pg_catalog.format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE NOWAIT', target);
                        EXIT;
                    EXCEPTION WHEN lock_not_available THEN
                        IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) (tried OPERATOR(pg_catalog.+) interval '0.3 s') THEN RAISE; END IF;
                    END;
                    PERFORM pg_catalog.pg_sleep(0.005);
                END LOOP;
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF patience OPERATOR(pg_catalog.<>) '0' AND pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) (began OPERATOR(pg_catalog.+) patience::pg_catalog.interval) THEN
                RAISE;
            END IF;
        END;
        PERFORM pg_catalog.pg_sleep(pause);
        pause := LEAST(pause OPERATOR(pg_catalog.*) 2, 5);
    END LOOP;
END $$;

ALTER TABLE @extschema@.sync_job ADD COLUMN depth integer, ADD COLUMN documents integer, ADD COLUMN source_documents text[],
    ADD COLUMN relation text COLLATE "C", ADD COLUMN held boolean;
COMMENT ON COLUMN @extschema@.sync_job.depth IS 'how many jobs led to this one, each through a trigger on what the previous one wrote; NULL: none';
COMMENT ON COLUMN @extschema@.sync_job.held IS 'true: Queued, but ordinary workers leave it alone, because its type is paused or is an HTTP push; NULL: not held';
DROP INDEX sync_job_internal.sync_job_live_claim;
DROP INDEX sync_job_internal.sync_job_live_scheduled;
CREATE INDEX sync_job_live_claim ON sync_job_internal.sync_job_live (queue, run_as, priority, id)
    WHERE status OPERATOR(pg_catalog.=) 'Queued' AND scheduled_at IS NULL AND held IS NOT TRUE;
CREATE INDEX sync_job_live_scheduled ON sync_job_internal.sync_job_live (queue, run_as, scheduled_at, priority, id)
    WHERE status OPERATOR(pg_catalog.=) 'Queued' AND scheduled_at IS NOT NULL AND held IS NOT TRUE;
-- Held jobs are in neither of these two.
CREATE INDEX sync_job_live_held ON sync_job_internal.sync_job_live (sync_job_type, priority, id)
    WHERE status OPERATOR(pg_catalog.=) 'Queued' AND held;
-- Jobs of HTTP pushes, in the order in which their workers claim them.
CREATE INDEX sync_job_live_push ON sync_job_internal.sync_job_live (queue, run_as, sync_job_type, priority, id)
    WHERE status OPERATOR(pg_catalog.=) 'Queued' AND held;

-- New columns of a type.
ALTER TABLE @extschema@.sync_job_type ADD COLUMN set_size integer NOT NULL DEFAULT 1, ADD COLUMN insert_enabled boolean NOT NULL DEFAULT true,
    ADD COLUMN update_enabled boolean NOT NULL DEFAULT true, ADD COLUMN delete_enabled boolean NOT NULL DEFAULT true,
    ADD COLUMN paused boolean NOT NULL DEFAULT false, ADD COLUMN source_condition text,
    ADD COLUMN on_delete text NOT NULL DEFAULT 'delete', ADD COLUMN ignore_synced boolean NOT NULL DEFAULT false,
    ADD COLUMN surplus_condition text;
COMMENT ON COLUMN @extschema@.sync_job_type.insert_enabled IS 'false: no job of the type inserts; a job that would insert ends as Skipped. What counts is the value when the job runs';
COMMENT ON COLUMN @extschema@.sync_job_type.update_enabled IS 'false: no job of the type updates';
COMMENT ON COLUMN @extschema@.sync_job_type.delete_enabled IS 'false: no job of the type deletes';
COMMENT ON COLUMN @extschema@.sync_job_type.paused IS 'true: none of its jobs starts. They are still enqueued, and keep their place; see pause_sync_job_type()';
COMMENT ON COLUMN @extschema@.sync_job_type.field_map IS 'declarative controller: what to set in the target, {"target column": "source column" | {"value": constant} | {"expr": "SQL over source, context and target"}}; objects may also have a rule, "only": "insert", "null" or "unedited"';
COMMENT ON COLUMN @extschema@.sync_job_type.source_condition IS 'SQL over source: for this type, a row for which it is not true does not exist. A row that stops meeting it is synced as a deletion; NULL: all rows exist';
COMMENT ON COLUMN @extschema@.sync_job_type.on_delete IS 'what happens to a target whose source is gone: delete; keep; or, for a soft delete, a JSON object of columns and the values to set';
COMMENT ON COLUMN @extschema@.sync_job_type.ignore_synced IS 'true: its triggers ignore what was written by a job whose source is the target of this type';
COMMENT ON COLUMN @extschema@.sync_job_type.surplus_condition IS 'SQL over target: only targets for which it holds are surplus when no source maps to them; NULL: all. Needed where several types have the same target';
COMMENT ON COLUMN @extschema@.sync_job.insert_enabled IS 'false: an insert ends as Skipped. This is what was requested; the type may still forbid it';
COMMENT ON COLUMN @extschema@.sync_job.update_enabled IS 'false: an update ends as Skipped. This is what was requested; the type may still forbid it';
COMMENT ON COLUMN @extschema@.sync_job.delete_enabled IS 'false: a delete ends as Skipped. This is what was requested; the type may still forbid it';
-- For columns that a type sets only while nobody has edited them. This is not a log: it outlives the logs, and is part of a dump.
CREATE TABLE sync_job_internal.written (
    sync_job_type text COLLATE "C" NOT NULL,
    document_type regclass NOT NULL,
    document      bigint NOT NULL,
    hashes        jsonb NOT NULL,
    PRIMARY KEY (sync_job_type, document_type, document)
);
COMMENT ON TABLE sync_job_internal.written IS 'What the jobs of a type last wrote into the columns whose rule is "only": "unedited"';
COMMENT ON COLUMN sync_job_internal.written.sync_job_type IS 'the job type';
COMMENT ON COLUMN sync_job_internal.written.document_type IS 'the relation of the target';
COMMENT ON COLUMN sync_job_internal.written.document IS 'hash of the name of the target';
COMMENT ON COLUMN sync_job_internal.written.hashes IS 'SHA-256 of the value as JSON, by column';
CREATE INDEX written_document ON sync_job_internal.written (document_type, document);
REVOKE ALL ON sync_job_internal.written FROM PUBLIC;
CREATE FUNCTION @extschema@.pause_sync_job_type(sync_job_type text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause_type';
COMMENT ON FUNCTION @extschema@.pause_sync_job_type(text) IS 'starts no more jobs of the type; running jobs go on, and triggers still enqueue; for operators, and roles that may become its run_as';
CREATE FUNCTION @extschema@.resume_sync_job_type(sync_job_type text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_resume_type';
COMMENT ON FUNCTION @extschema@.resume_sync_job_type(text) IS 'starts jobs of the type again: all that wait, in their order; for operators, and roles that may become its run_as';
CREATE FUNCTION @extschema@.attach_sync_job_triggers(sync_job_type text, source regclass, level text DEFAULT 'row',
        deduplicate boolean DEFAULT true, keep_deleted boolean DEFAULT true, columns text[] DEFAULT NULL, OUT trigger_name text) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_attach_triggers';
COMMENT ON FUNCTION @extschema@.attach_sync_job_triggers(text, regclass, text, boolean, boolean, text[]) IS 'creates the triggers that enqueue jobs of the type for every change of the table; level: row, or statement (one insert of jobs, however many rows); columns: for a type with code, an update enqueues a job only if one of these changed; returns their names; for the owner of the table';
DO $gates$
DECLARE
    function pg_catalog.oid;
BEGIN
    FOR function IN SELECT p.oid FROM pg_catalog.pg_proc AS p
            WHERE p.proname OPERATOR(pg_catalog.=) ANY (ARRAY['enqueue_sync_job', 'enqueue_sync_jobs']::pg_catalog.name[])
              AND p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid AND p.pronargdefaults OPERATOR(pg_catalog.>) 0 LOOP
        EXECUTE pg_catalog.regexp_replace(pg_catalog.pg_get_functiondef(function),
            '((insert|update|delete)_enabled boolean) DEFAULT true', '\1 DEFAULT NULL', 'g');
    END LOOP;
END
$gates$;
DO $group$
DECLARE
    function pg_catalog.oid;
BEGIN
    SELECT p.oid INTO STRICT function FROM pg_catalog.pg_proc AS p
        WHERE p.proname OPERATOR(pg_catalog.=) 'enqueue_sync_jobs' AND p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid;
    EXECUTE pg_catalog.replace(pg_catalog.pg_get_functiondef(function), 'triggered_by_doc record DEFAULT NULL::record',
        'triggered_by_doc record DEFAULT NULL::record, job_group text DEFAULT NULL::text');
END
$group$;
-- Restores owner and privileges of functions that are created anew. Only for this script, which drops it at its end.
CREATE FUNCTION sync_job_internal.give_function(function pg_catalog.regprocedure, owner pg_catalog.regrole, privileges pg_catalog.aclitem[])
    RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $give$
DECLARE
    granted record;
BEGIN
    EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO %s', function, owner);
    IF privileges IS NOT NULL THEN
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
        FOR granted IN SELECT grantee, is_grantable FROM pg_catalog.aclexplode(privileges) LOOP
            EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s', function, CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::pg_catalog.regrole::pg_catalog.text END)
                OPERATOR(pg_catalog.||) CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END;
        END LOOP;
    END IF;
END
$give$;

-- Functions that get one more argument: owner and privileges stay.
DO $signatures$
DECLARE
    name pg_catalog.name;
    was pg_catalog.regprocedure;
    function pg_catalog.regprocedure;
    owner pg_catalog.regrole;
    privileges pg_catalog.aclitem[];
BEGIN
    FOREACH name IN ARRAY ARRAY['attach_sync_job_triggers', 'enqueue_sync_jobs']::pg_catalog.name[] LOOP
        SELECT p.oid, p.proowner, p.proacl INTO STRICT was, owner, privileges FROM pg_catalog.pg_proc AS p
            WHERE p.proname OPERATOR(pg_catalog.=) name AND p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
            ORDER BY p.pronargs LIMIT 1;
        SELECT p.oid INTO STRICT function FROM pg_catalog.pg_proc AS p
            WHERE p.proname OPERATOR(pg_catalog.=) name AND p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
            ORDER BY p.pronargs DESC LIMIT 1;
        EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', function,
            coalesce(pg_catalog.obj_description(function, 'pg_proc'), pg_catalog.obj_description(was, 'pg_proc')));
        PERFORM sync_job_internal.give_function(function, owner, privileges);
        EXECUTE pg_catalog.format('DROP FUNCTION %s', was);
    END LOOP;
END
$signatures$;

-- Set jobs: many documents, one job.
COMMENT ON COLUMN @extschema@.sync_job_type.set_size IS 'the most documents in a set job, for documents that come in bulk (statement-level triggers, enqueue_sync_jobs()); 1: one job per document; at most 1000';
COMMENT ON COLUMN @extschema@.sync_job_type.verbose_logging IS 'keep what the controller raises, the snapshots of the target, and the diff of inserts, with the job';
COMMENT ON COLUMN @extschema@.sync_job.parent_sync_job IS 'the job that this one comes from; relation says how';
COMMENT ON COLUMN @extschema@.sync_job.result IS 'what background work returned; for a set job: how many of its documents it inserted, updated, ..., and handed over to jobs of their own';
COMMENT ON COLUMN @extschema@.sync_job.documents IS 'set job: the number of its documents; NULL: a job for one document, or for none';
COMMENT ON COLUMN @extschema@.sync_job.source_documents IS 'set job that waits: the source documents that it still has to sync; NULL once it has ended: see sync_job_document';
COMMENT ON COLUMN @extschema@.sync_job.relation IS 'what links the job to parent_sync_job: relay (one of its targets), set (a document that has left it), replay (applies or reverts it), callback (follows its end), rerun (runs it again); NULL: the caller named the parent';
CREATE TABLE @extschema@.sync_job_document (
    sync_job             bigint NOT NULL,
    source_document_name text COLLATE "C" NOT NULL,
    target_document_name text COLLATE "C",
    operation            text COLLATE "C",
    status               text COLLATE "C" NOT NULL,
    diff_summary         jsonb,
    fingerprint          uuid
);
-- Names of any length, as in the history. Rows of a set lie side by side.
CREATE INDEX sync_job_document_source ON @extschema@.sync_job_document USING spgist (source_document_name);
CREATE INDEX sync_job_document_set ON @extschema@.sync_job_document USING brin (sync_job) WITH (pages_per_range = 8);
ALTER TABLE @extschema@.sync_job_document REPLICA IDENTITY FULL;
COMMENT ON TABLE @extschema@.sync_job_document IS 'What jobs for many documents (sets, full syncs, undoing) have done: one row for each document that one of them changed. sync_job_document_history shows them together with the jobs for one document';
COMMENT ON COLUMN @extschema@.sync_job_document.sync_job IS 'the job for many documents, sync_job.id';
COMMENT ON COLUMN @extschema@.sync_job_document.source_document_name IS 'the source document, as in sync_job.source_document_name';
COMMENT ON COLUMN @extschema@.sync_job_document.target_document_name IS 'the target document';
COMMENT ON COLUMN @extschema@.sync_job_document.operation IS 'Insert, Update or Delete';
COMMENT ON COLUMN @extschema@.sync_job_document.status IS 'Finished; with verbose_logging also Skipped or No Target';
COMMENT ON COLUMN @extschema@.sync_job_document.diff_summary IS 'what changed, as in sync_job.diff_summary; for inserts only with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job_document.fingerprint IS 'for an insert: a hash of the row as it was stored, which shows whether it has been changed since';
-- What a set did to documents is target data, as in the row of a job.
ALTER TABLE @extschema@.sync_job_document ENABLE ROW LEVEL SECURITY;
CREATE POLICY job ON @extschema@.sync_job_document FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job
                   AND (j.target_document_type IS NOT NULL OR pg_catalog.pg_has_role(j.run_as, 'USAGE')
                        OR (SELECT sync_job_internal.has_level('operator', 'viewer')))));
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
GRANT SELECT ON @extschema@.sync_job_document, @extschema@.sync_job_document_history TO PUBLIC;

ALTER TABLE @extschema@.sync_job_deleted_document ADD COLUMN sync_job_type text, ADD COLUMN is_deletion boolean NOT NULL DEFAULT true;
COMMENT ON TABLE @extschema@.sync_job_deleted_document IS 'Rows as they were before they were deleted, or changed in a column that match reads; kept by the triggers for the jobs that sync the change';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.data IS 'the row; columns that were too large are named under the key ""';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_at IS 'when it was deleted, or changed';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_by IS 'who deleted it, or changed it';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.sync_job_type IS 'the job type whose trigger kept it; NULL: unknown, because version 0.1.0 kept it';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.is_deletion IS 'false: the document was not deleted, but changed in a column that match reads; or it has been seen to exist since';

-- Called by a view that must also be readable with an older library. So each is wrapped in a function whose body is not looked
-- at before it is called.
CREATE FUNCTION sync_job_internal.find_trouble_of_queue(queue text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_trouble_of_queue';
COMMENT ON FUNCTION sync_job_internal.find_trouble_of_queue(text) IS 'what trouble_of_queue() returns';
CREATE FUNCTION sync_job_internal.trouble_of_queue(queue text) RETURNS text
    LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
    AS 'SELECT sync_job_internal.find_trouble_of_queue($1)';
COMMENT ON FUNCTION sync_job_internal.trouble_of_queue(text) IS 'why jobs of the queue wait, as far as the cause is the launcher, the scheduler or the workers; and the job types that its workers run alone, because jobs of them took too long for a batch; NULL: nothing of the kind';
REVOKE ALL ON FUNCTION sync_job_internal.trouble_of_queue(text), sync_job_internal.find_trouble_of_queue(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.trouble_of_queue(text), sync_job_internal.find_trouble_of_queue(text) TO PUBLIC;

-- The names of a set are stored only for a moment, and compressing them takes a tenth of the time in which a statement's trigger makes a set.
ALTER TABLE sync_job_internal.sync_job_live ALTER COLUMN source_documents SET STORAGE EXTERNAL;

-- Replica identities, for publications; and what others have attached to the extension's tables.
ALTER TABLE sync_job_internal.sync_job_live REPLICA IDENTITY USING INDEX sync_job_live_id;
ALTER TABLE sync_job_internal.sync_job_failed REPLICA IDENTITY USING INDEX sync_job_failed_id;
ALTER TABLE sync_job_internal.sync_job_ended REPLICA IDENTITY USING INDEX sync_job_ended_id;
ALTER TABLE sync_job_internal.home REPLICA IDENTITY FULL;

CREATE FUNCTION sync_job_internal.find_in_the_way() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_in_the_way';
COMMENT ON FUNCTION sync_job_internal.find_in_the_way() IS 'what in_the_way() returns';
CREATE FUNCTION sync_job_internal.in_the_way() RETURNS text
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
    AS 'SELECT sync_job_internal.find_in_the_way()';
COMMENT ON FUNCTION sync_job_internal.in_the_way() IS 'what somebody has attached to the extension''s tables that keeps jobs from being written, or types from being trusted; NULL: nothing';
REVOKE ALL ON FUNCTION sync_job_internal.in_the_way(), sync_job_internal.find_in_the_way() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.in_the_way(), sync_job_internal.find_in_the_way() TO PUBLIC;

ALTER TABLE @extschema@.sync_job ADD COLUMN worker_pid integer, ADD COLUMN fingerprint uuid, ADD COLUMN traceparent text COLLATE "C";
COMMENT ON COLUMN @extschema@.sync_job.worker_pid IS 'process of the last attempt, as in the server log: a worker, or the session that ran it';
COMMENT ON COLUMN @extschema@.sync_job.fingerprint IS 'for an insert: a hash of the row as it was stored, which shows whether it has been changed since';
COMMENT ON COLUMN @extschema@.sync_job.traceparent IS 'the trace to which it belongs, in the format of W3C Trace Context: sync_job.traceparent of the session, or of the job, that enqueued it';
CREATE INDEX sync_job_failed_group ON sync_job_internal.sync_job_failed USING hash (job_group) WHERE job_group IS NOT NULL;

-- For drivers that send parameters without types: PostgreSQL takes such a parameter for text.
CREATE FUNCTION @extschema@.start_sync_job(id text) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start';
COMMENT ON FUNCTION @extschema@.start_sync_job(text) IS 'the same, for a parameter that has no type';
CREATE FUNCTION @extschema@.retry_sync_job(id text, context jsonb DEFAULT NULL) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry';
COMMENT ON FUNCTION @extschema@.retry_sync_job(text, jsonb) IS 'the same, for a parameter that has no type';
CREATE FUNCTION @extschema@.cancel_sync_job(id text, reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(text, text, boolean) IS 'the same, for a parameter that has no type';

-- The forms for several jobs have names of their own. The next version removes the forms that share a name with the one for a single job.
CREATE FUNCTION @extschema@.start_sync_jobs(ids bigint[]) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start_many';
COMMENT ON FUNCTION @extschema@.start_sync_jobs(bigint[]) IS 'queues those of the jobs that are Pending, and returns them';
CREATE FUNCTION @extschema@.retry_sync_jobs(ids bigint[], context jsonb DEFAULT NULL) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry_many';
COMMENT ON FUNCTION @extschema@.retry_sync_jobs(bigint[], jsonb) IS 'queues again those of the jobs that are Failed, and returns them';
CREATE FUNCTION @extschema@.cancel_sync_jobs(ids bigint[], reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel_many';
COMMENT ON FUNCTION @extschema@.cancel_sync_jobs(bigint[], text, boolean) IS 'cancels those of the jobs that can be canceled, and returns them';

CREATE FUNCTION @extschema@.rerun_sync_job(id bigint, context jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_rerun';
COMMENT ON FUNCTION @extschema@.rerun_sync_job(bigint, jsonb) IS 'enqueues an ended job again, as a new job that has the old one as parent_sync_job, with another context if one is given; returns the new id';
CREATE FUNCTION @extschema@.delete_sync_job(id bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_delete';
COMMENT ON FUNCTION @extschema@.delete_sync_job(bigint) IS 'deletes a job that has ended, with its errors; an error while another job waits for it';
REVOKE EXECUTE ON FUNCTION @extschema@.delete_sync_job(bigint) FROM PUBLIC;
CREATE PROCEDURE @extschema@.wait_for_sync_jobs(ids bigint[] DEFAULT NULL, job_group text DEFAULT NULL, timeout interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_wait_many';
COMMENT ON PROCEDURE @extschema@.wait_for_sync_jobs(bigint[], text, interval) IS 'returns when all of the jobs, and all jobs of the group that the caller may know of, have ended; raises an error if that takes longer than timeout (NULL: no limit)';
CREATE OR REPLACE FUNCTION @extschema@.get_sync_job_status(id bigint, OUT status text, OUT created_at timestamptz,
        OUT scheduled_at timestamptz, OUT started_at timestamptz, OUT ended_at timestamptz, OUT retry_count integer,
        OUT retry_after timestamptz) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_status';
COMMENT ON FUNCTION @extschema@.get_sync_job_status(bigint) IS 'state and times of a job, for its owner even without the right to read what the job writes; raises an error if there is no such job';
CREATE OR REPLACE FUNCTION @extschema@.get_sync_job_status(job_id text, OUT id bigint, OUT status text, OUT percent numeric,
        OUT created_at timestamptz, OUT started_at timestamptz, OUT ended_at timestamptz, OUT result jsonb,
        OUT error_message text) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_status_by_key';
COMMENT ON FUNCTION @extschema@.get_sync_job_status(text) IS 'state, progress, times, result and error of the newest job with that job_id that the caller may know of, or else of the job with that id; raises an error if there is none';

-- Errors in the set-up are recorded.
CREATE TABLE @extschema@.sync_job_setup_error (
    sync_job_type text COLLATE "C" NOT NULL,
    since         timestamptz NOT NULL,
    sqlstate      text NOT NULL,
    message       text NOT NULL,
    detail        text,
    hint          text,
    held_since    timestamptz
);
-- Messages may be longer than an entry of a B-tree.
CREATE UNIQUE INDEX sync_job_setup_error_cause ON @extschema@.sync_job_setup_error
    (sync_job_type, pg_catalog.hashtextextended(message COLLATE "C", 0::pg_catalog.int8));
ALTER TABLE @extschema@.sync_job_setup_error REPLICA IDENTITY FULL;
COMMENT ON TABLE @extschema@.sync_job_setup_error IS 'Job types whose set-up is broken, one row per cause: their jobs fail without using up retries. A row is removed when no job of the type fails that way any more';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.sync_job_type IS 'the job type';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.since IS 'when a job first failed that way';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.message IS 'primary message';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.detail IS 'DETAIL of the error';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.hint IS 'HINT of the error';
COMMENT ON COLUMN @extschema@.sync_job_setup_error.held_since IS 'since when jobs that failed that way are no longer retried; NULL: they are retried. See sync_job.setup_retry_limit';
CREATE INDEX sync_job_failed_type ON sync_job_internal.sync_job_failed (sync_job_type);
-- Whoever sees the type sees what is wrong with it.
ALTER TABLE @extschema@.sync_job_setup_error ENABLE ROW LEVEL SECURITY;
CREATE POLICY type ON @extschema@.sync_job_setup_error FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) sync_job_type));
GRANT SELECT ON @extschema@.sync_job_setup_error TO PUBLIC;

CREATE OR REPLACE VIEW @extschema@.sync_job_queue_status WITH (security_invoker = true) AS
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
COMMENT ON COLUMN @extschema@.sync_job_queue_status.note IS 'the reasons why its jobs wait, or run slower than they could';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.failed IS 'jobs that have failed for good, or are held because the set-up of their type is broken';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.retrying IS 'jobs that have failed and will be retried';

-- Schedules that pause.
ALTER TABLE @extschema@.sync_job_schedule ADD COLUMN paused boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN @extschema@.sync_job_schedule.paused IS 'true: pg_cron still calls it, but nothing is enqueued; see pause_sync_job_schedule()';
CREATE FUNCTION @extschema@.pause_sync_job_schedule(name text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause_schedule';
COMMENT ON FUNCTION @extschema@.pause_sync_job_schedule(text) IS 'enqueues nothing for the schedule until it is resumed; by its owner, or an operator';
CREATE FUNCTION @extschema@.resume_sync_job_schedule(name text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_resume_schedule';
COMMENT ON FUNCTION @extschema@.resume_sync_job_schedule(text) IS 'lets a paused schedule go on at its next time; by its owner, or an operator';
COMMENT ON FUNCTION @extschema@.run_sync_job_schedule(text) IS 'enqueues the job of a schedule now, as pg_cron does; returns its id; NULL: the schedule is paused';
CREATE OR REPLACE VIEW @extschema@.sync_job_schedules WITH (security_invoker = true) AS
    SELECT s.name, s.schedule, coalesce(s.sync_job_type, s.procedure) AS enqueues, s.params, s.queue, s.overlap, s.owner,
        CASE WHEN NOT s.paused THEN sync_job_internal.next_cron_time(s.cron, pg_catalog.now()) END AS next_run,
        j.id AS last_sync_job, j.created_at AS last_run, j.status AS last_status, j.error_message AS last_error, s.paused,
        s.owner::pg_catalog.text AS owner_name
    FROM @extschema@.sync_job_schedule AS s
    LEFT JOIN LATERAL (SELECT i.id, i.created_at, i.status, i.error_message FROM @extschema@.sync_job AS i
                       WHERE i.job_id OPERATOR(pg_catalog.=) ('schedule:' OPERATOR(pg_catalog.||) s.name)
                       AND i.owner OPERATOR(pg_catalog.=) s.owner -- anybody may use that job_id
                       ORDER BY i.id DESC LIMIT 1) AS j ON true;
COMMENT ON COLUMN @extschema@.sync_job_schedules.paused IS 'true: it enqueues nothing';
COMMENT ON COLUMN @extschema@.sync_job_schedules.owner_name IS 'the same as owner, as text, for comparisons';

-- A rerun is not a target of a relay.
CREATE OR REPLACE VIEW @extschema@.sync_job_relay WITH (security_invoker = true) AS
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

-- The scheduler clears old jobs. In an updated database it does so only once somebody has set for how long they are kept.
ALTER TABLE sync_job_internal.home ADD COLUMN clears_jobs boolean NOT NULL DEFAULT true;
UPDATE sync_job_internal.home SET clears_jobs = false;
COMMENT ON COLUMN sync_job_internal.home.clears_jobs IS 'true: the scheduler clears jobs by the default of sync_job.log_retention_days; false, in a database that was updated from a version that did not: only once the setting is set';
CREATE INDEX dependency_waits_for ON sync_job_internal.dependency (waits_for);
DO $$
DECLARE
    level text := pg_catalog.current_setting('client_min_messages');
BEGIN
    -- While it runs such a script, the server shows warnings only.
    IF level OPERATOR(pg_catalog.=) 'warning' THEN PERFORM pg_catalog.set_config('client_min_messages', 'notice', true); END IF;
    RAISE NOTICE USING MESSAGE := 'jobs that have ended are not cleared in this database until sync_job.log_retention_days is set',
        HINT := 'Set it in postgresql.conf, or with ALTER DATABASE ... SET; -1 keeps them for ever. In a new database the scheduler clears them after 30 days.';
    PERFORM pg_catalog.set_config('client_min_messages', level, true);
END $$;

CREATE OR REPLACE PROCEDURE @extschema@.clear_sync_job_logs(days integer DEFAULT NULL)
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
-- Freshness and alerts.
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

-- Whoever sees the type sees when it succeeded.
ALTER TABLE sync_job_internal.last_success ENABLE ROW LEVEL SECURITY;
CREATE POLICY type ON sync_job_internal.last_success FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) sync_job_type));
GRANT SELECT ON sync_job_internal.last_success TO PUBLIC;

-- The trigger and the policies say who may write. A lock on the table stops no job: the scheduler does not wait for it.
ALTER TABLE @extschema@.sync_job_alert ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job_alert FOR SELECT
    USING (pg_catalog.pg_has_role(owner, 'USAGE')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
CREATE POLICY make ON @extschema@.sync_job_alert FOR INSERT WITH CHECK (true);
CREATE POLICY change ON @extschema@.sync_job_alert FOR UPDATE USING ((SELECT sync_job_internal.has_level('operator')));
CREATE POLICY remove ON @extschema@.sync_job_alert FOR DELETE USING ((SELECT sync_job_internal.has_level('operator')));
GRANT SELECT, INSERT, UPDATE, DELETE ON @extschema@.sync_job_alert TO PUBLIC;
GRANT SELECT ON @extschema@.sync_job_freshness TO PUBLIC;
REVOKE ALL ON FUNCTION sync_job_internal.check_alert() FROM PUBLIC;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS a LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
               WHERE n.oid OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                 AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner AND NOT coalesce(r.rolsuper, false)) THEN
        RAISE WARNING USING MESSAGE := 'roles other than its owner may create objects in schema @extschema@: it is no longer on the search_path of jobs whose role does not trust them',
            HINT := 'REVOKE CREATE ON SCHEMA @extschema@ from them, and look for what is in it already; or name objects with their schema in controllers. validate_sync_job_type() shows which types are affected.';
    END IF;
END $$;

-- Changes since 0.1.0: jobs that come with a dump wait, whatever the dump loads first; dumps leave out what belongs to dropped
-- roles; only those who may read the source see errors that quote it.

-- False only if all rows of home, normally one, are of this server and database; true if there is none.
CREATE OR REPLACE FUNCTION sync_job_internal.waiting_elsewhere() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(pg_catalog.bool_or(h.system_identifier OPERATOR(pg_catalog.<>) s.system_identifier
                            OR h.database OPERATOR(pg_catalog.<>) (SELECT d.oid FROM pg_catalog.pg_database AS d
                                WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())), true)
          FROM sync_job_internal.home AS h CROSS JOIN pg_catalog.pg_control_system() AS s $$;

-- A restore writes jobs with SQL, which the engine never does. They must not run before adopt_sync_jobs() is called; and a
-- parallel restore may load them before or after the row of home.
CREATE FUNCTION sync_job_internal.rows_restored() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_rows_restored';
COMMENT ON FUNCTION sync_job_internal.rows_restored() IS 'trigger of sync_job and its partitions: jobs that come with a dump wait for adopt_sync_jobs()';
CREATE TRIGGER rows_restored BEFORE INSERT ON @extschema@.sync_job
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.rows_restored();
CREATE TRIGGER rows_restored BEFORE INSERT ON sync_job_internal.sync_job_live
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.rows_restored();
CREATE TRIGGER rows_restored BEFORE INSERT ON sync_job_internal.sync_job_failed
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.rows_restored();
ALTER TABLE @extschema@.sync_job ENABLE ALWAYS TRIGGER rows_restored;
ALTER TABLE sync_job_internal.sync_job_live ENABLE ALWAYS TRIGGER rows_restored;
ALTER TABLE sync_job_internal.sync_job_failed ENABLE ALWAYS TRIGGER rows_restored;

-- What a dump contains. It has roles and tables by name, but dropped ones as numbers, which may belong to others where the
-- dump is restored. So rows that belong to a dropped role, or are about a dropped table, are left out.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_queue', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_type',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_live',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))
       AND (triggered_by_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = triggered_by_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_failed',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))
       AND (triggered_by_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = triggered_by_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_ended',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))
       AND (triggered_by_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = triggered_by_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_error', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_document', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_deleted_document',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = document_type)');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_deleted_document_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.dependency', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.written',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = document_type)');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_event', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_schedule',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.home', '');
REVOKE ALL ON FUNCTION sync_job_internal.rows_restored() FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.access',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role)');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.type_grant',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role)');

-- pg_dump reads them whatever it dumps, also for a database owner who is not a superuser.
GRANT SELECT ON SEQUENCE sync_job_internal.sync_job_id_seq, @extschema@.sync_job_deleted_document_id_seq,
    @extschema@.sync_job_event_id_seq TO PUBLIC;

COMMENT ON FUNCTION sync_job_internal.may_read(regrole, regrole, regclass) IS 'the current role has the rights of a job''s owner, and may read its target (or source); if that is unknown, is gone, or has policies, the role must also have the rights of run_as';
DROP POLICY level ON @extschema@.sync_job;
ALTER POLICY owner ON @extschema@.sync_job RENAME TO see;
ALTER POLICY see ON @extschema@.sync_job
    USING ((SELECT sync_job_internal.has_level('operator', 'viewer'))
           OR ((sync_job_internal.may_read(owner, run_as, target_document_type)
                OR (target_document_type IS NULL AND error_message IS NULL AND current_data IS NULL AND updated_data IS NULL
                    AND multiple_target_documents IS NULL AND pg_catalog.pg_has_role(owner, 'USAGE')))
               AND (source_document_type IS NULL OR (error_message IS NULL AND messages IS NULL AND coalesce(operation, '') OPERATOR(pg_catalog.<>) 'Compare')
                    OR sync_job_internal.may_read(owner, run_as, source_document_type))));
ALTER POLICY job ON @extschema@.sync_job_error
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job
                   AND (((j.target_document_type IS NOT NULL OR pg_catalog.pg_has_role(j.run_as, 'USAGE'))
                         AND (j.source_document_type IS NULL
                              OR sync_job_internal.may_read(j.owner, j.run_as, j.source_document_type)))
                        OR (SELECT sync_job_internal.has_level('operator', 'viewer')))));

-- The caller's own keys may have any length: a hash of them is indexed.
DROP INDEX sync_job_internal.sync_job_live_group;
CREATE INDEX sync_job_live_group ON sync_job_internal.sync_job_live USING hash (job_group) WHERE job_group IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_live_job_id;
CREATE INDEX sync_job_live_job_id ON sync_job_internal.sync_job_live USING hash (job_id) WHERE job_id IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_failed_job_id;
CREATE INDEX sync_job_failed_job_id ON sync_job_internal.sync_job_failed USING hash (job_id) WHERE job_id IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_ended_job_id;
CREATE INDEX sync_job_ended_job_id ON sync_job_internal.sync_job_ended USING hash (job_id) WHERE job_id IS NOT NULL;

-- Names of documents may be longer than a B-tree entry.
DROP INDEX sync_job_internal.sync_job_live_source;
CREATE INDEX sync_job_live_source ON sync_job_internal.sync_job_live
    (sync_job_type, pg_catalog.hashtextextended(source_document_name, 0::pg_catalog.int8)) WHERE source_document_name IS NOT NULL;
DROP INDEX @extschema@.sync_job_deleted_document_name;
CREATE INDEX sync_job_deleted_document_name ON @extschema@.sync_job_deleted_document USING spgist (document_name);
DROP INDEX sync_job_internal.sync_job_ended_source;
CREATE INDEX sync_job_ended_source ON sync_job_internal.sync_job_ended USING spgist (source_document_name)
    WHERE source_document_name IS NOT NULL;

-- Comments in clearer words.
COMMENT ON COLUMN @extschema@.sync_job_queue.timeout IS 'time limit of jobs whose type sets none; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job_type.name IS 'the name under which jobs are enqueued, for example SAP Customer Sync';
COMMENT ON COLUMN @extschema@.sync_job_type.modified_at IS 'when the row was last changed';
COMMENT ON COLUMN @extschema@.sync_job_type.created_at IS 'when the row was created';
COMMENT ON COLUMN @extschema@.sync_job_type.disabled IS 'true: enqueueing is an error, triggers enqueue nothing; jobs that are already waiting still run';
COMMENT ON COLUMN @extschema@.sync_job.current_data IS 'the target as it was before; kept with verbose_logging, and when the job failed';
COMMENT ON COLUMN @extschema@.sync_job.updated_data IS 'the target afterwards, or, when the job failed, as the controller wanted it; kept in the same cases';
COMMENT ON COLUMN @extschema@.sync_job.after_failure IS 'what to do when one of them fails: cancel or run';
COMMENT ON COLUMN @extschema@.sync_job_schedule.schedule IS 'as it was given: a cron expression or a word';
COMMENT ON COLUMN @extschema@.sync_job_schedule.overlap IS 'true: enqueue even while the last job of the schedule waits or runs';
COMMENT ON COLUMN @extschema@.sync_job_schedules.overlap IS 'true: enqueue even while the last job waits or runs';
COMMENT ON COLUMN @extschema@.sync_job_schedule.owner IS 'who created it, and with whose rights it enqueues';
COMMENT ON COLUMN @extschema@.sync_job_schedule.created_at IS 'when it was created';
COMMENT ON COLUMN @extschema@.sync_job_schedules.owner IS 'who created it';
COMMENT ON VIEW @extschema@.sync_job_schedules IS 'The schedules, with their next run and the outcome of the last one';
COMMENT ON COLUMN @extschema@.sync_job_recent.percent IS 'progress of a running job, if it reports any';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint, jsonb) IS 'queues a Failed job again, with another context if one is given; any other state is an error';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint, text, boolean) IS 'cancels a job that is Pending, Queued or Failed; with running => true also one that is running (at once, even if the calling transaction is rolled back); any other state is an error';
COMMENT ON PROCEDURE @extschema@.run_sync_jobs(text, integer) IS 'runs the due jobs of the current role here and now: of one queue or of all, and at most max_jobs; commits as it goes where that is allowed';
COMMENT ON FUNCTION @extschema@.get_source_document(@extschema@.sync_job) IS 'the job''s source document, even after it was deleted; NULL: the job has none, or it was not kept';
COMMENT ON FUNCTION @extschema@.get_trigger_document(@extschema@.sync_job) IS 'the document that caused the job, even after it was deleted';
COMMENT ON FUNCTION @extschema@.get_target_document(@extschema@.sync_job, boolean) IS 'the job''s target document as it is now; for_update: locks it';
COMMENT ON FUNCTION @extschema@.apply_sync_job(bigint) IS 'makes the changes of a dry run real: exactly the recorded values, without hooks; fails, naming the fields, if the target has changed meanwhile; returns the id of the job that records it';
COMMENT ON FUNCTION @extschema@.auto_retry_failed_sync_jobs() IS 'queues the failed jobs whose retry_after has passed, at most 10,000, and returns how many: a safety net in addition to the workers'' own timers; for operators';
COMMENT ON COLUMN @extschema@.sync_job_stats.last_hour IS 'those of them that ended (or, if they have not, were enqueued) within the last hour';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.paused IS 'true: none of its jobs is started';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.oldest_waiting IS 'since when the oldest due job could have run';
COMMENT ON COLUMN @extschema@.sync_job_relay.children IS 'how many children it made that are still kept';
COMMENT ON TABLE @extschema@.sync_job_queue IS 'The queues jobs wait in. short, default and long are there from the start; others may be added with INSERT.';
COMMENT ON COLUMN @extschema@.sync_job_queue.max_workers IS 'the most worker processes that serve this queue at a time, in this database; 0: none';
COMMENT ON COLUMN @extschema@.sync_job_queue.paused IS 'true: jobs are enqueued, but not started';
COMMENT ON COLUMN @extschema@.sync_job_queue.publish_events IS 'send an event on the channel sync_job for each job of the queue that has ended';
COMMENT ON TABLE @extschema@.sync_job_type IS 'What is synced, and how: one row per job type, made with INSERT. The controller is a schema with functions of fixed names (module), a declaration (match, field_map), or a library in C++ (library).';
COMMENT ON COLUMN @extschema@.sync_job_type.module IS 'the schema of the controller''s functions; default: the name in lower case, with underscores for blanks and hyphens';
COMMENT ON COLUMN @extschema@.sync_job_type.batchable IS 'may share a transaction with its neighbours in the queue; NULL: depends on the kind of controller (standard, declarative and native: true, bypass: false)';
COMMENT ON COLUMN @extschema@.sync_job_type.concurrency_limit IS 'the most jobs of the type that run at a time; NULL: no limit';
COMMENT ON TABLE @extschema@.sync_job IS 'One row per job, waiting, running or ended. Only the functions of the extension write to it; a trigger on it would not see most of what happens.';
COMMENT ON COLUMN @extschema@.sync_job.retry_after IS 'Failed: when it is retried; NULL: not automatically';
COMMENT ON COLUMN @extschema@.sync_job.scheduled_at IS 'the earliest time it may run; NULL: at once';
COMMENT ON COLUMN @extschema@.sync_job.on_success IS 'the procedure that is enqueued when it has succeeded';
COMMENT ON TABLE sync_job_internal.dependency IS 'Pending jobs and the jobs they wait for: sync_job.after, until the scheduler has released them';
COMMENT ON COLUMN @extschema@.sync_job_schedule.queue IS 'the queue; NULL: that of the job type, or default for a procedure';
COMMENT ON FUNCTION @extschema@.enqueue_background_job(text, jsonb, text, interval, text, boolean, timestamptz, integer, boolean, boolean, text, text, bigint[], text, text, text, integer, interval, boolean, boolean) IS 'has a worker call a function or procedure with the caller''s rights, passing its arguments by name from a JSON object; returns the job''s id. A procedure may commit as it goes. now: runs it here, in this transaction';
COMMENT ON FUNCTION @extschema@.report_sync_job_progress(numeric, text, text) IS 'from inside a job: reports how far it is (0 to 100), which is visible at once in sync_job_activity and sent on the channel sync_job_progress; NULL leaves title or description as it was; outside a job, does nothing';
COMMENT ON FUNCTION @extschema@.get_sync_job_checkpoint() IS 'from inside a job: what it last saved with set_sync_job_checkpoint(), even before a crash or a retry';
COMMENT ON FUNCTION @extschema@.set_sync_job_checkpoint(jsonb) IS 'from inside a job: saves how far it has come, in the same transaction as its work';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint[], jsonb) IS 'queues again those of the jobs that are Failed, and returns them';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint[], text, boolean) IS 'cancels those of the jobs that can be canceled, and returns them';
COMMENT ON PROCEDURE @extschema@.execute_sync_job(bigint, @extschema@.sync_job) IS 'CALL execute_sync_job(id, NULL): like the function, but in transactions of its own; for controllers that COMMIT';
COMMENT ON PROCEDURE @extschema@.wait_for_sync_job(bigint, interval) IS 'returns when the job has ended (a Failed one when no retry will follow); raises an error if that takes longer than timeout (NULL: no limit)';
COMMENT ON FUNCTION @extschema@.current_sync_job() IS 'the id of the job that runs in this session, or NULL; for triggers that must not echo what a sync writes';
COMMENT ON FUNCTION @extschema@.get_sync_document(regclass, text) IS 'a document by its name, with the caller''s rights; if it was deleted, as it was then, if that was kept; NULL: neither';
COMMENT ON PROCEDURE sync_job_internal.run_committing_job(bigint) IS 'called by workers to run a job whose procedure commits';
COMMENT ON FUNCTION sync_job_internal.preloaded() IS 'true: the server loaded the library when it started, so there are workers';
COMMENT ON FUNCTION @extschema@.pause_sync_job_queue(text) IS 'starts no more jobs of the queue; running jobs go on; for operators';
COMMENT ON FUNCTION @extschema@.clear_old_sync_jobs(integer, integer) IS 'deletes jobs that ended more than that many days ago, with their errors, and equally old records of deleted documents; at most max_jobs; returns how many jobs it deleted';
COMMENT ON FUNCTION @extschema@.clear_all_sync_jobs() IS 'deletes all jobs that have ended or failed for good, at most 100,000 per call; returns how many';
COMMENT ON FUNCTION @extschema@.grant_sync_job_type(text, regrole) IS 'lets a role enqueue jobs of the type, for documents of the type''s own source; for roles that may change the type';
COMMENT ON FUNCTION @extschema@.schedule_sync_job(text, text, text, text, jsonb, text, boolean) IS 'has pg_cron enqueue a job of the type, or a background job of the procedure, by a cron expression (UTC) or a word: all, hourly, daily, weekly, monthly, each also with _long (queue long); none while the last one waits or runs, unless overlap';
COMMENT ON FUNCTION @extschema@.unschedule_sync_job(text) IS 'ends a schedule; for its owner';
COMMENT ON FUNCTION @extschema@.disable_sync_job_schedules() IS 'removes both from pg_cron';
COMMENT ON FUNCTION sync_job_internal.next_cron_time(text, timestamptz) IS 'the next time that a cron expression names, in UTC; NULL: it is invalid, or names none';
COMMENT ON COLUMN @extschema@.sync_job_schedules.queue IS 'the queue, if one was given';
COMMENT ON TYPE @extschema@.sync_job_target IS 'What get_target_document() of a controller returns: what to do, to which document. context replaces the job''s.';
COMMENT ON TYPE @extschema@.sync_job_result IS 'What execute() of a bypass controller returns: what it did to which document.';
COMMENT ON FUNCTION @extschema@.sync_job_result(regclass, text, text, jsonb) IS 'makes a sync_job_result; any argument may be left out';
CREATE OR REPLACE VIEW @extschema@.sync_job_activity WITH (security_invoker = true) AS
    SELECT a.pid, a.queue, a.sync_job, a.sync_job_type, a.started_at, a.percent, a.title, a.description, a.run_as, a.state,
        a.run_as::pg_catalog.text AS run_as_name
    FROM sync_job_internal.activity() AS a;
COMMENT ON COLUMN @extschema@.sync_job_activity.run_as_name IS 'the same as run_as, as text, for comparisons';
COMMENT ON VIEW @extschema@.sync_job_activity IS 'What each worker process of this database is doing right now, from shared memory';

-- In ASCII, for databases of any encoding.
COMMENT ON COLUMN @extschema@.sync_job_type.retry_backoff IS 'linear: retry_delay * (retry_count + 1); constant: retry_delay; exponential: retry_delay * 2 ^ retry_count, varied by up to a quarter';
COMMENT ON COLUMN @extschema@.sync_job.diff_summary IS 'what changed: {"field": {"old": ..., "new": ...}}; for inserts only in a dry run or with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job_error.attempt IS '1 for the first run, 2 for the first retry, ...';
COMMENT ON FUNCTION @extschema@.sync_job_trigger() IS 'AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW EXECUTE FUNCTION sync_job_trigger(''Job Type'' [, ''keep_deleted=false'']): enqueues a job for each changed row';
COMMENT ON FUNCTION @extschema@.publish_sync_job_event(text, jsonb) IS 'NOTIFY on the channel sync_job, delivered at commit: {"event": ..., "message": ...}; a message too long for that is kept in sync_job_event, and the notification has its event_id';
DO $comment$
DECLARE
    function pg_catalog.regprocedure;
BEGIN
    SELECT oid INTO STRICT function FROM pg_catalog.pg_proc
    WHERE proname OPERATOR(pg_catalog.=) 'enqueue_sync_job' AND pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
        AND pg_catalog.strpos(pg_catalog.pg_get_function_arguments(oid), 'anyelement') OPERATOR(pg_catalog.>) 0;
    EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', function,
        'enqueues a job for a document given as a row (or its key as a number, uuid, ...), returns the job''s id: SELECT enqueue_sync_job(''SAP Customer Sync'', c) FROM customer c');
END
$comment$;

-- Whole tables.
COMMENT ON COLUMN @extschema@.sync_job.operation IS 'Insert, Update or Delete: as requested, or as determined by the controller; Compare, Full Sync: for all documents of the type; Revert, Apply: for what other jobs have changed';
CREATE FUNCTION @extschema@.compare_sync_documents(sync_job_type text, condition text DEFAULT NULL, max_rows integer DEFAULT 1000,
        OUT difference text, OUT source_document_name text, OUT target_document_name text, OUT diff jsonb, OUT waiting boolean,
        OUT documents bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_compare';
COMMENT ON FUNCTION @extschema@.compare_sync_documents(text, text, integer) IS 'what is out of step: missing, different (with the diff), surplus or ambiguous, one row per document; waiting: a job for it is waiting, so that is no fault. condition: SQL over source; documents beyond max_rows (NULL: no limit) are only counted, in rows without names. Writes nothing; only for the role that jobs of the type run as';
CREATE FUNCTION @extschema@.enqueue_compare(sync_job_type text, condition text DEFAULT NULL, max_rows integer DEFAULT 1000,
        queue text DEFAULT NULL, priority integer DEFAULT NULL, timeout interval DEFAULT NULL, scheduled_at timestamptz DEFAULT NULL,
        job_id text DEFAULT NULL, deduplicate boolean DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enqueue_compare';
COMMENT ON FUNCTION @extschema@.enqueue_compare(text, text, integer, text, integer, interval, timestamptz, text, boolean) IS 'has a worker do what compare_sync_documents() does; for roles that may enqueue jobs of the type; returns the job''s id. Its result has the counts and, up to max_rows, the documents. condition is only for roles that may SET ROLE to the type''s run_as';
CREATE FUNCTION @extschema@.enqueue_full_sync(sync_job_type text, condition text DEFAULT NULL, dry_run boolean DEFAULT false,
        delete_surplus boolean DEFAULT false, max_change_percent numeric DEFAULT 50, max_changes bigint DEFAULT NULL,
        max_delete_percent numeric DEFAULT 10, documents_per_second integer DEFAULT NULL, chunk_size integer DEFAULT 500,
        check_first boolean DEFAULT false, adopt boolean DEFAULT false, queue text DEFAULT NULL, priority integer DEFAULT NULL,
        scheduled_at timestamptz DEFAULT NULL, job_id text DEFAULT NULL, deduplicate boolean DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enqueue_full_sync';
COMMENT ON FUNCTION @extschema@.enqueue_full_sync(text, text, boolean, boolean, numeric, bigint, numeric, integer, integer, boolean, boolean, text, integer, timestamptz, text, boolean) IS 'has a worker bring all documents of a type in step, in chunks that are committed one by one; returns the job''s id. It stops if more would change than the limits allow: before it writes anything, but with functions only if check_first has it compare all documents first. adopt: target values of unknown origin do not count as edited. One at a time per type; for roles that may SET ROLE to its run_as';
CREATE FUNCTION @extschema@.pause_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause';
COMMENT ON FUNCTION @extschema@.pause_sync_job(bigint) IS 'makes a full sync Pending, at its next commit if it is running; start_sync_job() resumes it';

-- The history of job types, and scripts that create them again.
CREATE TABLE @extschema@.sync_job_type_change (
    sync_job_type text COLLATE "C" NOT NULL,
    operation     text COLLATE "C" NOT NULL,
    changed_at    timestamptz NOT NULL,
    changed_by    regrole NOT NULL,
    run_as        regrole NOT NULL,
    old           jsonb,
    new           jsonb
);
CREATE INDEX sync_job_type_change_type ON @extschema@.sync_job_type_change USING hash (sync_job_type); -- of any length
ALTER TABLE @extschema@.sync_job_type_change REPLICA IDENTITY FULL;
COMMENT ON TABLE @extschema@.sync_job_type_change IS 'The history of the job types: who changed what, and when. The newest 100 changes of each type are kept; older ones are deleted with the jobs of their time';
COMMENT ON COLUMN @extschema@.sync_job_type_change.sync_job_type IS 'the job type; after a rename, its new name';
COMMENT ON COLUMN @extschema@.sync_job_type_change.operation IS 'Insert, Update or Delete';
COMMENT ON COLUMN @extschema@.sync_job_type_change.changed_at IS 'when';
COMMENT ON COLUMN @extschema@.sync_job_type_change.changed_by IS 'the role of the session that did it';
COMMENT ON COLUMN @extschema@.sync_job_type_change.run_as IS 'the role whose rights its jobs have since then, or had until it was deleted';
COMMENT ON COLUMN @extschema@.sync_job_type_change.old IS 'the old values of the columns that changed; of a deleted type, of all columns that were set; NULL: the type is new';
COMMENT ON COLUMN @extschema@.sync_job_type_change.new IS 'the new values of the same columns; NULL: the type was deleted';
CREATE FUNCTION sync_job_internal.note_type_change() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_note_type_change';
CREATE TRIGGER note_type_change AFTER INSERT OR UPDATE OR DELETE ON @extschema@.sync_job_type
    FOR EACH ROW EXECUTE FUNCTION sync_job_internal.note_type_change();
ALTER TABLE @extschema@.sync_job_type ENABLE ALWAYS TRIGGER note_type_change;
COMMENT ON FUNCTION sync_job_internal.note_type_change() IS 'trigger of sync_job_type: keeps its history in sync_job_type_change';
REVOKE ALL ON FUNCTION sync_job_internal.note_type_change() FROM PUBLIC;
-- Whoever saw the type sees its history.
ALTER TABLE @extschema@.sync_job_type_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job_type_change FOR SELECT
    USING (pg_catalog.pg_has_role(run_as, 'MEMBER')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
GRANT SELECT ON @extschema@.sync_job_type_change TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_type_change',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as) AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = changed_by)');
CREATE FUNCTION @extschema@.export_sync_job_type(name text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_export_type';
COMMENT ON FUNCTION @extschema@.export_sync_job_type(text) IS 'a script for psql that creates the type again, here or elsewhere, with its queue (if that is missing), its triggers and its grants; for roles that can see the type';

-- Findings name the column, also for a type that is not saved.
DO $validate$
DECLARE
    owner pg_catalog.regrole;
    privileges pg_catalog.aclitem[];
BEGIN
    SELECT proowner, proacl INTO STRICT owner, privileges FROM pg_catalog.pg_proc
    WHERE oid OPERATOR(pg_catalog.=) '@extschema@.validate_sync_job_type(pg_catalog.text)'::pg_catalog.regprocedure;
    DROP FUNCTION @extschema@.validate_sync_job_type(pg_catalog.text);
    CREATE FUNCTION @extschema@.validate_sync_job_type(name text, OUT severity text, OUT object text, OUT message text,
        OUT detail text, OUT hint text, OUT field text) RETURNS SETOF record
        LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_validate_type';
    PERFORM sync_job_internal.give_function('@extschema@.validate_sync_job_type(pg_catalog.text)', owner, privileges);
END
$validate$;
DROP FUNCTION sync_job_internal.give_function(pg_catalog.regprocedure, pg_catalog.regrole, pg_catalog.aclitem[]);
COMMENT ON FUNCTION @extschema@.validate_sync_job_type(text) IS 'what is missing or wrong with a job type, one row per finding: severity is error (its jobs would fail) or warning; field is the column of sync_job_type, with the key in it (field_map.phone); no row: it is ready';
CREATE FUNCTION @extschema@.validate_sync_job_type_definition(definition jsonb, OUT severity text, OUT object text, OUT message text,
        OUT detail text, OUT hint text, OUT field text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_validate_type_definition';
COMMENT ON FUNCTION @extschema@.validate_sync_job_type_definition(jsonb) IS 'the same for a type that is not saved: definition has its columns, and those that are left out have their defaults; also reports what the table would refuse. Writes nothing; for managers';

-- Values that are never recorded.
ALTER TABLE @extschema@.sync_job_type ADD COLUMN secret_columns text[], ADD COLUMN publish_starts boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN @extschema@.sync_job_type.secret_columns IS 'target columns whose values are never recorded: diffs, snapshots and errors leave them out, and a job that changed one of them cannot be applied or reverted';
COMMENT ON COLUMN @extschema@.sync_job_type.publish_starts IS 'send an event on the channel sync_job for each job that starts in a transaction of its own: one that is not batchable, or commits as it goes';

-- Relations and roles also as text, as clients would have to cast their own types.
CREATE OR REPLACE VIEW @extschema@.sync_job_recent WITH (security_invoker = true) AS
    SELECT j.id, j.sync_job_type, j.title, j.job_id, j.status, a.percent, j.queue, j.created_at, j.started_at, j.ended_at,
        j.error_message, j.source_document_type::pg_catalog.text AS source_document_type_name, j.source_document_name,
        j.target_document_type::pg_catalog.text AS target_document_type_name, j.target_document_name, j.run_as::pg_catalog.text AS run_as_name, j.traceparent
    FROM @extschema@.sync_job AS j LEFT JOIN sync_job_internal.activity() AS a ON a.sync_job OPERATOR(pg_catalog.=) j.id
    WHERE j.status IN ('Pending', 'Queued', 'Started')
       OR j.ended_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval);
COMMENT ON COLUMN @extschema@.sync_job_recent.source_document_type_name IS 'the relation the source document is in, as text';
COMMENT ON COLUMN @extschema@.sync_job_recent.source_document_name IS 'the key of the source document';
COMMENT ON COLUMN @extschema@.sync_job_recent.target_document_type_name IS 'the relation the target document is in, as text';
COMMENT ON COLUMN @extschema@.sync_job_recent.target_document_name IS 'the key of the target document';
COMMENT ON COLUMN @extschema@.sync_job_recent.run_as_name IS 'the role it runs as, as text';
COMMENT ON COLUMN @extschema@.sync_job_recent.traceparent IS 'the trace to which it belongs, in the format of W3C Trace Context';
COMMENT ON COLUMN @extschema@.sync_job.multiple_target_documents IS 'the targets a Relayed job has made children for, each with the id of its child (sync_job)';

SELECT sync_job_internal.wake_launcher();
CREATE FUNCTION @extschema@.schedule_full_sync(name text, schedule text, sync_job_type text, condition text DEFAULT NULL,
        dry_run boolean DEFAULT false, delete_surplus boolean DEFAULT false, max_change_percent numeric DEFAULT 50,
        max_changes bigint DEFAULT NULL, max_delete_percent numeric DEFAULT 10, documents_per_second integer DEFAULT NULL,
        chunk_size integer DEFAULT 500, check_first boolean DEFAULT false, adopt boolean DEFAULT false, queue text DEFAULT NULL,
        priority integer DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_schedule_full_sync';
COMMENT ON FUNCTION @extschema@.schedule_full_sync(text, text, text, text, boolean, boolean, numeric, bigint, numeric, integer, integer, boolean, boolean, text, integer) IS 'has pg_cron enqueue a full sync of the type, with the arguments of enqueue_full_sync(), as schedule_sync_job() does for a job; none while another full sync of the type has not ended';
COMMENT ON FUNCTION @extschema@.revert_sync_job(bigint) IS 'undoes a job (also a set job or a full sync) from what was recorded; fails, naming the fields, if somebody has changed them since; returns the id of the job that records it';
CREATE FUNCTION @extschema@.apply_sync_jobs(ids bigint[] DEFAULT NULL, run bigint DEFAULT NULL, conflicts text DEFAULT 'fail',
        OUT sync_job bigint, OUT source_document_name text, OUT target_document_type regclass, OUT target_document_name text,
        OUT outcome text, OUT fields text[], OUT detail text, OUT recorded_by bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_apply_many';
COMMENT ON FUNCTION @extschema@.apply_sync_jobs(bigint[], bigint, text) IS 'makes the changes of many dry runs real, all or none; a document that has changed meanwhile is a conflict: fail raises and does nothing, skip leaves it out. Returns a row for each document that was changed or is a conflict';
CREATE FUNCTION @extschema@.revert_sync_jobs(ids bigint[] DEFAULT NULL, run bigint DEFAULT NULL, conflicts text DEFAULT 'fail',
        OUT sync_job bigint, OUT source_document_name text, OUT target_document_type regclass, OUT target_document_name text,
        OUT outcome text, OUT fields text[], OUT detail text, OUT recorded_by bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revert_many';
COMMENT ON FUNCTION @extschema@.revert_sync_jobs(bigint[], bigint, text) IS 'undoes many jobs, set jobs and full syncs at once, all or none, together with the jobs that they led to, merged per document; run names one more job; a document that somebody has changed since is a conflict: fail raises and does nothing, skip leaves it out. Returns a row for each document that was changed or is a conflict';
CREATE FUNCTION @extschema@.enqueue_apply(ids bigint[] DEFAULT NULL, run bigint DEFAULT NULL, conflicts text DEFAULT 'fail',
        queue text DEFAULT NULL, priority integer DEFAULT NULL, timeout interval DEFAULT NULL, scheduled_at timestamptz DEFAULT NULL,
        job_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enqueue_apply';
COMMENT ON FUNCTION @extschema@.enqueue_apply(bigint[], bigint, text, text, integer, interval, timestamptz, text) IS 'has a worker do what apply_sync_jobs() does, for jobs of one type; for operators, and roles that may SET ROLE to its run_as; returns the id of the job that does it. Its result has the counts and the conflicts';
CREATE FUNCTION @extschema@.enqueue_revert(ids bigint[] DEFAULT NULL, run bigint DEFAULT NULL, conflicts text DEFAULT 'fail',
        queue text DEFAULT NULL, priority integer DEFAULT NULL, timeout interval DEFAULT NULL, scheduled_at timestamptz DEFAULT NULL,
        job_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enqueue_revert';
COMMENT ON FUNCTION @extschema@.enqueue_revert(bigint[], bigint, text, text, integer, interval, timestamptz, text) IS 'has a worker do what revert_sync_jobs() does, for jobs of one type, even while it is paused or disabled; for operators, and roles that may SET ROLE to its run_as; returns the id of the job that does it. Its result has the counts and the conflicts';

-- Whoever holds a grant, or sees the type, sees the grant.
ALTER TABLE sync_job_internal.type_grant ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON sync_job_internal.type_grant FOR SELECT
    USING (pg_catalog.pg_has_role(role, 'MEMBER')
           OR EXISTS (SELECT FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) sync_job_type));
GRANT SELECT ON sync_job_internal.type_grant TO PUBLIC;

-- Finds the few pages of the history that have a rare type, state, operation or owner. One Bloom filter per 8 pages needs no write for each job.
CREATE INDEX sync_job_ended_kind ON sync_job_internal.sync_job_ended USING brin (
    sync_job_type pg_catalog.text_bloom_ops (n_distinct_per_range = 100), status pg_catalog.text_bloom_ops (n_distinct_per_range = 16),
    operation pg_catalog.text_bloom_ops (n_distinct_per_range = 16), owner pg_catalog.oid_bloom_ops (n_distinct_per_range = 16)) WITH (pages_per_range = 8);

CREATE FUNCTION sync_job_internal.act_on_jobs(action text, ids bigint[], context jsonb DEFAULT NULL, reason text DEFAULT NULL,
        running boolean DEFAULT false, OUT id bigint, OUT status text, OUT job bigint, OUT error jsonb) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    code text;
    message text;
    detail text;
    hint text;
BEGIN
    IF (action IN ('start', 'retry', 'cancel', 'pause', 'rerun', 'delete')) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE := '22023', MESSAGE := pg_catalog.format('invalid action: "%s"', coalesce(action, 'NULL')),
            HINT := 'Valid actions are: start, retry, cancel, pause, rerun, delete.';
    END IF;
    IF pg_catalog.cardinality(ids) OPERATOR(pg_catalog.>) 500 THEN
        RAISE EXCEPTION USING ERRCODE := '22023', MESSAGE := pg_catalog.format('too many jobs at once: %s', pg_catalog.cardinality(ids)),
            HINT := 'At most 500 at a time.';
    END IF;
    FOREACH id IN ARRAY ids LOOP
        status := NULL;
        job := NULL;
        error := NULL;
        BEGIN
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) (pg_catalog.statement_timestamp() OPERATOR(pg_catalog.+) '15 s'::pg_catalog.interval) THEN
                error := pg_catalog.jsonb_build_object('code', '57014', 'message', 'not reached in time', 'hint', 'Ask for it once more.');
            ELSIF action OPERATOR(pg_catalog.=) 'start' THEN
                status := (SELECT j.status FROM @extschema@.start_sync_job(id) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'retry' THEN
                status := (SELECT j.status FROM @extschema@.retry_sync_job(id, context) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'cancel' THEN
                status := (SELECT j.status FROM @extschema@.cancel_sync_job(id, reason, running) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'pause' THEN
                status := (SELECT j.status FROM @extschema@.pause_sync_job(id) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'rerun' THEN
                job := @extschema@.rerun_sync_job(id, context);
            ELSE
                PERFORM @extschema@.delete_sync_job(id);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code := RETURNED_SQLSTATE, message := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL, hint := PG_EXCEPTION_HINT;
            error := pg_catalog.jsonb_build_object('code', code, 'message', message, 'detail', detail, 'hint', hint);
        END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION sync_job_internal.act_on_jobs(text, bigint[], jsonb, text, boolean) IS 'starts, retries, cancels, pauses, reruns or deletes at most 500 jobs, one after the other, with the rights of the caller: a job that fails has its error in its row, and the others are not undone. After 15 s the rest is left (57014)';

CREATE FUNCTION sync_job_internal.write_type(name text, definition jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    given text[];
    unknown text;
    columns text;
    fields text;
    written bigint;
BEGIN
    -- For a new type, null means the default. For an existing one, null is a value.
    given := ARRAY(SELECT e.key FROM pg_catalog.jsonb_each(definition) AS e
                   WHERE write_type.name IS NOT NULL OR e.value OPERATOR(pg_catalog.<>) 'null'::pg_catalog.jsonb ORDER BY e.key);
    unknown := (SELECT pg_catalog.min(k) FROM pg_catalog.unnest(given) AS k
                WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                  WHERE a.attrelid OPERATOR(pg_catalog.=) '@extschema@.sync_job_type'::pg_catalog.regclass
                                      AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) k
                                      AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped));
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE := '42703', MESSAGE := pg_catalog.format('table sync_job_type has no column "%s"', unknown);
    END IF;
    IF pg_catalog.cardinality(given) OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION USING ERRCODE := '22023', MESSAGE := 'the definition names no column';
    END IF;
    columns := (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k), ', ') FROM pg_catalog.unnest(given) AS k);
    fields := (SELECT pg_catalog.string_agg(pg_catalog.format('d.%I', k), ', ') FROM pg_catalog.unnest(given) AS k);
    IF name IS NULL THEN
        EXECUTE pg_catalog.format('INSERT INTO @extschema@.sync_job_type (%s) SELECT %s FROM pg_catalog.jsonb_populate_record('
            'NULL::@extschema@.sync_job_type, $1) AS d', columns, fields) USING definition;
        RETURN definition OPERATOR(pg_catalog.->>) 'name';
    END IF;
    EXECUTE pg_catalog.format('UPDATE @extschema@.sync_job_type AS t SET (%s) = ROW(%s) FROM pg_catalog.jsonb_populate_record('
        'NULL::@extschema@.sync_job_type, $1) AS d WHERE t.name OPERATOR(pg_catalog.=) $2', columns, fields) USING definition, name;
    GET DIAGNOSTICS written := ROW_COUNT;
    IF written OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('sync job type "%s" does not exist', name);
    END IF;
    RETURN coalesce(definition OPERATOR(pg_catalog.->>) 'name', name);
END $$;
COMMENT ON FUNCTION sync_job_internal.write_type(text, jsonb) IS 'creates a job type (name null) or changes one, with the rights of the caller. definition: a JSON object of columns of sync_job_type and their values; relations with their schema. Returns the name';
REVOKE ALL ON FUNCTION sync_job_internal.act_on_jobs(text, bigint[], jsonb, text, boolean), sync_job_internal.write_type(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.act_on_jobs(text, bigint[], jsonb, text, boolean), sync_job_internal.write_type(text, jsonb) TO PUBLIC;

-- Monitoring
CREATE FUNCTION @extschema@.sync_job_metrics(names text[] DEFAULT NULL, OUT name text, OUT type text, OUT help text, OUT labels jsonb, OUT value double precision)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_metrics';
COMMENT ON FUNCTION @extschema@.sync_job_metrics(text[]) IS 'the metrics of this database''s jobs under their Prometheus names, those of one name together; names: only these metrics, and only what they need is read; null: all; for viewers and operators';
CREATE FUNCTION @extschema@.watch_sync_jobs() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_watch';
COMMENT ON FUNCTION @extschema@.watch_sync_jobs() IS 'for the next minute, the scheduler announces on channel sync_job_changed which types and queues have changed; false: it cannot, for example on a standby; for all levels';

-- Native controllers
ALTER TABLE @extschema@.sync_job_type ADD COLUMN library text, ADD COLUMN library_trusted boolean;
COMMENT ON COLUMN @extschema@.sync_job_type.library IS 'native controller: the name of a library in the folder sync_job.library_directory, without .so. Only superusers can set it; match may also be set, to say which target belongs to a source';
COMMENT ON COLUMN @extschema@.sync_job_type.library_trusted IS 'true: a superuser has set library, or confirmed it by setting this; false, after another role has restored the row: no job of the type runs; NULL: there is no library';
COMMENT ON COLUMN @extschema@.sync_job_type.match IS 'declarative or native controller: which target belongs to a source, {"target column": "source column"}';
COMMENT ON FUNCTION @extschema@.create_sync_job_boilerplate(text, text) IS 'source code of a controller for the type, with its tables and columns, that can be installed as it is: psql''s \gexec runs it; languages: plpgsql, sql, plpython3u; and c++, for a compiler';

-- HTTP push.
ALTER TABLE @extschema@.sync_job_type ADD COLUMN http jsonb;
COMMENT ON COLUMN @extschema@.sync_job_type.http IS 'HTTP push instead of a controller: the server (of the wrapper sync_job_http), the method, path, query, headers and body of the request for a document, and what is kept of the answer; see docs/http.md';
ALTER TABLE sync_job_internal.home ADD COLUMN installation uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid();
COMMENT ON COLUMN sync_job_internal.home.installation IS 'prefix of the idempotency keys of HTTP requests, by which a server recognizes a request that it has already received';
CREATE TABLE sync_job_internal.http_request (
    sync_job bigint PRIMARY KEY,
    number   integer NOT NULL,
    request  jsonb NOT NULL,
    answer   jsonb
);
COMMENT ON TABLE sync_job_internal.http_request IS 'HTTP requests that are in flight, whose outcome is unknown, or whose answer has not been written back yet';
COMMENT ON COLUMN sync_job_internal.http_request.sync_job IS 'the job: Started, or Failed and waiting for a retry';
COMMENT ON COLUMN sync_job_internal.http_request.number IS 'which request of the job this is: the last part of its Idempotency-Key';
COMMENT ON COLUMN sync_job_internal.http_request.request IS 'the request as rendered, with the names of secrets in place of their values; for a batch, with the names of its documents';
COMMENT ON COLUMN sync_job_internal.http_request.answer IS 'the answer, until it is written back; NULL: none has come yet';
CREATE TABLE sync_job_internal.http_document (
    sync_job bigint,
    document bigint,
    PRIMARY KEY (sync_job, document)
);
CREATE INDEX http_document_document ON sync_job_internal.http_document (document);
COMMENT ON TABLE sync_job_internal.http_document IS 'the documents of these requests: no other request for one of them is sent meanwhile';
COMMENT ON COLUMN sync_job_internal.http_document.sync_job IS 'the job';
COMMENT ON COLUMN sync_job_internal.http_document.document IS 'hash of type and name of the document';
ALTER TABLE sync_job_internal.http_request SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE sync_job_internal.http_document SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE FUNCTION sync_job_internal.check_http_options(options text[], catalog oid) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_check_http_options';
COMMENT ON FUNCTION sync_job_internal.check_http_options(text[], oid) IS 'validator of the wrapper sync_job_http: checks the options of servers, and the names of secrets in user mappings';
CREATE FOREIGN DATA WRAPPER sync_job_http NO HANDLER VALIDATOR sync_job_internal.check_http_options;
COMMENT ON FOREIGN DATA WRAPPER sync_job_http IS 'endpoints of HTTP pushes: a server has the address and the options for all requests to it, a user mapping has the secrets';

REVOKE ALL ON sync_job_internal.http_request, sync_job_internal.http_document FROM PUBLIC;
REVOKE ALL ON FUNCTION sync_job_internal.check_http_options(text[], oid) FROM PUBLIC;

ALTER TABLE sync_job_internal.home ADD COLUMN node integer;
COMMENT ON COLUMN sync_job_internal.home.node IS 'number of this node, as set by set_sync_job_node(); NULL: none';

-- ---------------------------------------------------------------------------------------------------------------------
-- More than one machine: each node has its own jobs, with its number in their ids. The others are asked through dblink, with the
-- user mapping of the caller
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE @extschema@.sync_job_node (
    node   integer PRIMARY KEY CHECK (node OPERATOR(pg_catalog.>=) 1 AND node OPERATOR(pg_catalog.<=) 254),
    server text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE @extschema@.sync_job_node IS 'The databases whose jobs are shown together, and the foreign servers through which they are reached';
COMMENT ON COLUMN @extschema@.sync_job_node.node IS 'number of the node, as set there by set_sync_job_node(): id >> 40 of its jobs';
COMMENT ON COLUMN @extschema@.sync_job_node.server IS 'name of a foreign server of dblink_fdw or postgres_fdw, owned by a superuser or by the caller; the one of this database itself is not used';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_node', '');
-- Closed even to roles with rights on all tables of the schema: it decides where rights are used.
ALTER TABLE @extschema@.sync_job_node ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON @extschema@.sync_job_node FOR SELECT USING (true);
GRANT SELECT ON @extschema@.sync_job_node TO PUBLIC;

CREATE FUNCTION @extschema@.set_sync_job_node(node integer) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_set_node';
COMMENT ON FUNCTION @extschema@.set_sync_job_node(integer) IS 'gives this database its number among the nodes, 1 to 254: ids of new jobs begin at node << 40. A database that had another number before is a copy: the jobs that wait in it need adopt_sync_jobs()';

CREATE FUNCTION @extschema@.get_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get';
COMMENT ON FUNCTION @extschema@.get_sync_job(bigint) IS 'a job, here or at another node; relations and roles of another node are NULL if this database has none of that name; what the caller may not read is NULL';

CREATE FUNCTION sync_job_internal.this_node() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT max(node) FROM sync_job_internal.home';
COMMENT ON FUNCTION sync_job_internal.this_node() IS 'number of this database among the nodes; NULL: none';

-- A server that another role may point elsewhere is not asked: that role would see what is sent.
CREATE FUNCTION sync_job_internal.connect_node(node integer, server text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    dblink text := (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n
                        ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'dblink');
    connection text := pg_catalog.format('sync_job_node_%s', node);
    open boolean;
    owner regrole;
BEGIN
    IF dblink IS NULL THEN
        RAISE EXCEPTION USING ERRCODE := '0A000', MESSAGE := 'other nodes are asked with the extension dblink, which is not here',
            HINT := 'CREATE EXTENSION dblink;';
    END IF;
    owner := (SELECT s.srvowner FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname::pg_catalog.text OPERATOR(pg_catalog.=) server);
    IF owner IS NULL THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('server "%s" of node %s does not exist', server, node);
    END IF;
    IF owner::pg_catalog.oid OPERATOR(pg_catalog.<>) (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) current_user)
        AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) owner::pg_catalog.oid) THEN
        RAISE EXCEPTION USING ERRCODE := '42501', MESSAGE := pg_catalog.format('server "%s" of node %s belongs to role "%s", which may point it elsewhere', server, node, owner),
            HINT := 'Its owner must be a superuser, or the role that asks.';
    END IF;
    EXECUTE pg_catalog.format('SELECT coalesce($1 = ANY (%s.dblink_get_connections()), false)', dblink) INTO STRICT open USING connection;
    IF open THEN -- left by a call that was interrupted
        PERFORM sync_job_internal.disconnect_node(node, dblink);
    END IF;
    EXECUTE pg_catalog.format('SELECT %s.dblink_connect($1, $2)', dblink) USING connection, server;
    EXECUTE pg_catalog.format('SELECT %s.dblink_exec($1, $2)', dblink) USING connection, 'SET search_path = pg_catalog, pg_temp';
    RETURN dblink;
END $$;
COMMENT ON FUNCTION sync_job_internal.connect_node(integer, text) IS 'connects to a node with the user mapping of the caller, and returns the schema of dblink';

CREATE FUNCTION sync_job_internal.disconnect_node(node integer, dblink text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    connection text := pg_catalog.format('sync_job_node_%s', node);
BEGIN
    EXECUTE pg_catalog.format('SELECT CASE WHEN %1$s.dblink_is_busy($1) = 1 THEN %1$s.dblink_cancel_query($1) END', dblink) USING connection;
    EXECUTE pg_catalog.format('SELECT %s.dblink_disconnect($1)', dblink) USING connection;
EXCEPTION WHEN OTHERS THEN
    NULL; -- there is no such connection
END $$;
COMMENT ON FUNCTION sync_job_internal.disconnect_node(integer, text) IS 'closes a connection to a node, and cancels what runs there';

-- dblink's own wait cannot be interrupted.
CREATE FUNCTION sync_job_internal.await_node(node integer, dblink text, longest_pause double precision) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    pause double precision := 0.001;
    busy integer;
BEGIN
    LOOP
        EXECUTE pg_catalog.format('SELECT %s.dblink_is_busy($1)', dblink) INTO STRICT busy USING pg_catalog.format('sync_job_node_%s', node);
        EXIT WHEN busy OPERATOR(pg_catalog.=) 0;
        PERFORM pg_catalog.pg_sleep(pause);
        pause := LEAST(pause OPERATOR(pg_catalog.*) 2::pg_catalog.float8, longest_pause);
    END LOOP;
END $$;
COMMENT ON FUNCTION sync_job_internal.await_node(integer, text, double precision) IS 'waits for the answer of a node; checks for it at intervals of at most longest_pause seconds';

CREATE FUNCTION sync_job_internal.call_node(node integer, statement text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    connection text := pg_catalog.format('sync_job_node_%s', node);
    server text := (SELECT n.server FROM @extschema@.sync_job_node AS n WHERE n.node OPERATOR(pg_catalog.=) call_node.node);
    dblink text;
    answer text;
BEGIN
    IF server IS NULL THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('node %s is not in sync_job_node', node);
    END IF;
    dblink := sync_job_internal.connect_node(node, server);
    BEGIN
        EXECUTE pg_catalog.format('SELECT %s.dblink_send_query($1, $2)', dblink) USING connection, statement;
        PERFORM sync_job_internal.await_node(node, dblink, 0.05);
        EXECUTE pg_catalog.format('SELECT a FROM %s.dblink_get_result($1) AS t (a text)', dblink) INTO STRICT answer USING connection;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM sync_job_internal.disconnect_node(node, dblink);
        RAISE;
    END;
    PERFORM sync_job_internal.disconnect_node(node, dblink);
    RETURN answer;
END $$;
COMMENT ON FUNCTION sync_job_internal.call_node(integer, text) IS 'runs a statement at another node, in a transaction of its own there, with the rights of the caller''s user mapping; returns the one text that it returns. Its error is raised here';

-- All nodes are asked before the wait for the first answer. A node that cannot be asked, or fails, is reported as a problem; the others go on.
CREATE FUNCTION sync_job_internal.read_nodes(query text, warn boolean DEFAULT false, OUT node integer, OUT server text, OUT answer jsonb,
        OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    here integer := sync_job_internal.this_node();
    dblink text;
    asked integer[] := '{}';
    n record;
    connection text;
    answers bigint;
    detail text;
BEGIN
    node := here;
    server := (SELECT s.server FROM @extschema@.sync_job_node AS s WHERE s.node OPERATOR(pg_catalog.=) here);
    FOR answer IN EXECUTE pg_catalog.format('SELECT to_jsonb(q) FROM (%s) AS q', query) LOOP
        RETURN NEXT;
    END LOOP;
    FOR n IN SELECT s.node, s.server, step FROM @extschema@.sync_job_node AS s, pg_catalog.generate_series(1, 2) AS step
             WHERE s.node IS DISTINCT FROM (here) ORDER BY step, s.node LOOP
        CONTINUE WHEN n.step OPERATOR(pg_catalog.=) 2 AND (n.node OPERATOR(pg_catalog.=) ANY (asked)) IS NOT TRUE;
        node := n.node;
        server := n.server;
        answer := NULL;
        problem := NULL;
        connection := pg_catalog.format('sync_job_node_%s', node);
        BEGIN
            IF n.step OPERATOR(pg_catalog.=) 1 THEN
                dblink := sync_job_internal.connect_node(node, server);
                EXECUTE pg_catalog.format('SELECT %s.dblink_exec($1, $2)', dblink) USING connection, 'BEGIN READ ONLY';
                EXECUTE pg_catalog.format('SELECT %s.dblink_exec($1, $2)', dblink) USING connection,
                    pg_catalog.format('DECLARE answer CURSOR FOR SELECT to_jsonb(q)::text FROM (%s) AS q', query);
                EXECUTE pg_catalog.format('SELECT %s.dblink_send_query($1, $2)', dblink) USING connection, 'FETCH 1000 FROM answer';
                asked := pg_catalog.array_append(asked, node);
                CONTINUE;
            END IF;
            LOOP
                PERFORM sync_job_internal.await_node(node, dblink, 0.001); -- each check reads some 30 kB
                answers := 0;
                FOR answer IN EXECUTE pg_catalog.format('SELECT a::jsonb FROM %s.dblink_get_result($1) AS t (a text)', dblink) USING connection LOOP
                    answers := answers OPERATOR(pg_catalog.+) 1::pg_catalog.int8;
                    RETURN NEXT;
                END LOOP;
                EXIT WHEN answers OPERATOR(pg_catalog.<) 1000::pg_catalog.int8;
                EXECUTE pg_catalog.format('SELECT count(*) FROM %s.dblink_get_result($1) AS t (a text)', dblink) USING connection; -- ends the previous query
                EXECUTE pg_catalog.format('SELECT %s.dblink_send_query($1, $2)', dblink) USING connection, 'FETCH 1000 FROM answer';
            END LOOP;
        EXCEPTION
            WHEN query_canceled THEN
                FOR n IN SELECT s.node FROM @extschema@.sync_job_node AS s LOOP
                    PERFORM sync_job_internal.disconnect_node(n.node, dblink);
                END LOOP;
                RAISE;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS problem := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL;
                problem := pg_catalog.concat_ws(': ', problem, NULLIF(pg_catalog.replace(detail, E'\n', ' '), ''));
        END;
        PERFORM sync_job_internal.disconnect_node(node, dblink);
        CONTINUE WHEN problem IS NULL;
        answer := NULL;
        IF warn THEN
            RAISE WARNING 'node % cannot be asked: %', node, problem;
        ELSE
            problem := pg_catalog.format('cannot be asked: %s', problem);
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION sync_job_internal.read_nodes(text, boolean) IS 'the rows of a query at this database and at all others of sync_job_node, with the rights of the caller''s user mappings; a node that cannot be asked has one row with the problem, or a warning';

-- Relations and roles are looked up by name; NULL where they do not exist here.
CREATE FUNCTION sync_job_internal.job_of_node(job jsonb) RETURNS @extschema@.sync_job
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT pg_catalog.jsonb_populate_record(NULL::@extschema@.sync_job, job OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
        'source_document_type', pg_catalog.to_regclass(job OPERATOR(pg_catalog.->>) 'source_document_type'),
        'target_document_type', pg_catalog.to_regclass(job OPERATOR(pg_catalog.->>) 'target_document_type'),
        'triggered_by_document_type', pg_catalog.to_regclass(job OPERATOR(pg_catalog.->>) 'triggered_by_document_type'),
        'run_as', pg_catalog.to_regrole(job OPERATOR(pg_catalog.->>) 'run_as'), 'owner', pg_catalog.to_regrole(job OPERATOR(pg_catalog.->>) 'owner'),
        'enqueued_by', pg_catalog.to_regrole(job OPERATOR(pg_catalog.->>) 'enqueued_by')))
    $$;
COMMENT ON FUNCTION sync_job_internal.job_of_node(jsonb) IS 'a job of another node as a row';

CREATE VIEW @extschema@.sync_job_everywhere WITH (security_invoker = true) AS
    SELECT n.node, j.id, j.sync_job_type, j.title, j.status, j.source_document_type, j.source_document_name, j.target_document_type,
        j.target_document_name, j.operation, j.queue, j.priority, j.retry_count, j.retry_after, j.scheduled_at, j.created_at, j.started_at,
        j.ended_at, j.error_message, j.job_id, j.parent_sync_job, j.run_as, j.owner, n.answer AS job
    FROM sync_job_internal.read_nodes('SELECT * FROM @extschema@.sync_job', true) AS n
    CROSS JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS j (id bigint, sync_job_type text, title text, status text, source_document_type text,
        source_document_name text, target_document_type text, target_document_name text, operation text, queue text, priority integer,
        retry_count integer, retry_after timestamptz, scheduled_at timestamptz, created_at timestamptz, started_at timestamptz,
        ended_at timestamptz, error_message text, job_id text, parent_sync_job bigint, run_as text, owner text);
COMMENT ON VIEW @extschema@.sync_job_everywhere IS 'The jobs of this database and of all nodes; a node that cannot be asked is left out, with a warning. All rows are fetched: sync_jobs_everywhere() fetches only some';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.node IS 'where the job is; NULL: in this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.id IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.sync_job_type IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.title IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.status IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.source_document_type IS 'as in sync_job, as text: the relation need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.source_document_name IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.target_document_type IS 'as in sync_job, as text: the relation need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.target_document_name IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.operation IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.queue IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.priority IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.retry_count IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.retry_after IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.scheduled_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.created_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.started_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.ended_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.error_message IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.job_id IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.parent_sync_job IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.run_as IS 'as in sync_job, as text: the role need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.owner IS 'as in sync_job, as text: the role need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.job IS 'the whole row of sync_job';
GRANT SELECT ON @extschema@.sync_job_everywhere TO PUBLIC;

CREATE FUNCTION @extschema@.sync_jobs_everywhere(condition text DEFAULT NULL, max_rows integer DEFAULT 1000) RETURNS SETOF @extschema@.sync_job_everywhere
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT pg_catalog.jsonb_populate_record(NULL::@extschema@.sync_job_everywhere,
        n.answer OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('node', n.node, 'job', n.answer))
    FROM sync_job_internal.read_nodes(pg_catalog.format('SELECT * FROM @extschema@.sync_job WHERE %s ORDER BY id DESC LIMIT %L',
        coalesce('(' OPERATOR(pg_catalog.||) condition OPERATOR(pg_catalog.||) E'\n)', 'true'), max_rows), true) AS n
    $$;
COMMENT ON FUNCTION @extschema@.sync_jobs_everywhere(text, integer) IS 'the newest jobs of this database and of all nodes, at most max_rows of each (NULL: all). condition: SQL over the columns of sync_job, for each node';

CREATE VIEW @extschema@.sync_job_queue_status_everywhere WITH (security_invoker = true) AS
    SELECT n.node, n.server, q.queue, q.paused, q.max_workers, q.workers, q.running, q.waiting, q.scheduled, q.oldest_waiting,
        coalesce(n.problem, q.note) AS note, q.failed, q.retrying
    FROM sync_job_internal.read_nodes('SELECT * FROM @extschema@.sync_job_queue_status') AS n
    LEFT JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS q (queue text, paused boolean, max_workers integer, workers bigint, running bigint,
        waiting bigint, scheduled bigint, oldest_waiting timestamptz, note text, failed bigint, retrying bigint) ON true;
COMMENT ON VIEW @extschema@.sync_job_queue_status_everywhere IS 'sync_job_queue_status of this database and of all nodes; a node that cannot be asked has one row, whose note says why';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.node IS 'the node; NULL: this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.server IS 'its foreign server; NULL: this database is not in sync_job_node';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.queue IS 'as in sync_job_queue_status; NULL: the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.paused IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.max_workers IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.workers IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.running IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.waiting IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.scheduled IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.oldest_waiting IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.note IS 'as in sync_job_queue_status; or why the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.failed IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.retrying IS 'as in sync_job_queue_status';
GRANT SELECT ON @extschema@.sync_job_queue_status_everywhere TO PUBLIC;

CREATE VIEW @extschema@.sync_job_freshness_everywhere WITH (security_invoker = true) AS
    SELECT n.node, n.server, f.sync_job_type, f.oldest_change, f.waiting, f.running, f.retrying, f.failed, f.last_success, f.per_minute,
        f.latency_p50, f.latency_p95, n.problem AS note
    FROM sync_job_internal.read_nodes('SELECT * FROM @extschema@.sync_job_freshness') AS n
    LEFT JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS f (sync_job_type text, oldest_change timestamptz, waiting bigint, running bigint,
        retrying bigint, failed bigint, last_success timestamptz, per_minute numeric, latency_p50 interval, latency_p95 interval) ON true;
COMMENT ON VIEW @extschema@.sync_job_freshness_everywhere IS 'sync_job_freshness of this database and of all nodes; a node that cannot be asked has one row, whose note says why';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.node IS 'the node; NULL: this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.server IS 'its foreign server; NULL: this database is not in sync_job_node';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.sync_job_type IS 'as in sync_job_freshness; NULL: the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.oldest_change IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.waiting IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.running IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.retrying IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.failed IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.last_success IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.per_minute IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.latency_p50 IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.latency_p95 IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.note IS 'why the node cannot be asked; NULL: it has answered';
GRANT SELECT ON @extschema@.sync_job_freshness_everywhere TO PUBLIC;

CREATE VIEW @extschema@.sync_job_node_status WITH (security_invoker = true) AS
    SELECT n.node, n.server, r.version, NULLIF(pg_catalog.concat_ws('; ', n.problem,
        CASE WHEN n.answer IS NOT NULL AND n.node IS DISTINCT FROM r.number
            THEN pg_catalog.format('answers as %s: another database, a copy, or set_sync_job_node(%s) is missing there', coalesce(pg_catalog.concat('node ', r.number), 'no node'), n.node) END,
        CASE WHEN r.version OPERATOR(pg_catalog.<>) (SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_sync_job')
            THEN 'has another version than this database' END,
        CASE WHEN r.standby THEN 'is a standby' END, CASE WHEN r.copied AND NOT r.standby THEN 'waits for adopt_sync_jobs()' END), '') AS note
    FROM sync_job_internal.read_nodes('SELECT sync_job_internal.this_node() AS number, sync_job_internal.waiting_elsewhere() AS copied,
        pg_catalog.pg_is_in_recovery() AS standby, e.extversion AS version FROM pg_catalog.pg_extension AS e WHERE e.extname = ''pg_sync_job''') AS n
    LEFT JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS r (number integer, copied boolean, standby boolean, version text) ON true;
COMMENT ON VIEW @extschema@.sync_job_node_status IS 'This database and all nodes: whether each can be asked, and whether it is what sync_job_node says';
COMMENT ON COLUMN @extschema@.sync_job_node_status.node IS 'the node; NULL: this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_node_status.server IS 'its foreign server; NULL: this database is not in sync_job_node';
COMMENT ON COLUMN @extschema@.sync_job_node_status.version IS 'of the extension there; NULL: the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_node_status.note IS 'what is wrong; NULL: nothing';
GRANT SELECT ON @extschema@.sync_job_node_status TO PUBLIC;

-- Runs at the node that is brought up to date, with the rights of the user mapping.
CREATE FUNCTION sync_job_internal.take_setup(setup jsonb) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    e jsonb;
    own jsonb;
    queue @extschema@.sync_job_queue;
    written integer := 0;
BEGIN
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'nodes') LOOP
        CONTINUE WHEN EXISTS (SELECT FROM @extschema@.sync_job_node AS n WHERE pg_catalog.to_jsonb(n) OPERATOR(pg_catalog.=) e);
        DELETE FROM @extschema@.sync_job_node AS n WHERE n.node OPERATOR(pg_catalog.=) (e OPERATOR(pg_catalog.->>) 'node')::pg_catalog.int4;
        INSERT INTO @extschema@.sync_job_node (node, server) VALUES ((e OPERATOR(pg_catalog.->>) 'node')::pg_catalog.int4, e OPERATOR(pg_catalog.->>) 'server');
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'queues') LOOP
        own := (SELECT pg_catalog.to_jsonb(q) FROM @extschema@.sync_job_queue AS q WHERE q.name OPERATOR(pg_catalog.=) (e OPERATOR(pg_catalog.->>) 'name'));
        CONTINUE WHEN own OPERATOR(pg_catalog.@>) e;
        queue := pg_catalog.jsonb_populate_record(NULL::@extschema@.sync_job_queue, e);
        IF own IS NULL THEN
            INSERT INTO @extschema@.sync_job_queue (name, max_workers, timeout, publish_events) VALUES (queue.name, queue.max_workers, queue.timeout, queue.publish_events);
        ELSE
            UPDATE @extschema@.sync_job_queue AS q SET max_workers = queue.max_workers, timeout = queue.timeout, publish_events = queue.publish_events
            WHERE q.name OPERATOR(pg_catalog.=) queue.name;
        END IF;
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'types') LOOP
        own := (SELECT pg_catalog.to_jsonb(t) FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) (e OPERATOR(pg_catalog.->>) 'name'));
        CONTINUE WHEN own OPERATOR(pg_catalog.@>) e;
        PERFORM sync_job_internal.write_type(own OPERATOR(pg_catalog.->>) 'name', e);
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'levels') LOOP
        CONTINUE WHEN EXISTS (SELECT FROM sync_job_internal.access AS a WHERE pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.=) e);
        PERFORM @extschema@.grant_sync_job_access((e OPERATOR(pg_catalog.->>) 'role')::pg_catalog.regrole, e OPERATOR(pg_catalog.->>) 'level');
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'grants') LOOP
        CONTINUE WHEN EXISTS (SELECT FROM sync_job_internal.type_grant AS g WHERE pg_catalog.to_jsonb(g) OPERATOR(pg_catalog.=) e);
        PERFORM @extschema@.grant_sync_job_type(e OPERATOR(pg_catalog.->>) 'sync_job_type', (e OPERATOR(pg_catalog.->>) 'role')::pg_catalog.regrole);
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    RETURN written;
END $$;
COMMENT ON FUNCTION sync_job_internal.take_setup(jsonb) IS 'writes what propagate_sync_job_setup() of another node has sent, where it differs, with the rights of the caller; returns the number of rows written';

CREATE FUNCTION @extschema@.propagate_sync_job_setup(INOUT node integer DEFAULT NULL, OUT server text, OUT written integer, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    wanted integer := node;
    whole boolean := pg_catalog.has_table_privilege('sync_job_internal.access', 'SELECT');
    setup jsonb;
    n record;
    detail text;
BEGIN
    IF wanted IS NOT NULL AND NOT EXISTS (SELECT FROM @extschema@.sync_job_node AS s WHERE s.node OPERATOR(pg_catalog.=) wanted) THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('node %s is not in sync_job_node', wanted);
    END IF;
    setup := pg_catalog.jsonb_build_object(
        'queues', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(q) OPERATOR(pg_catalog.-) 'paused'), '[]') FROM @extschema@.sync_job_queue AS q),
        'types', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) OPERATOR(pg_catalog.-)
                      '{paused, created_at, modified_at, library_trusted}'::pg_catalog.text[]), '[]') FROM @extschema@.sync_job_type AS t),
        'grants', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(g)), '[]') FROM sync_job_internal.type_grant AS g));
    IF whole THEN
        setup := setup OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
            'nodes', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)), '[]') FROM @extschema@.sync_job_node AS s),
            'levels', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(a)), '[]') FROM sync_job_internal.access AS a));
    END IF;
    FOR n IN SELECT s.node, s.server FROM @extschema@.sync_job_node AS s
             WHERE s.node IS DISTINCT FROM sync_job_internal.this_node() AND (wanted IS NULL OR s.node OPERATOR(pg_catalog.=) wanted) ORDER BY s.node LOOP
        node := n.node;
        server := n.server;
        written := NULL;
        problem := NULL;
        BEGIN
            written := sync_job_internal.call_node(node, pg_catalog.format('SELECT sync_job_internal.take_setup(%L)', setup))::pg_catalog.int4;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL;
            problem := pg_catalog.concat_ws(': ', problem, NULLIF(pg_catalog.replace(detail, E'\n', ' '), ''));
        END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.propagate_sync_job_setup(integer) IS 'copies job types, queues, grants and, for superusers, levels and sync_job_node from this database to all nodes, or to one: what is missing or different there is written, nothing is removed, and paused stays as it is. One transaction per node; returns one row per node: how many rows were written, or the problem';

REVOKE ALL ON FUNCTION @extschema@.set_sync_job_node(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION sync_job_internal.connect_node(integer, text), sync_job_internal.disconnect_node(integer, text), sync_job_internal.await_node(integer, text, double precision),
    sync_job_internal.call_node(integer, text), sync_job_internal.read_nodes(text, boolean), sync_job_internal.job_of_node(jsonb),
    sync_job_internal.take_setup(jsonb), sync_job_internal.this_node() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.connect_node(integer, text), sync_job_internal.disconnect_node(integer, text), sync_job_internal.await_node(integer, text, double precision),
    sync_job_internal.call_node(integer, text), sync_job_internal.read_nodes(text, boolean), sync_job_internal.job_of_node(jsonb),
    sync_job_internal.take_setup(jsonb), sync_job_internal.this_node() TO PUBLIC;
