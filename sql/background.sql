-- ---------------------------------------------------------------------------------------------------------------------
-- Background work
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.enqueue_background_job(
    procedure text,
    args jsonb DEFAULT NULL,
    queue text DEFAULT NULL,
    timeout interval DEFAULT NULL,
    job_id text DEFAULT NULL,
    deduplicate boolean DEFAULT false,
    scheduled_at timestamptz DEFAULT NULL,
    priority integer DEFAULT NULL,
    at_front boolean DEFAULT false,
    now boolean DEFAULT false,
    on_success text DEFAULT NULL,
    on_failure text DEFAULT NULL,
    after bigint[] DEFAULT NULL,
    after_failure text DEFAULT 'cancel',
    job_group text DEFAULT NULL,
    title text DEFAULT NULL,
    max_retries integer DEFAULT 0,
    retry_delay interval DEFAULT NULL,
    verbose_logging boolean DEFAULT false,
    publish_event boolean DEFAULT false
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enqueue_background';
COMMENT ON FUNCTION @extschema@.enqueue_background_job(text, jsonb, text, interval, text, boolean, timestamptz, integer, boolean, boolean, text, text, bigint[], text, text, text, integer, interval, boolean, boolean) IS 'has a worker call a function or procedure with the caller''s rights, passing its arguments by name from a JSON object; returns the job''s id. A procedure may commit as it goes. now: runs it here, in this transaction';

CREATE FUNCTION @extschema@.report_sync_job_progress(percent numeric, title text DEFAULT NULL, description text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_report_progress';
COMMENT ON FUNCTION @extschema@.report_sync_job_progress(numeric, text, text) IS 'from inside a job: reports how far it is (0 to 100), which is visible at once in sync_job_activity and sent on the channel sync_job_progress; NULL leaves title or description as it was; outside a job, does nothing';

CREATE FUNCTION @extschema@.publish_sync_job_event(event text, message jsonb DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_publish_event';
COMMENT ON FUNCTION @extschema@.publish_sync_job_event(text, jsonb) IS 'NOTIFY on the channel sync_job, delivered at commit: {"event": ..., "message": ...}; a message too long for that is kept in sync_job_event, and the notification has its event_id';

CREATE FUNCTION @extschema@.get_sync_job_checkpoint() RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_checkpoint';
COMMENT ON FUNCTION @extschema@.get_sync_job_checkpoint() IS 'from inside a job: what it last saved with set_sync_job_checkpoint(), even before a crash or a retry';
CREATE FUNCTION @extschema@.set_sync_job_checkpoint(checkpoint jsonb) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_set_checkpoint';
COMMENT ON FUNCTION @extschema@.set_sync_job_checkpoint(jsonb) IS 'from inside a job: saves how far it has come, in the same transaction as its work';

CREATE FUNCTION @extschema@.get_sync_job_status(job_id text, OUT id bigint, OUT status text, OUT percent numeric,
        OUT created_at timestamptz, OUT started_at timestamptz, OUT ended_at timestamptz, OUT result jsonb,
        OUT error_message text) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_status_by_key';
COMMENT ON FUNCTION @extschema@.get_sync_job_status(text) IS 'state, progress, times, result and error of the newest job with that job_id that the caller may know of, or else of the job with that id; raises an error if there is none';

CREATE VIEW @extschema@.sync_job_recent WITH (security_invoker = true) AS
    SELECT j.id, j.sync_job_type, j.title, j.job_id, j.status, a.percent, j.queue, j.created_at, j.started_at, j.ended_at,
        j.error_message, j.source_document_type::pg_catalog.text AS source_document_type_name, j.source_document_name,
        j.target_document_type::pg_catalog.text AS target_document_type_name, j.target_document_name, j.run_as::pg_catalog.text AS run_as_name, j.traceparent
    FROM @extschema@.sync_job AS j LEFT JOIN sync_job_internal.activity() AS a ON a.sync_job OPERATOR(pg_catalog.=) j.id
    WHERE j.status IN ('Pending', 'Queued', 'Started')
       OR j.ended_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval);
COMMENT ON VIEW @extschema@.sync_job_recent IS 'The jobs the reader may see that wait, run, or have ended within the last hour';
COMMENT ON COLUMN @extschema@.sync_job_recent.id IS 'the job';
COMMENT ON COLUMN @extschema@.sync_job_recent.sync_job_type IS 'its type';
COMMENT ON COLUMN @extschema@.sync_job_recent.title IS 'its title';
COMMENT ON COLUMN @extschema@.sync_job_recent.job_id IS 'the caller''s own key';
COMMENT ON COLUMN @extschema@.sync_job_recent.status IS 'its state';
COMMENT ON COLUMN @extschema@.sync_job_recent.percent IS 'progress of a running job, if it reports any';
COMMENT ON COLUMN @extschema@.sync_job_recent.queue IS 'its queue';
COMMENT ON COLUMN @extschema@.sync_job_recent.created_at IS 'when it was enqueued';
COMMENT ON COLUMN @extschema@.sync_job_recent.started_at IS 'start of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job_recent.ended_at IS 'end of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job_recent.error_message IS 'the error of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job_recent.source_document_type_name IS 'the relation the source document is in, as text';
COMMENT ON COLUMN @extschema@.sync_job_recent.source_document_name IS 'the key of the source document';
COMMENT ON COLUMN @extschema@.sync_job_recent.target_document_type_name IS 'the relation the target document is in, as text';
COMMENT ON COLUMN @extschema@.sync_job_recent.target_document_name IS 'the key of the target document';
COMMENT ON COLUMN @extschema@.sync_job_recent.run_as_name IS 'the role it runs as, as text';
COMMENT ON COLUMN @extschema@.sync_job_recent.traceparent IS 'the trace to which it belongs, in the format of W3C Trace Context';

