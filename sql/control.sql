-- ---------------------------------------------------------------------------------------------------------------------
-- Controlling jobs
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.start_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start';
COMMENT ON FUNCTION @extschema@.start_sync_job(bigint) IS 'queues a Pending job; any other state is an error';
CREATE FUNCTION @extschema@.start_sync_job(ids bigint[]) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start_many';
COMMENT ON FUNCTION @extschema@.start_sync_job(bigint[]) IS 'queues those of the jobs that are Pending, and returns them';

CREATE FUNCTION @extschema@.retry_sync_job(id bigint, context jsonb DEFAULT NULL) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint, jsonb) IS 'queues a Failed job again, with another context if one is given; any other state is an error';
CREATE FUNCTION @extschema@.retry_sync_job(ids bigint[], context jsonb DEFAULT NULL) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry_many';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint[], jsonb) IS 'queues again those of the jobs that are Failed, and returns them';

CREATE FUNCTION @extschema@.cancel_sync_job(id bigint, reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint, text, boolean) IS 'cancels a job that is Pending, Queued or Failed; with running => true also one that is running (at once, even if the calling transaction is rolled back); any other state is an error';
CREATE FUNCTION @extschema@.cancel_sync_job(ids bigint[], reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel_many';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint[], text, boolean) IS 'cancels those of the jobs that can be canceled, and returns them';

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

CREATE FUNCTION @extschema@.execute_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_execute';
COMMENT ON FUNCTION @extschema@.execute_sync_job(bigint) IS 'runs a job that is Pending, Queued or Failed here and now, in this transaction, and returns it; only for the role the job runs as';
CREATE PROCEDURE @extschema@.execute_sync_job(id bigint, INOUT job @extschema@.sync_job)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_execute_call';
COMMENT ON PROCEDURE @extschema@.execute_sync_job(bigint, @extschema@.sync_job) IS 'CALL execute_sync_job(id, NULL): like the function, but in transactions of its own; for controllers that COMMIT';

CREATE PROCEDURE @extschema@.run_sync_jobs(queue text DEFAULT NULL, max_jobs integer DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_run_jobs';
COMMENT ON PROCEDURE @extschema@.run_sync_jobs(text, integer) IS 'runs the due jobs of the current role here and now: of one queue or of all, and at most max_jobs; commits as it goes where that is allowed';

CREATE PROCEDURE @extschema@.wait_for_sync_job(id bigint, timeout interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_wait';
COMMENT ON PROCEDURE @extschema@.wait_for_sync_job(bigint, interval) IS 'returns when the job has ended (a Failed one when no retry will follow); raises an error if that takes longer than timeout (NULL: no limit)';
CREATE PROCEDURE @extschema@.wait_for_sync_jobs(ids bigint[] DEFAULT NULL, job_group text DEFAULT NULL, timeout interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_wait_many';
COMMENT ON PROCEDURE @extschema@.wait_for_sync_jobs(bigint[], text, interval) IS 'returns when all of the jobs, and all jobs of the group that the caller may know of, have ended; raises an error if that takes longer than timeout (NULL: no limit)';

CREATE FUNCTION @extschema@.current_sync_job() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_current';
COMMENT ON FUNCTION @extschema@.current_sync_job() IS 'the id of the job that runs in this session, or NULL; for triggers that must not echo what a sync writes';

CREATE FUNCTION @extschema@.adopt_sync_jobs() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_adopt';
COMMENT ON FUNCTION @extschema@.adopt_sync_jobs() IS 'lets the workers run the jobs of this database after it has been restored or copied from elsewhere';

CREATE FUNCTION @extschema@.get_sync_document(document_type regclass, name text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_document';
COMMENT ON FUNCTION @extschema@.get_sync_document(regclass, text) IS 'a document by its name, with the caller''s rights; if it was deleted, as it was then, if that was kept; NULL: neither';
CREATE FUNCTION @extschema@.get_source_document(sync_job @extschema@.sync_job) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_source_document';
COMMENT ON FUNCTION @extschema@.get_source_document(@extschema@.sync_job) IS 'the job''s source document, even after it was deleted; NULL: the job has none, or it was not kept';
CREATE FUNCTION @extschema@.get_trigger_document(sync_job @extschema@.sync_job) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_trigger_document';
COMMENT ON FUNCTION @extschema@.get_trigger_document(@extschema@.sync_job) IS 'the document that caused the job, even after it was deleted';
CREATE FUNCTION @extschema@.get_target_document(sync_job @extschema@.sync_job, for_update boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_target_document';
COMMENT ON FUNCTION @extschema@.get_target_document(@extschema@.sync_job, boolean) IS 'the job''s target document as it is now; for_update: locks it';

CREATE FUNCTION @extschema@.apply_sync_job(id bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_apply';
COMMENT ON FUNCTION @extschema@.apply_sync_job(bigint) IS 'makes the changes of a dry run real: exactly the recorded values, without hooks; fails, naming the fields, if the target has changed meanwhile; returns the id of the job that records it';
CREATE FUNCTION @extschema@.revert_sync_job(id bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revert';
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

CREATE FUNCTION @extschema@.validate_sync_job_type(name text, OUT severity text, OUT object text, OUT message text,
        OUT detail text, OUT hint text, OUT field text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_validate_type';
COMMENT ON FUNCTION @extschema@.validate_sync_job_type(text) IS 'what is missing or wrong with a job type, one row per finding: severity is error (its jobs would fail) or warning; field is the column of sync_job_type, with the key in it (field_map.phone); no row: it is ready';
CREATE FUNCTION @extschema@.validate_sync_job_type_definition(definition jsonb, OUT severity text, OUT object text, OUT message text,
        OUT detail text, OUT hint text, OUT field text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_validate_type_definition';
COMMENT ON FUNCTION @extschema@.validate_sync_job_type_definition(jsonb) IS 'the same for a type that is not saved: definition has its columns, and those that are left out have their defaults; also reports what the table would refuse. Writes nothing; for managers';
CREATE FUNCTION @extschema@.export_sync_job_type(name text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_export_type';
COMMENT ON FUNCTION @extschema@.export_sync_job_type(text) IS 'a script for psql that creates the type again, here or elsewhere, with its queue (if that is missing), its triggers and its grants; for roles that can see the type';

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

CREATE FUNCTION @extschema@.get_sync_job_status(id bigint, OUT status text, OUT created_at timestamptz,
        OUT scheduled_at timestamptz, OUT started_at timestamptz, OUT ended_at timestamptz, OUT retry_count integer,
        OUT retry_after timestamptz) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_status';
COMMENT ON FUNCTION @extschema@.get_sync_job_status(bigint) IS 'state and times of a job, for its owner even without the right to read what the job writes; raises an error if there is no such job';

CREATE FUNCTION @extschema@.create_sync_job_boilerplate(sync_job_type text, language text DEFAULT 'plpgsql') RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_create_boilerplate';
COMMENT ON FUNCTION @extschema@.create_sync_job_boilerplate(text, text) IS 'source code of a controller for the type, with its tables and columns, that can be installed as it is: psql''s \gexec runs it; languages: plpgsql, sql, plpython3u; and c++, for a compiler';

