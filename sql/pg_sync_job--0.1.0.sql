\echo Use "CREATE EXTENSION pg_sync_job" to load this file. \quit

-- Helpers, partitions and logs. CREATE SCHEMA fails if somebody has planted one before us.
CREATE SCHEMA sync_job_internal;
COMMENT ON SCHEMA sync_job_internal IS 'pg_sync_job: partitions, logs and helpers; read them through the views and functions of the extension';

-- ---------------------------------------------------------------------------------------------------------------------
-- What controllers return
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TYPE @extschema@.sync_job_target AS (
    operation            text,
    target_document_type regclass,
    target_document_name text,
    context              jsonb
);
COMMENT ON TYPE @extschema@.sync_job_target IS 'What get_target_document() of a controller answers: what to do, to which document. context replaces the job''s.';

CREATE FUNCTION @extschema@.sync_job_target(operation text, target_document_type regclass DEFAULT NULL,
        target_document_name text DEFAULT NULL, context jsonb DEFAULT NULL)
    RETURNS @extschema@.sync_job_target
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW($1, $2, $3, $4)::@extschema@.sync_job_target;
COMMENT ON FUNCTION @extschema@.sync_job_target(text, regclass, text, jsonb) IS 'makes a sync_job_target: operation is insert, update or delete; target_document_type defaults to the job type''s; update and delete need a name';

CREATE TYPE @extschema@.sync_job_result AS (
    target_document_type regclass,
    target_document_name text,
    operation            text,
    diff                 jsonb
);
COMMENT ON TYPE @extschema@.sync_job_result IS 'What execute() of a bypass controller answers: what it did to which document.';

CREATE FUNCTION @extschema@.sync_job_result(target_document_type regclass DEFAULT NULL,
        target_document_name text DEFAULT NULL, operation text DEFAULT NULL, diff jsonb DEFAULT NULL)
    RETURNS @extschema@.sync_job_result
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW($1, $2, $3, $4)::@extschema@.sync_job_result;
COMMENT ON FUNCTION @extschema@.sync_job_result(regclass, text, text, jsonb) IS 'makes a sync_job_result; all of it may be left out';

-- ---------------------------------------------------------------------------------------------------------------------
-- Tables: queues, job types, jobs, errors, deleted documents
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE @extschema@.sync_job_queue (
    name           text COLLATE "C" PRIMARY KEY,
    max_workers    integer NOT NULL DEFAULT 2,
    timeout        interval NOT NULL DEFAULT '5 minutes',
    paused         boolean NOT NULL DEFAULT false,
    publish_events boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE @extschema@.sync_job_queue IS 'The queues jobs wait in. short, default and long are there from the start; any other may be added by INSERT.';
COMMENT ON COLUMN @extschema@.sync_job_queue.name IS 'the queue''s name';
COMMENT ON COLUMN @extschema@.sync_job_queue.max_workers IS 'at most so many worker processes serve this queue at a time, in this database; 0: none';
COMMENT ON COLUMN @extschema@.sync_job_queue.timeout IS 'time limit of a job whose type names none; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job_queue.paused IS 'true: jobs are enqueued, and none is started';
COMMENT ON COLUMN @extschema@.sync_job_queue.publish_events IS 'send an event on the channel sync_job for each job of it that has ended';

CREATE TABLE @extschema@.sync_job_type (
    name                 text COLLATE "C" PRIMARY KEY,
    source_document_type regclass,
    target_document_type regclass,
    source_key           text[],
    target_key           text[],
    module               text,
    field_map            jsonb,
    match                jsonb,
    batchable            boolean,
    queue                text COLLATE "C" NOT NULL DEFAULT 'default',
    priority             integer NOT NULL DEFAULT 0,
    timeout              interval,
    retry_delay          interval NOT NULL DEFAULT '1 minute',
    retry_backoff        text NOT NULL DEFAULT 'linear',
    max_retries          integer NOT NULL DEFAULT 3,
    concurrency_limit    integer,
    verbose_logging      boolean NOT NULL DEFAULT false,
    disabled             boolean NOT NULL DEFAULT false,
    is_standard          boolean NOT NULL DEFAULT false,
    publish_events       boolean NOT NULL DEFAULT false,
    run_as               regrole NOT NULL,
    description          text,
    created_at           timestamptz NOT NULL DEFAULT pg_catalog.now(),
    modified_at          timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE @extschema@.sync_job_type IS 'What is synced, and how: one row a job type, made with INSERT. The controller is a schema with functions of fixed names (module), or a declaration (match, field_map).';
COMMENT ON COLUMN @extschema@.sync_job_type.name IS 'the name jobs are enqueued under, as in SAP Customer Sync';
COMMENT ON COLUMN @extschema@.sync_job_type.source_document_type IS 'the relation it syncs from; NULL: the type has no source (plain background work)';
COMMENT ON COLUMN @extschema@.sync_job_type.target_document_type IS 'the relation it syncs to; NULL: the controller names it for each job';
COMMENT ON COLUMN @extschema@.sync_job_type.source_key IS 'key columns of the source; NULL: its primary key. Needed for views and foreign tables';
COMMENT ON COLUMN @extschema@.sync_job_type.target_key IS 'key columns of the target; NULL: its primary key. Needed for views and foreign tables';
COMMENT ON COLUMN @extschema@.sync_job_type.module IS 'the schema of the controller''s functions; default: the name in lower case, blanks and hyphens made underscores';
COMMENT ON COLUMN @extschema@.sync_job_type.field_map IS 'declarative controller: what to set in the target, {"target column": "source column" | {"value": constant} | {"expr": "SQL over source and context"}}';
COMMENT ON COLUMN @extschema@.sync_job_type.match IS 'declarative controller: which target belongs to a source, {"target column": "source column"}';
COMMENT ON COLUMN @extschema@.sync_job_type.batchable IS 'may share a transaction with its neighbours in the queue; NULL: as the kind of controller has it (standard and declarative: true, bypass: false)';
COMMENT ON COLUMN @extschema@.sync_job_type.queue IS 'the queue its jobs wait in';
COMMENT ON COLUMN @extschema@.sync_job_type.priority IS 'lower runs first';
COMMENT ON COLUMN @extschema@.sync_job_type.timeout IS 'time limit of one attempt; NULL: the queue''s; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job_type.retry_delay IS 'wait before the first retry; see retry_backoff for the next ones';
COMMENT ON COLUMN @extschema@.sync_job_type.retry_backoff IS 'linear: retry_delay × (retry_count + 1); constant: retry_delay; exponential: retry_delay × 2 ^ retry_count, varied by up to a quarter';
COMMENT ON COLUMN @extschema@.sync_job_type.max_retries IS 'retries after the first attempt has failed; 0: none';
COMMENT ON COLUMN @extschema@.sync_job_type.concurrency_limit IS 'at most so many jobs of the type run at a time; NULL: no limit';
COMMENT ON COLUMN @extschema@.sync_job_type.verbose_logging IS 'keep what the controller raises, the snapshots of the target, and the diff of inserts and deletes, with the job';
COMMENT ON COLUMN @extschema@.sync_job_type.disabled IS 'true: enqueueing is an error, triggers enqueue nothing; jobs that wait already still run';
COMMENT ON COLUMN @extschema@.sync_job_type.is_standard IS 'shipped with an application, as opposed to made on site';
COMMENT ON COLUMN @extschema@.sync_job_type.publish_events IS 'send an event on the channel sync_job for each job that has ended';
COMMENT ON COLUMN @extschema@.sync_job_type.run_as IS 'the role whose rights the jobs have; default: the owner of the target, else of the source, else the inserting role';
COMMENT ON COLUMN @extschema@.sync_job_type.description IS 'free text';
COMMENT ON COLUMN @extschema@.sync_job_type.created_at IS 'when the row was made';
COMMENT ON COLUMN @extschema@.sync_job_type.modified_at IS 'when the row was changed last';

CREATE SEQUENCE sync_job_internal.sync_job_id_seq;

-- One table for the reader, partitioned by state: what waits or runs stays small, whatever lies in the history.
-- src/engine/job_row.hpp lists the same columns in the same order; the library checks that they agree.
CREATE TABLE @extschema@.sync_job (
    id                             bigint NOT NULL,
    sync_job_type                  text COLLATE "C" NOT NULL,
    title                          text NOT NULL,
    status                         text COLLATE "C" NOT NULL,
    source_document_type           regclass,
    source_document_name           text COLLATE "C",
    target_document_type           regclass,
    target_document_name           text COLLATE "C",
    operation                      text COLLATE "C",
    context                        jsonb,
    parent_sync_job                bigint,
    multiple_target_documents      jsonb,
    queue                          text COLLATE "C" NOT NULL,
    priority                       integer NOT NULL,
    timeout                        interval NOT NULL,
    retry_delay                    interval NOT NULL,
    retry_backoff                  text COLLATE "C" NOT NULL,
    max_retries                    integer NOT NULL,
    retry_count                    integer NOT NULL,
    retry_after                    timestamptz,
    scheduled_at                   timestamptz,
    insert_enabled                 boolean NOT NULL,
    update_enabled                 boolean NOT NULL,
    delete_enabled                 boolean NOT NULL,
    update_without_changes_enabled boolean NOT NULL,
    verbose_logging                boolean NOT NULL,
    dry_run                        boolean NOT NULL,
    queue_on_insert                boolean NOT NULL,
    trigger_type                   text COLLATE "C" NOT NULL,
    triggered_by_document_type     regclass,
    triggered_by_document_name     text COLLATE "C",
    trigger_document_timestamp     timestamptz,
    job_id                         text COLLATE "C",
    current_data                   jsonb,
    updated_data                   jsonb,
    diff_summary                   jsonb,
    error_message                  text,
    messages                       text,
    result                         jsonb,
    checkpoint                     jsonb,
    cancel_reason                  text,
    run_as                         regrole NOT NULL,
    owner                          regrole NOT NULL,
    enqueued_by                    regrole NOT NULL,
    created_at                     timestamptz NOT NULL,
    started_at                     timestamptz,
    ended_at                       timestamptz,
    time_taken                     interval,
    procedure                      text,
    on_success                     text,
    on_failure                     text,
    after                          bigint[],
    after_failure                  text,
    job_group                      text COLLATE "C",
    publish_event                  boolean NOT NULL
) PARTITION BY LIST (status);

CREATE TABLE sync_job_internal.sync_job_live PARTITION OF @extschema@.sync_job
    FOR VALUES IN ('Pending', 'Queued', 'Started');
CREATE TABLE sync_job_internal.sync_job_failed PARTITION OF @extschema@.sync_job
    FOR VALUES IN ('Failed');
CREATE TABLE sync_job_internal.sync_job_ended PARTITION OF @extschema@.sync_job
    FOR VALUES IN ('Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled');

COMMENT ON TABLE @extschema@.sync_job IS 'One row a job, waiting, running or ended. Written by the functions of the extension only; a trigger on it would not see most of what happens.';
COMMENT ON TABLE sync_job_internal.sync_job_live IS 'the jobs that wait or run: the queue itself';
COMMENT ON TABLE sync_job_internal.sync_job_failed IS 'the jobs whose last attempt has failed';
COMMENT ON TABLE sync_job_internal.sync_job_ended IS 'the history';
COMMENT ON COLUMN @extschema@.sync_job.id IS 'number of the job; ascending in the order of enqueueing';
COMMENT ON COLUMN @extschema@.sync_job.sync_job_type IS 'the job type, sync_job_type.name';
COMMENT ON COLUMN @extschema@.sync_job.title IS 'source type > target type: target name, or source type: source name, or source type; at most 140 characters';
COMMENT ON COLUMN @extschema@.sync_job.status IS 'Pending, Queued, Started, Finished, Skipped, No Target, Relayed, Failed or Canceled';
COMMENT ON COLUMN @extschema@.sync_job.source_document_type IS 'the relation the source document is in';
COMMENT ON COLUMN @extschema@.sync_job.source_document_name IS 'the key of the source document, as text; a JSON array of texts for a key of several columns';
COMMENT ON COLUMN @extschema@.sync_job.target_document_type IS 'the relation the target document is in';
COMMENT ON COLUMN @extschema@.sync_job.target_document_name IS 'the key of the target document';
COMMENT ON COLUMN @extschema@.sync_job.operation IS 'Insert, Update or Delete; as asked for, or as the controller found';
COMMENT ON COLUMN @extschema@.sync_job.context IS 'the caller''s parameters for the controller, a JSON object';
COMMENT ON COLUMN @extschema@.sync_job.parent_sync_job IS 'the job that relayed to this one';
COMMENT ON COLUMN @extschema@.sync_job.multiple_target_documents IS 'the targets a Relayed job has made children for';
COMMENT ON COLUMN @extschema@.sync_job.queue IS 'the queue it waits in';
COMMENT ON COLUMN @extschema@.sync_job.priority IS 'lower runs first';
COMMENT ON COLUMN @extschema@.sync_job.timeout IS 'time limit of one attempt; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job.retry_delay IS 'wait before the first retry';
COMMENT ON COLUMN @extschema@.sync_job.retry_backoff IS 'how the wait grows: linear, constant or exponential';
COMMENT ON COLUMN @extschema@.sync_job.max_retries IS 'retries after the first attempt has failed';
COMMENT ON COLUMN @extschema@.sync_job.retry_count IS 'retries so far';
COMMENT ON COLUMN @extschema@.sync_job.retry_after IS 'Failed: when it is tried again; NULL: not by itself';
COMMENT ON COLUMN @extschema@.sync_job.scheduled_at IS 'runs then at the earliest; NULL: at once';
COMMENT ON COLUMN @extschema@.sync_job.insert_enabled IS 'false: an insert ends as Skipped';
COMMENT ON COLUMN @extschema@.sync_job.update_enabled IS 'false: an update ends as Skipped';
COMMENT ON COLUMN @extschema@.sync_job.delete_enabled IS 'false: a delete ends as Skipped';
COMMENT ON COLUMN @extschema@.sync_job.update_without_changes_enabled IS 'true: an update is written even when nothing changes';
COMMENT ON COLUMN @extschema@.sync_job.verbose_logging IS 'keep messages, snapshots and every diff';
COMMENT ON COLUMN @extschema@.sync_job.dry_run IS 'run everything, roll it back, keep the diff';
COMMENT ON COLUMN @extschema@.sync_job.queue_on_insert IS 'false: enqueued as Pending, waits for start_sync_job()';
COMMENT ON COLUMN @extschema@.sync_job.trigger_type IS 'what enqueued it: Manual, Scheduler, Webhook, API or Document Hook';
COMMENT ON COLUMN @extschema@.sync_job.triggered_by_document_type IS 'the relation of the document that caused the job';
COMMENT ON COLUMN @extschema@.sync_job.triggered_by_document_name IS 'the key of the document that caused the job';
COMMENT ON COLUMN @extschema@.sync_job.trigger_document_timestamp IS 'the version of the document that caused the job';
COMMENT ON COLUMN @extschema@.sync_job.job_id IS 'the caller''s own key';
COMMENT ON COLUMN @extschema@.sync_job.current_data IS 'the target before; kept with verbose_logging and when the job failed';
COMMENT ON COLUMN @extschema@.sync_job.updated_data IS 'the target after, or as the controller wanted it when the job failed; kept likewise';
COMMENT ON COLUMN @extschema@.sync_job.diff_summary IS 'what changed: {"field": {"old": …, "new": …}}; of inserts and deletes in a dry run or with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job.error_message IS 'the error of the last attempt, with detail, hint, SQLSTATE and context; all attempts: sync_job_error';
COMMENT ON COLUMN @extschema@.sync_job.messages IS 'what the controller raised (NOTICE and above), with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job.result IS 'what background work returned';
COMMENT ON COLUMN @extschema@.sync_job.checkpoint IS 'how far work in chunks has come, kept by the controller';
COMMENT ON COLUMN @extschema@.sync_job.cancel_reason IS 'the reason given to cancel_sync_job()';
COMMENT ON COLUMN @extschema@.sync_job.run_as IS 'the role whose rights it has';
COMMENT ON COLUMN @extschema@.sync_job.owner IS 'the role it belongs to: who enqueued it, or the owner of the table whose trigger did';
COMMENT ON COLUMN @extschema@.sync_job.enqueued_by IS 'the role that enqueued it or wrote to the table';
COMMENT ON COLUMN @extschema@.sync_job.created_at IS 'start of the transaction that enqueued it';
COMMENT ON COLUMN @extschema@.sync_job.started_at IS 'start of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job.ended_at IS 'end of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job.time_taken IS 'ended_at - started_at';

COMMENT ON COLUMN @extschema@.sync_job.procedure IS 'background work: the function or procedure it calls, with context as arguments';
COMMENT ON COLUMN @extschema@.sync_job.on_success IS 'the procedure that is enqueued when it has ended well';
COMMENT ON COLUMN @extschema@.sync_job.on_failure IS 'the procedure that is enqueued when it has failed for good';
COMMENT ON COLUMN @extschema@.sync_job.after IS 'the jobs it waits for, Pending until they have ended';
COMMENT ON COLUMN @extschema@.sync_job.after_failure IS 'when one of them fails: cancel, or run';
COMMENT ON COLUMN @extschema@.sync_job.job_group IS 'a name for jobs that belong together';
COMMENT ON COLUMN @extschema@.sync_job.publish_event IS 'send an event on the channel sync_job when it has ended';

-- The queue's indexes are the engine's: by id; the order of claiming; what is due at a time; what is said to run.
CREATE UNIQUE INDEX sync_job_live_id ON sync_job_internal.sync_job_live (id);
CREATE INDEX sync_job_live_claim ON sync_job_internal.sync_job_live (queue, run_as, priority, id)
    WHERE status OPERATOR(pg_catalog.=) 'Queued' AND scheduled_at IS NULL;
CREATE INDEX sync_job_live_scheduled ON sync_job_internal.sync_job_live (queue, run_as, scheduled_at, priority, id)
    WHERE status OPERATOR(pg_catalog.=) 'Queued' AND scheduled_at IS NOT NULL;
-- For deduplication, and to ask what is under way for a document.
CREATE INDEX sync_job_live_source ON sync_job_internal.sync_job_live (sync_job_type, source_document_name)
    WHERE source_document_name IS NOT NULL;
CREATE INDEX sync_job_live_group ON sync_job_internal.sync_job_live (job_group) WHERE job_group IS NOT NULL;
CREATE INDEX sync_job_live_job_id ON sync_job_internal.sync_job_live (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX sync_job_live_started ON sync_job_internal.sync_job_live (id) WHERE status OPERATOR(pg_catalog.=) 'Started';
CREATE UNIQUE INDEX sync_job_failed_id ON sync_job_internal.sync_job_failed (id);
CREATE INDEX sync_job_failed_retry ON sync_job_internal.sync_job_failed (retry_after) WHERE retry_after IS NOT NULL;
-- The history's: by id, by time (cheap: it is appended in that order), and "what happened to this document?".
CREATE UNIQUE INDEX sync_job_ended_id ON sync_job_internal.sync_job_ended (id);
CREATE INDEX sync_job_ended_at ON sync_job_internal.sync_job_ended USING brin (ended_at) WITH (pages_per_range = 32);
CREATE INDEX sync_job_ended_source ON sync_job_internal.sync_job_ended (source_document_name) WHERE source_document_name IS NOT NULL;

-- Jobs by the caller's own key, after they have ended.
CREATE INDEX sync_job_failed_job_id ON sync_job_internal.sync_job_failed (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX sync_job_ended_job_id ON sync_job_internal.sync_job_ended (job_id) WHERE job_id IS NOT NULL;
-- Children of a Relayed job.
CREATE INDEX sync_job_live_parent ON sync_job_internal.sync_job_live (parent_sync_job) WHERE parent_sync_job IS NOT NULL;
CREATE INDEX sync_job_failed_parent ON sync_job_internal.sync_job_failed (parent_sync_job) WHERE parent_sync_job IS NOT NULL;
CREATE INDEX sync_job_ended_parent ON sync_job_internal.sync_job_ended (parent_sync_job) WHERE parent_sync_job IS NOT NULL;

-- The queue turns over all the time: vacuum it by what has died, not by its (tiny) size.
ALTER TABLE sync_job_internal.sync_job_live SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);

CREATE TABLE @extschema@.sync_job_error (
    sync_job    bigint NOT NULL,
    attempt     integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    sqlstate    text NOT NULL,
    message     text NOT NULL,
    detail      text,
    hint        text,
    context     text,
    counted     boolean NOT NULL,
    PRIMARY KEY (sync_job, attempt)
);
COMMENT ON TABLE @extschema@.sync_job_error IS 'Every failed attempt of every job';
COMMENT ON COLUMN @extschema@.sync_job_error.sync_job IS 'the job, sync_job.id';
COMMENT ON COLUMN @extschema@.sync_job_error.attempt IS '1 for the first run, 2 for the first retry, …';
COMMENT ON COLUMN @extschema@.sync_job_error.occurred_at IS 'when the attempt failed';
COMMENT ON COLUMN @extschema@.sync_job_error.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN @extschema@.sync_job_error.message IS 'primary message';
COMMENT ON COLUMN @extschema@.sync_job_error.detail IS 'DETAIL of the error';
COMMENT ON COLUMN @extschema@.sync_job_error.hint IS 'HINT of the error';
COMMENT ON COLUMN @extschema@.sync_job_error.context IS 'where it happened: the call stack of the failing function';
COMMENT ON COLUMN @extschema@.sync_job_error.counted IS 'false: the attempt does not count as a retry (the controller was not usable, or the server crashed)';

CREATE TABLE @extschema@.sync_job_deleted_document (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_type regclass NOT NULL,
    document_name text COLLATE "C" NOT NULL,
    data          jsonb NOT NULL,
    deleted_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    deleted_by    regrole NOT NULL
);
CREATE INDEX sync_job_deleted_document_name ON @extschema@.sync_job_deleted_document (document_type, document_name, id);
COMMENT ON TABLE @extschema@.sync_job_deleted_document IS 'Rows as they were when they were deleted, kept by the triggers for the jobs that sync the deletion';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.id IS 'number of the record; the newest has the highest';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.document_type IS 'the relation the row was in';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.document_name IS 'its key, as in sync_job.source_document_name';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.data IS 'the row';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_at IS 'start of the transaction that deleted it';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_by IS 'who deleted it';

-- Which job waits for which.
CREATE TABLE sync_job_internal.dependency (
    job       bigint NOT NULL,
    waits_for bigint NOT NULL,
    PRIMARY KEY (job, waits_for)
);
COMMENT ON TABLE sync_job_internal.dependency IS 'Pending jobs and the jobs they wait for: sync_job.after, until the scheduler has let them go';
COMMENT ON COLUMN sync_job_internal.dependency.job IS 'the job that waits';
COMMENT ON COLUMN sync_job_internal.dependency.waits_for IS 'the job that must have ended';

CREATE TABLE @extschema@.sync_job_event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event      text NOT NULL,
    message    jsonb,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    created_by regrole NOT NULL
);
COMMENT ON TABLE @extschema@.sync_job_event IS 'Events too long for NOTIFY: the notification names their id';
COMMENT ON COLUMN @extschema@.sync_job_event.id IS 'event_id of the notification';
COMMENT ON COLUMN @extschema@.sync_job_event.event IS 'name of the event';
COMMENT ON COLUMN @extschema@.sync_job_event.message IS 'its message';
COMMENT ON COLUMN @extschema@.sync_job_event.created_at IS 'start of the transaction that published it';
COMMENT ON COLUMN @extschema@.sync_job_event.created_by IS 'who published it';

CREATE TABLE @extschema@.sync_job_schedule (
    name          text COLLATE "C" PRIMARY KEY,
    schedule      text NOT NULL,
    cron          text NOT NULL,
    sync_job_type text COLLATE "C",
    procedure     text,
    params        jsonb NOT NULL,
    queue         text COLLATE "C",
    overlap       boolean NOT NULL,
    owner         regrole NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE @extschema@.sync_job_schedule IS 'What schedule_sync_job() has scheduled; pg_cron calls run_sync_job_schedule() for each';
COMMENT ON COLUMN @extschema@.sync_job_schedule.name IS 'name of the schedule';
COMMENT ON COLUMN @extschema@.sync_job_schedule.schedule IS 'as it was given: a cron expression, or a word';
COMMENT ON COLUMN @extschema@.sync_job_schedule.cron IS 'the cron expression';
COMMENT ON COLUMN @extschema@.sync_job_schedule.sync_job_type IS 'the job type it enqueues; NULL: background work';
COMMENT ON COLUMN @extschema@.sync_job_schedule.procedure IS 'the procedure it enqueues as background work; NULL: a job type';
COMMENT ON COLUMN @extschema@.sync_job_schedule.params IS 'the other parameters of enqueue_sync_job(), or the arguments of the procedure';
COMMENT ON COLUMN @extschema@.sync_job_schedule.queue IS 'the queue; NULL: as the job type has it, default for a procedure';
COMMENT ON COLUMN @extschema@.sync_job_schedule.overlap IS 'true: enqueue also while the last job of the schedule waits or runs';
COMMENT ON COLUMN @extschema@.sync_job_schedule.owner IS 'who made it, and with whose rights it enqueues';
COMMENT ON COLUMN @extschema@.sync_job_schedule.created_at IS 'when it was made';

-- Which server and database the jobs belong to. Dumped, so that a restored copy knows that it is one and does not run jobs by
-- itself: see adopt_sync_jobs().
CREATE TABLE sync_job_internal.home (
    system_identifier bigint NOT NULL,
    database          oid NOT NULL
);
COMMENT ON TABLE sync_job_internal.home IS 'the server and database whose workers may run the jobs';
COMMENT ON COLUMN sync_job_internal.home.system_identifier IS 'of the server, as in pg_control_system()';
COMMENT ON COLUMN sync_job_internal.home.database IS 'OID of the database';
INSERT INTO sync_job_internal.home
    SELECT system_identifier, (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
    FROM pg_catalog.pg_control_system();

CREATE FUNCTION sync_job_internal.check_queue() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_check_queue';
CREATE TRIGGER check_queue BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.sync_job_queue
    FOR EACH ROW EXECUTE FUNCTION sync_job_internal.check_queue();
ALTER TABLE @extschema@.sync_job_queue ENABLE ALWAYS TRIGGER check_queue;
COMMENT ON FUNCTION sync_job_internal.check_queue() IS 'trigger of sync_job_queue: checks the row and tells the workers';

CREATE FUNCTION sync_job_internal.check_type() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_check_type';
CREATE TRIGGER check_type BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.sync_job_type
    FOR EACH ROW EXECUTE FUNCTION sync_job_internal.check_type();
ALTER TABLE @extschema@.sync_job_type ENABLE ALWAYS TRIGGER check_type;
COMMENT ON FUNCTION sync_job_internal.check_type() IS 'trigger of sync_job_type: fills defaults, checks form and rights, tells the workers';

INSERT INTO @extschema@.sync_job_queue (name, max_workers, timeout) VALUES
    ('short', 2, '5 minutes'), ('default', 2, '5 minutes'), ('long', 2, '25 minutes');

SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_queue', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_type', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_live', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_failed', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_ended', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_error', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_deleted_document', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_deleted_document_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.dependency', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_event', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_schedule', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.home', '');

-- ---------------------------------------------------------------------------------------------------------------------
-- Enqueueing
-- ---------------------------------------------------------------------------------------------------------------------

-- The long forms take the same arguments from the third on; src/api/enqueue.cpp reads them by position.
CREATE FUNCTION @extschema@.enqueue_sync_job(
    sync_job_type text,
    source_document_name text DEFAULT NULL,
    context jsonb DEFAULT NULL,
    operation text DEFAULT NULL,
    source_document_type regclass DEFAULT NULL,
    target_document_type regclass DEFAULT NULL,
    target_document_name text DEFAULT NULL,
    parent_sync_job bigint DEFAULT NULL,
    queue text DEFAULT NULL,
    priority integer DEFAULT NULL,
    timeout interval DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    max_retries integer DEFAULT NULL,
    scheduled_at timestamptz DEFAULT NULL,
    trigger_type text DEFAULT 'Manual',
    triggered_by_document_type regclass DEFAULT NULL,
    triggered_by_document_name text DEFAULT NULL,
    trigger_document_timestamp timestamptz DEFAULT NULL,
    queue_on_insert boolean DEFAULT true,
    dry_run boolean DEFAULT false,
    insert_enabled boolean DEFAULT true,
    update_enabled boolean DEFAULT true,
    delete_enabled boolean DEFAULT true,
    update_without_changes_enabled boolean DEFAULT false,
    verbose_logging boolean DEFAULT NULL,
    job_id text DEFAULT NULL,
    deduplicate boolean DEFAULT false,
    target_doc record DEFAULT NULL,
    triggered_by_doc record DEFAULT NULL
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sync_job_enqueue_by_name';

CREATE FUNCTION @extschema@.enqueue_sync_job(
    sync_job_type text,
    source_doc anyelement,
    context jsonb DEFAULT NULL,
    operation text DEFAULT NULL,
    source_document_type regclass DEFAULT NULL,
    target_document_type regclass DEFAULT NULL,
    target_document_name text DEFAULT NULL,
    parent_sync_job bigint DEFAULT NULL,
    queue text DEFAULT NULL,
    priority integer DEFAULT NULL,
    timeout interval DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    max_retries integer DEFAULT NULL,
    scheduled_at timestamptz DEFAULT NULL,
    trigger_type text DEFAULT 'Manual',
    triggered_by_document_type regclass DEFAULT NULL,
    triggered_by_document_name text DEFAULT NULL,
    trigger_document_timestamp timestamptz DEFAULT NULL,
    queue_on_insert boolean DEFAULT true,
    dry_run boolean DEFAULT false,
    insert_enabled boolean DEFAULT true,
    update_enabled boolean DEFAULT true,
    delete_enabled boolean DEFAULT true,
    update_without_changes_enabled boolean DEFAULT false,
    verbose_logging boolean DEFAULT NULL,
    job_id text DEFAULT NULL,
    deduplicate boolean DEFAULT false,
    target_doc record DEFAULT NULL,
    triggered_by_doc record DEFAULT NULL
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sync_job_enqueue_by_document';

CREATE FUNCTION @extschema@.enqueue_sync_job(params jsonb) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sync_job_enqueue_by_params';

CREATE FUNCTION @extschema@.enqueue_sync_jobs(
    sync_job_type text,
    source_document_names text[],
    context jsonb DEFAULT NULL,
    operation text DEFAULT NULL,
    source_document_type regclass DEFAULT NULL,
    target_document_type regclass DEFAULT NULL,
    target_document_name text DEFAULT NULL,
    parent_sync_job bigint DEFAULT NULL,
    queue text DEFAULT NULL,
    priority integer DEFAULT NULL,
    timeout interval DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    max_retries integer DEFAULT NULL,
    scheduled_at timestamptz DEFAULT NULL,
    trigger_type text DEFAULT 'Manual',
    triggered_by_document_type regclass DEFAULT NULL,
    triggered_by_document_name text DEFAULT NULL,
    trigger_document_timestamp timestamptz DEFAULT NULL,
    queue_on_insert boolean DEFAULT true,
    dry_run boolean DEFAULT false,
    insert_enabled boolean DEFAULT true,
    update_enabled boolean DEFAULT true,
    delete_enabled boolean DEFAULT true,
    update_without_changes_enabled boolean DEFAULT false,
    verbose_logging boolean DEFAULT NULL,
    job_id text DEFAULT NULL,
    deduplicate boolean DEFAULT false,
    target_doc record DEFAULT NULL,
    triggered_by_doc record DEFAULT NULL
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sync_job_enqueue_many';

DO $comments$
DECLARE
    function pg_catalog.regprocedure;
BEGIN
    FOR function IN SELECT oid FROM pg_catalog.pg_proc
            WHERE proname OPERATOR(pg_catalog.=) ANY (ARRAY['enqueue_sync_job', 'enqueue_sync_jobs']::pg_catalog.name[])
              AND pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid LOOP
        EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', function, CASE
            WHEN pg_catalog.strpos(pg_catalog.pg_get_function_arguments(function), 'source_document_names') OPERATOR(pg_catalog.>) 0 THEN
                'enqueues a job for each of the documents, set-based: what they share is checked once; returns how many'
            WHEN pg_catalog.strpos(pg_catalog.pg_get_function_arguments(function), 'anyelement') OPERATOR(pg_catalog.>) 0 THEN
                'enqueues a job for a document given as a row (or its key as a number, uuid, …), returns the job''s id: SELECT enqueue_sync_job(''SAP Customer Sync'', c) FROM customer c'
            WHEN pg_catalog.strpos(pg_catalog.pg_get_function_arguments(function), 'params') OPERATOR(pg_catalog.>) 0 THEN
                'enqueues a job described by one JSON object with the arguments of the other forms, returns its id; numbers where an interval is meant are seconds'
            ELSE
                'enqueues a job for the document of that name, returns the job''s id; NULL means: as the job type says. Transactional: without a commit there is no job'
            END);
    END LOOP;
END
$comments$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Steering jobs
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.start_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start';
COMMENT ON FUNCTION @extschema@.start_sync_job(bigint) IS 'queues a Pending job; any other state is an error';
CREATE FUNCTION @extschema@.start_sync_job(ids bigint[]) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_start_many';
COMMENT ON FUNCTION @extschema@.start_sync_job(bigint[]) IS 'queues those of the jobs that are Pending, and returns them';

CREATE FUNCTION @extschema@.retry_sync_job(id bigint, context jsonb DEFAULT NULL) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint, jsonb) IS 'queues a Failed job again, with another context where one is given; any other state is an error';
CREATE FUNCTION @extschema@.retry_sync_job(ids bigint[], context jsonb DEFAULT NULL) RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_retry_many';
COMMENT ON FUNCTION @extschema@.retry_sync_job(bigint[], jsonb) IS 'queues those of the jobs again that are Failed, and returns them';

CREATE FUNCTION @extschema@.cancel_sync_job(id bigint, reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint, text, boolean) IS 'cancels a job that is Pending, Queued or Failed, with running => true also one that runs (at once, whatever becomes of the calling transaction); any other state is an error';
CREATE FUNCTION @extschema@.cancel_sync_job(ids bigint[], reason text DEFAULT NULL, running boolean DEFAULT false)
    RETURNS SETOF @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_cancel_many';
COMMENT ON FUNCTION @extschema@.cancel_sync_job(bigint[], text, boolean) IS 'cancels those of the jobs that can be, and returns them';

CREATE FUNCTION @extschema@.execute_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_execute';
COMMENT ON FUNCTION @extschema@.execute_sync_job(bigint) IS 'runs a job that is Pending, Queued or Failed here and now, in this transaction, and returns it; only for the role the job runs as';
CREATE PROCEDURE @extschema@.execute_sync_job(id bigint, INOUT job @extschema@.sync_job)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_execute_call';
COMMENT ON PROCEDURE @extschema@.execute_sync_job(bigint, @extschema@.sync_job) IS 'CALL execute_sync_job(id, NULL): as the function, in transactions of its own; for controllers that COMMIT';

CREATE PROCEDURE @extschema@.run_sync_jobs(queue text DEFAULT NULL, max_jobs integer DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_run_jobs';
COMMENT ON PROCEDURE @extschema@.run_sync_jobs(text, integer) IS 'runs the due jobs of the current role here and now: of one queue or all, all or at most max_jobs; commits as it goes where it may';

CREATE PROCEDURE @extschema@.wait_for_sync_job(id bigint, timeout interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_wait';
COMMENT ON PROCEDURE @extschema@.wait_for_sync_job(bigint, interval) IS 'returns when the job has ended (a Failed one when no retry is to come); an error when that takes longer than timeout (NULL: however long it takes)';

CREATE FUNCTION @extschema@.current_sync_job() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_current';
COMMENT ON FUNCTION @extschema@.current_sync_job() IS 'the id of the job that runs in this session, else NULL: for triggers that must not echo what a sync writes';

CREATE FUNCTION @extschema@.adopt_sync_jobs() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_adopt';
COMMENT ON FUNCTION @extschema@.adopt_sync_jobs() IS 'lets the workers run the jobs of this database after it has been restored or copied from elsewhere';

CREATE FUNCTION @extschema@.get_sync_document(document_type regclass, name text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_document';
COMMENT ON FUNCTION @extschema@.get_sync_document(regclass, text) IS 'a document by its name, with the caller''s rights; one that was deleted as it was then, if that was kept; NULL: neither';
CREATE FUNCTION @extschema@.get_source_document(sync_job @extschema@.sync_job) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_source_document';
COMMENT ON FUNCTION @extschema@.get_source_document(@extschema@.sync_job) IS 'the job''s source document, also when it has been deleted; NULL: it has none, or none is left';
CREATE FUNCTION @extschema@.get_trigger_document(sync_job @extschema@.sync_job) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_trigger_document';
COMMENT ON FUNCTION @extschema@.get_trigger_document(@extschema@.sync_job) IS 'the document that caused the job, also when it has been deleted';
CREATE FUNCTION @extschema@.get_target_document(sync_job @extschema@.sync_job, for_update boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_target_document';
COMMENT ON FUNCTION @extschema@.get_target_document(@extschema@.sync_job, boolean) IS 'the job''s target document as it is now; for_update: locked';

CREATE FUNCTION @extschema@.apply_sync_job(id bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_apply';
COMMENT ON FUNCTION @extschema@.apply_sync_job(bigint) IS 'makes the changes of a dry run real: exactly the listed values, no hook; fails, naming the fields, if the target has changed meanwhile; returns the id of the job that records it';
CREATE FUNCTION @extschema@.revert_sync_job(id bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revert';
COMMENT ON FUNCTION @extschema@.revert_sync_job(bigint) IS 'undoes a finished job from its diff; fails, naming the fields, if somebody changed them since; an insert or delete only where its diff was kept; returns the id of the job that records it';

CREATE FUNCTION @extschema@.validate_sync_job_type(name text, OUT severity text, OUT object text, OUT message text,
        OUT detail text, OUT hint text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_validate_type';
COMMENT ON FUNCTION @extschema@.validate_sync_job_type(text) IS 'what is missing or wrong with a job type, one row a finding: severity is error (its jobs would fail) or warning; no row: it is ready';

CREATE FUNCTION @extschema@.get_sync_job_status(id bigint, OUT status text, OUT created_at timestamptz,
        OUT scheduled_at timestamptz, OUT started_at timestamptz, OUT ended_at timestamptz, OUT retry_count integer,
        OUT retry_after timestamptz) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_status';
COMMENT ON FUNCTION @extschema@.get_sync_job_status(bigint) IS 'state and times of a job, for its owner also when he may not read what it writes; NULLs: no such job';

CREATE FUNCTION @extschema@.create_sync_job_boilerplate(sync_job_type text, language text DEFAULT 'plpgsql') RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_create_boilerplate';
COMMENT ON FUNCTION @extschema@.create_sync_job_boilerplate(text, text) IS 'source text of a controller for the type, with its tables and columns, that installs as it stands: psql''s \gexec runs it; languages: plpgsql, sql, plpython3u';

-- ---------------------------------------------------------------------------------------------------------------------
-- Triggers on source tables
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.sync_job_trigger() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_change_trigger';
COMMENT ON FUNCTION @extschema@.sync_job_trigger() IS 'AFTER INSERT OR UPDATE OR DELETE … FOR EACH ROW EXECUTE FUNCTION sync_job_trigger(''Job Type'' [, ''keep_deleted=false'']): enqueues a job for each changed row';

CREATE FUNCTION @extschema@.attach_sync_job_triggers(sync_job_type text, source regclass, level text DEFAULT 'row',
        deduplicate boolean DEFAULT true, keep_deleted boolean DEFAULT true, OUT trigger_name text) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_attach_triggers';
COMMENT ON FUNCTION @extschema@.attach_sync_job_triggers(text, regclass, text, boolean, boolean) IS 'makes the triggers that enqueue jobs of the type for every change of the table; level: row, or statement (one insert of jobs however many rows); returns their names. By the owner of the table';
CREATE FUNCTION @extschema@.detach_sync_job_triggers(sync_job_type text, source regclass, OUT trigger_name text) RETURNS SETOF text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_detach_triggers';
COMMENT ON FUNCTION @extschema@.detach_sync_job_triggers(text, regclass) IS 'drops all triggers on the table that enqueue jobs of the type; returns their names';

-- ---------------------------------------------------------------------------------------------------------------------
-- What workers and sessions share
-- ---------------------------------------------------------------------------------------------------------------------

CREATE PROCEDURE sync_job_internal.run_committing_job(job bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_run_committing_job';
COMMENT ON PROCEDURE sync_job_internal.run_committing_job(bigint) IS 'a worker''s own way to run a job whose procedure commits';

CREATE FUNCTION sync_job_internal.wake_launcher() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sync_job_wake_launcher';
COMMENT ON FUNCTION sync_job_internal.wake_launcher() IS 'at commit, tells the launcher to serve this database';

CREATE FUNCTION sync_job_internal.activity(OUT pid integer, OUT queue text, OUT sync_job bigint,
        OUT sync_job_type text, OUT started_at timestamptz, OUT percent numeric, OUT title text, OUT description text,
        OUT run_as regrole, OUT state text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_activity';
COMMENT ON FUNCTION sync_job_internal.activity() IS 'the worker processes of this database, from shared memory';

CREATE FUNCTION sync_job_internal.waiting_elsewhere() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM sync_job_internal.home AS h, pg_catalog.pg_control_system() AS s
                         WHERE h.system_identifier OPERATOR(pg_catalog.<>) s.system_identifier
                            OR h.database OPERATOR(pg_catalog.<>) (SELECT d.oid FROM pg_catalog.pg_database AS d
                                WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())) $$;
COMMENT ON FUNCTION sync_job_internal.waiting_elsewhere() IS 'true: the jobs came here with a dump or a copy, and nobody has called adopt_sync_jobs() yet';

-- Only superusers may read that setting by themselves.
CREATE FUNCTION sync_job_internal.preloaded() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_catalog.strpos(pg_catalog.current_setting('shared_preload_libraries'), 'pg_sync_job') OPERATOR(pg_catalog.>) 0 $$;
COMMENT ON FUNCTION sync_job_internal.preloaded() IS 'true: the server has loaded the library when it started, so that there are workers';


CREATE FUNCTION @extschema@.pause_sync_job_queue(queue text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_pause_queue';
COMMENT ON FUNCTION @extschema@.pause_sync_job_queue(text) IS 'starts no more jobs of the queue; what runs goes on; for operators';
CREATE FUNCTION @extschema@.resume_sync_job_queue(queue text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_resume_queue';
COMMENT ON FUNCTION @extschema@.resume_sync_job_queue(text) IS 'starts the jobs of the queue again; for operators';

CREATE FUNCTION @extschema@.auto_retry_failed_sync_jobs() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_auto_retry';
COMMENT ON FUNCTION @extschema@.auto_retry_failed_sync_jobs() IS 'queues the failed jobs whose retry_after has passed, at most 10,000, and returns how many: a safety net beside the workers'' own timers; for operators';

CREATE FUNCTION @extschema@.clear_old_sync_jobs(days integer DEFAULT 30, max_jobs integer DEFAULT 10000) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_clear_old';
COMMENT ON FUNCTION @extschema@.clear_old_sync_jobs(integer, integer) IS 'deletes jobs that ended more than so many days ago, with their errors, and records of deleted documents as old; at most max_jobs; returns how many jobs it deleted';
CREATE FUNCTION @extschema@.clear_all_sync_jobs() RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_clear_all';
COMMENT ON FUNCTION @extschema@.clear_all_sync_jobs() IS 'deletes all jobs that have ended or failed for good, at most 100,000 a call; returns how many';

SELECT sync_job_internal.wake_launcher();

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
COMMENT ON FUNCTION @extschema@.enqueue_background_job(text, jsonb, text, interval, text, boolean, timestamptz, integer, boolean, boolean, text, text, bigint[], text, text, text, integer, interval, boolean, boolean) IS 'has a worker call a function or procedure with the caller''s rights, its arguments by name from a JSON object; returns the job''s id. A procedure may commit as it goes. now: runs it here, in this transaction';

CREATE FUNCTION @extschema@.report_sync_job_progress(percent numeric, title text DEFAULT NULL, description text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_report_progress';
COMMENT ON FUNCTION @extschema@.report_sync_job_progress(numeric, text, text) IS 'from inside a job: how far it is (0 to 100), seen at once in sync_job_activity, and told on the channel sync_job_progress; NULL leaves title or description as it was; outside a job nothing happens';

CREATE FUNCTION @extschema@.publish_sync_job_event(event text, message jsonb DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_publish_event';
COMMENT ON FUNCTION @extschema@.publish_sync_job_event(text, jsonb) IS 'NOTIFY on the channel sync_job, delivered at commit: {"event": …, "message": …}; a message too long for that is kept in sync_job_event, and the notification has its event_id';

CREATE FUNCTION @extschema@.get_sync_job_checkpoint() RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get_checkpoint';
COMMENT ON FUNCTION @extschema@.get_sync_job_checkpoint() IS 'from inside a job: how far it had come, as it said with set_sync_job_checkpoint(), also before a crash or a retry';
CREATE FUNCTION @extschema@.set_sync_job_checkpoint(checkpoint jsonb) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_set_checkpoint';
COMMENT ON FUNCTION @extschema@.set_sync_job_checkpoint(jsonb) IS 'from inside a job: writes down, with what the transaction does, how far it has come';

CREATE FUNCTION @extschema@.get_sync_job_status(job_id text, OUT id bigint, OUT status text, OUT percent numeric,
        OUT created_at timestamptz, OUT started_at timestamptz, OUT ended_at timestamptz, OUT result jsonb,
        OUT error_message text) RETURNS record
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT j.id, j.status, a.percent, j.created_at, j.started_at, j.ended_at, j.result, j.error_message
          FROM @extschema@.sync_job AS j LEFT JOIN sync_job_internal.activity() AS a ON a.sync_job OPERATOR(pg_catalog.=) j.id
          WHERE j.job_id OPERATOR(pg_catalog.=) $1 ORDER BY j.id DESC LIMIT 1 $$;
COMMENT ON FUNCTION @extschema@.get_sync_job_status(text) IS 'the newest job of that job_id that the caller may see: its state, progress, times, result and error';

CREATE VIEW @extschema@.sync_job_recent WITH (security_invoker = true) AS
    SELECT j.id, j.sync_job_type, j.title, j.job_id, j.status, a.percent, j.queue, j.created_at, j.started_at, j.ended_at,
        j.error_message
    FROM @extschema@.sync_job AS j LEFT JOIN sync_job_internal.activity() AS a ON a.sync_job OPERATOR(pg_catalog.=) j.id
    WHERE j.status IN ('Pending', 'Queued', 'Started')
       OR j.ended_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval);
COMMENT ON VIEW @extschema@.sync_job_recent IS 'The jobs the reader may see that wait, run, or have ended within the last hour';
COMMENT ON COLUMN @extschema@.sync_job_recent.id IS 'the job';
COMMENT ON COLUMN @extschema@.sync_job_recent.sync_job_type IS 'its type';
COMMENT ON COLUMN @extschema@.sync_job_recent.title IS 'its title';
COMMENT ON COLUMN @extschema@.sync_job_recent.job_id IS 'the caller''s own key';
COMMENT ON COLUMN @extschema@.sync_job_recent.status IS 'its state';
COMMENT ON COLUMN @extschema@.sync_job_recent.percent IS 'progress of one that runs, where it reports any';
COMMENT ON COLUMN @extschema@.sync_job_recent.queue IS 'its queue';
COMMENT ON COLUMN @extschema@.sync_job_recent.created_at IS 'when it was enqueued';
COMMENT ON COLUMN @extschema@.sync_job_recent.started_at IS 'start of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job_recent.ended_at IS 'end of the last attempt';
COMMENT ON COLUMN @extschema@.sync_job_recent.error_message IS 'the error of the last attempt';

-- ---------------------------------------------------------------------------------------------------------------------
-- Schedules, by pg_cron
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.schedule_sync_job(name text, schedule text, sync_job_type text DEFAULT NULL,
        procedure text DEFAULT NULL, params jsonb DEFAULT NULL, queue text DEFAULT NULL, overlap boolean DEFAULT false)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_schedule_job';
COMMENT ON FUNCTION @extschema@.schedule_sync_job(text, text, text, text, jsonb, text, boolean) IS 'has pg_cron enqueue a job of the type, or a background job of the procedure, by a cron expression (UTC) or a word: all, hourly, daily, weekly, monthly, each also with _long (queue long); not while the last one waits or runs, unless overlap';
CREATE FUNCTION @extschema@.unschedule_sync_job(name text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_unschedule_job';
COMMENT ON FUNCTION @extschema@.unschedule_sync_job(text) IS 'ends a schedule; by its owner';
CREATE FUNCTION @extschema@.run_sync_job_schedule(name text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_run_schedule';
COMMENT ON FUNCTION @extschema@.run_sync_job_schedule(text) IS 'enqueues the job of a schedule now, as pg_cron does; returns its id';

CREATE PROCEDURE @extschema@.clear_sync_job_logs(days integer DEFAULT NULL)
    LANGUAGE plpgsql
    AS $$
DECLARE
    keep integer := coalesce(days, pg_catalog.current_setting('sync_job.log_retention_days')::pg_catalog.int4);
    step CONSTANT integer := 10000;
    cleared bigint;
BEGIN
    LOOP
        cleared := @extschema@.clear_old_sync_jobs(keep, step);
        COMMIT;
        EXIT WHEN cleared OPERATOR(pg_catalog.<) step;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.clear_sync_job_logs(integer) IS 'clear_old_sync_jobs() in steps, each committed; days: default sync_job.log_retention_days';

CREATE FUNCTION @extschema@.enable_sync_job_schedules(OUT cron_job text) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_enable_schedules';
COMMENT ON FUNCTION @extschema@.enable_sync_job_schedules() IS 'has pg_cron call auto_retry_failed_sync_jobs() every minute and clear_sync_job_logs() every night; returns the names of its jobs';
CREATE FUNCTION @extschema@.disable_sync_job_schedules() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_disable_schedules';
COMMENT ON FUNCTION @extschema@.disable_sync_job_schedules() IS 'takes both away from pg_cron';

CREATE FUNCTION sync_job_internal.next_cron_time(cron text, after timestamptz) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sync_job_next_cron_time';
COMMENT ON FUNCTION sync_job_internal.next_cron_time(text, timestamptz) IS 'the next time a cron expression names, in UTC; NULL: it is none';

CREATE VIEW @extschema@.sync_job_schedules WITH (security_invoker = true) AS
    SELECT s.name, s.schedule, coalesce(s.sync_job_type, s.procedure) AS enqueues, s.params, s.queue, s.overlap, s.owner,
        sync_job_internal.next_cron_time(s.cron, pg_catalog.now()) AS next_run,
        j.id AS last_sync_job, j.created_at AS last_run, j.status AS last_status, j.error_message AS last_error
    FROM @extschema@.sync_job_schedule AS s
    LEFT JOIN LATERAL (SELECT i.id, i.created_at, i.status, i.error_message FROM @extschema@.sync_job AS i
                       WHERE i.job_id OPERATOR(pg_catalog.=) ('schedule:' OPERATOR(pg_catalog.||) s.name)
                       AND i.owner OPERATOR(pg_catalog.=) s.owner -- anybody may use that job_id
                       ORDER BY i.id DESC LIMIT 1) AS j ON true;
COMMENT ON VIEW @extschema@.sync_job_schedules IS 'The schedules, with their next run, and what became of the last';
COMMENT ON COLUMN @extschema@.sync_job_schedules.name IS 'name of the schedule';
COMMENT ON COLUMN @extschema@.sync_job_schedules.schedule IS 'as it was given';
COMMENT ON COLUMN @extschema@.sync_job_schedules.enqueues IS 'the job type or procedure';
COMMENT ON COLUMN @extschema@.sync_job_schedules.params IS 'the other parameters of the job';
COMMENT ON COLUMN @extschema@.sync_job_schedules.queue IS 'the queue, where it says one';
COMMENT ON COLUMN @extschema@.sync_job_schedules.overlap IS 'true: enqueue also while the last job waits or runs';
COMMENT ON COLUMN @extschema@.sync_job_schedules.owner IS 'who made it';
COMMENT ON COLUMN @extschema@.sync_job_schedules.next_run IS 'when it is due next (pg_cron''s clock is UTC)';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_sync_job IS 'the last job it has enqueued, where that is still kept';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_run IS 'when that was enqueued';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_status IS 'its state';
COMMENT ON COLUMN @extschema@.sync_job_schedules.last_error IS 'its error';

-- ---------------------------------------------------------------------------------------------------------------------
-- Views
-- ---------------------------------------------------------------------------------------------------------------------

CREATE VIEW @extschema@.sync_job_activity WITH (security_invoker = true) AS
    SELECT a.pid, a.queue, a.sync_job, a.sync_job_type, a.started_at, a.percent, a.title, a.description, a.run_as, a.state
    FROM sync_job_internal.activity() AS a;
COMMENT ON VIEW @extschema@.sync_job_activity IS 'What each worker process of this database does right now, from shared memory';
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
COMMENT ON COLUMN @extschema@.sync_job_stats.last_hour IS 'those of them that ended (or, when they have not, were enqueued) within the last hour';
COMMENT ON COLUMN @extschema@.sync_job_stats.per_second IS 'last_hour / 3600';
COMMENT ON COLUMN @extschema@.sync_job_stats.wait_p50 IS 'median time from enqueueing (or scheduled_at) to the start';
COMMENT ON COLUMN @extschema@.sync_job_stats.wait_p95 IS '95th percentile of the same';
COMMENT ON COLUMN @extschema@.sync_job_stats.run_p50 IS 'median run time';
COMMENT ON COLUMN @extschema@.sync_job_stats.run_p95 IS '95th percentile of the run time';

CREATE VIEW @extschema@.sync_job_queue_status WITH (security_invoker = true) AS
    SELECT q.name AS queue, q.paused, q.max_workers,
        coalesce(w.workers, 0) AS workers, coalesce(w.running, 0) AS running,
        coalesce(j.waiting, 0) AS waiting, coalesce(j.scheduled, 0) AS scheduled, j.oldest_waiting,
        CASE WHEN NOT sync_job_internal.preloaded() THEN 'pg_sync_job is not preloaded'
             WHEN sync_job_internal.waiting_elsewhere() THEN 'waits for adopt_sync_jobs()'
             WHEN q.paused THEN 'paused'
             WHEN NOT pg_catalog.current_setting('sync_job.enabled', true)::pg_catalog.bool THEN 'sync_job.enabled is off'
        END AS note
    FROM @extschema@.sync_job_queue AS q
    LEFT JOIN (SELECT a.queue, pg_catalog.count(*) AS workers, pg_catalog.count(*) FILTER (WHERE a.state OPERATOR(pg_catalog.=) 'running') AS running
               FROM sync_job_internal.activity() AS a GROUP BY a.queue) AS w ON w.queue OPERATOR(pg_catalog.=) q.name
    LEFT JOIN (SELECT s.queue,
                   pg_catalog.count(*) FILTER (WHERE coalesce(s.scheduled_at, s.created_at) OPERATOR(pg_catalog.<=) pg_catalog.now()) AS waiting,
                   pg_catalog.count(*) FILTER (WHERE s.scheduled_at OPERATOR(pg_catalog.>) pg_catalog.now()) AS scheduled,
                   pg_catalog.min(coalesce(s.scheduled_at, s.created_at)) FILTER (WHERE coalesce(s.scheduled_at, s.created_at) OPERATOR(pg_catalog.<=) pg_catalog.now()) AS oldest_waiting
               FROM @extschema@.sync_job AS s WHERE s.status OPERATOR(pg_catalog.=) 'Queued' GROUP BY s.queue) AS j
        ON j.queue OPERATOR(pg_catalog.=) q.name;
COMMENT ON VIEW @extschema@.sync_job_queue_status IS 'Per queue: how much waits, since when, and who works on it';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.queue IS 'the queue';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.paused IS 'true: no job of it is started';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.max_workers IS 'the most workers it may have';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.workers IS 'worker processes it has now';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.running IS 'those of them that run a job';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.waiting IS 'jobs that are due';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.scheduled IS 'jobs whose time has not come';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.oldest_waiting IS 'since when the oldest due job could run';
COMMENT ON COLUMN @extschema@.sync_job_queue_status.note IS 'why nothing runs, where there is a reason';

CREATE VIEW @extschema@.sync_job_relay WITH (security_invoker = true) AS
    SELECT p.id AS sync_job, p.sync_job_type, p.title, p.ended_at AS relayed_at, pg_catalog.count(c.id) AS children,
        pg_catalog.count(c.id) FILTER (WHERE c.status IN ('Pending', 'Queued', 'Started')) AS waiting,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Finished') AS finished,
        pg_catalog.count(c.id) FILTER (WHERE c.status IN ('Skipped', 'No Target')) AS skipped,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Relayed') AS relayed,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Failed') AS failed,
        pg_catalog.count(c.id) FILTER (WHERE c.status OPERATOR(pg_catalog.=) 'Canceled') AS canceled
    FROM @extschema@.sync_job AS p
    LEFT JOIN @extschema@.sync_job AS c ON c.parent_sync_job OPERATOR(pg_catalog.=) p.id
    WHERE p.status OPERATOR(pg_catalog.=) 'Relayed'
    GROUP BY p.id, p.sync_job_type, p.title, p.ended_at;
COMMENT ON VIEW @extschema@.sync_job_relay IS 'Each Relayed job with how many of its children are in which state';
COMMENT ON COLUMN @extschema@.sync_job_relay.sync_job IS 'the parent';
COMMENT ON COLUMN @extschema@.sync_job_relay.sync_job_type IS 'its type';
COMMENT ON COLUMN @extschema@.sync_job_relay.title IS 'its title';
COMMENT ON COLUMN @extschema@.sync_job_relay.relayed_at IS 'when it made its children';
COMMENT ON COLUMN @extschema@.sync_job_relay.children IS 'how many it made (and are still kept)';
COMMENT ON COLUMN @extschema@.sync_job_relay.waiting IS 'children that are Pending, Queued or Started';
COMMENT ON COLUMN @extschema@.sync_job_relay.finished IS 'children that are Finished';
COMMENT ON COLUMN @extschema@.sync_job_relay.skipped IS 'children that are Skipped or have No Target';
COMMENT ON COLUMN @extschema@.sync_job_relay.relayed IS 'children that relayed again';
COMMENT ON COLUMN @extschema@.sync_job_relay.failed IS 'children that are Failed';
COMMENT ON COLUMN @extschema@.sync_job_relay.canceled IS 'children that are Canceled';

-- ---------------------------------------------------------------------------------------------------------------------
-- Rights: nothing for PUBLIC but what checks for itself
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE sync_job_internal.access (
    role  regrole NOT NULL,
    level text NOT NULL CHECK (level IN ('manager', 'operator', 'viewer')),
    PRIMARY KEY (role, level)
);
COMMENT ON TABLE sync_job_internal.access IS 'who has which level in this database: see grant_sync_job_access()';
COMMENT ON COLUMN sync_job_internal.access.role IS 'the role';
COMMENT ON COLUMN sync_job_internal.access.level IS 'manager, operator or viewer';
CREATE TABLE sync_job_internal.type_grant (
    sync_job_type text COLLATE "C" NOT NULL,
    role          regrole NOT NULL,
    PRIMARY KEY (sync_job_type, role)
);
COMMENT ON TABLE sync_job_internal.type_grant IS 'who may enqueue jobs of a type without being able to become its role: see grant_sync_job_type()';
COMMENT ON COLUMN sync_job_internal.type_grant.sync_job_type IS 'the job type';
COMMENT ON COLUMN sync_job_internal.type_grant.role IS 'the role that may enqueue its jobs';
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.access', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.type_grant', '');

-- Caches of the types hold their grants.
CREATE FUNCTION sync_job_internal.types_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_types_changed';
COMMENT ON FUNCTION sync_job_internal.types_changed() IS 'trigger of type_grant: tells every session';
CREATE TRIGGER types_changed AFTER INSERT OR UPDATE OR DELETE ON sync_job_internal.type_grant
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.types_changed();
ALTER TABLE sync_job_internal.type_grant ENABLE ALWAYS TRIGGER types_changed;

-- For policies: of the one who asks, about himself only.
CREATE FUNCTION sync_job_internal.has_level(VARIADIC levels text[]) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_has_level';
COMMENT ON FUNCTION sync_job_internal.has_level(text[]) IS 'the current role, or one it is a member of, has one of the levels; a superuser has all';

CREATE FUNCTION sync_job_internal.may_read(owner regrole, run_as regrole, target regclass) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_may_read';
COMMENT ON FUNCTION sync_job_internal.may_read(regrole, regrole, regclass) IS 'the current role has the rights of a job''s owner, and may read its target; where that is not known, is gone, or has policies, it has the rights of run_as, too';

CREATE FUNCTION @extschema@.grant_sync_job_access(role regrole, level text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_grant_access';
COMMENT ON FUNCTION @extschema@.grant_sync_job_access(regrole, text) IS 'gives a role a level in this database: manager (makes job types), operator (starts, retries, cancels, pauses any job), viewer (sees any job); superusers only';
CREATE FUNCTION @extschema@.revoke_sync_job_access(role regrole, level text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revoke_access';
COMMENT ON FUNCTION @extschema@.revoke_sync_job_access(regrole, text) IS 'takes a level away again';
CREATE FUNCTION @extschema@.grant_sync_job_type(name text, role regrole) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_grant_type';
COMMENT ON FUNCTION @extschema@.grant_sync_job_type(text, regrole) IS 'lets a role enqueue jobs of the type, for documents of the type''s own source; by whoever may change the type';
CREATE FUNCTION @extschema@.revoke_sync_job_type(name text, role regrole) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revoke_type';
COMMENT ON FUNCTION @extschema@.revoke_sync_job_type(text, regrole) IS 'takes the right to enqueue away again';

REVOKE ALL ON SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA sync_job_internal FROM PUBLIC;
-- What the views call checks for itself whom it shows what.
GRANT EXECUTE ON FUNCTION sync_job_internal.activity(), sync_job_internal.waiting_elsewhere(),
    sync_job_internal.preloaded(), sync_job_internal.has_level(text[]), sync_job_internal.may_read(regrole, regrole, regclass), sync_job_internal.next_cron_time(text, timestamptz) TO PUBLIC;
-- A worker connected as any role runs its jobs through it; it takes only the job that its worker has just started.
GRANT USAGE ON SCHEMA sync_job_internal TO PUBLIC;
GRANT EXECUTE ON PROCEDURE sync_job_internal.run_committing_job(bigint) TO PUBLIC;

-- A role sees the jobs that belong to it, while it may read the documents they write (snapshots, diffs and errors are such data).
-- As long as no target is known, that is a job which has nothing of the kind. Operators and viewers see all.
ALTER TABLE @extschema@.sync_job ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON @extschema@.sync_job FOR SELECT
    USING (sync_job_internal.may_read(owner, run_as, target_document_type)
           OR (target_document_type IS NULL AND error_message IS NULL AND current_data IS NULL AND updated_data IS NULL
               AND multiple_target_documents IS NULL AND pg_catalog.pg_has_role(owner, 'USAGE')));
CREATE POLICY level ON @extschema@.sync_job FOR SELECT
    USING ((SELECT sync_job_internal.has_level('operator', 'viewer')));
GRANT SELECT ON @extschema@.sync_job TO PUBLIC;

ALTER TABLE @extschema@.sync_job_error ENABLE ROW LEVEL SECURITY;
CREATE POLICY job ON @extschema@.sync_job_error FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job
                   AND (j.target_document_type IS NOT NULL OR pg_catalog.pg_has_role(j.run_as, 'USAGE')
                        OR (SELECT sync_job_internal.has_level('operator', 'viewer')))));
GRANT SELECT ON @extschema@.sync_job_error TO PUBLIC;

-- Types are changed by whoever the trigger lets; they are seen by those who may become their role, and by all levels.
ALTER TABLE @extschema@.sync_job_type ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job_type FOR SELECT
    USING (pg_catalog.pg_has_role(run_as, 'MEMBER')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
CREATE POLICY make ON @extschema@.sync_job_type FOR INSERT WITH CHECK (true);
CREATE POLICY change ON @extschema@.sync_job_type FOR UPDATE USING (true);
CREATE POLICY remove ON @extschema@.sync_job_type FOR DELETE USING (true);
-- INSERT for everybody, so that the trigger says what is missing. UPDATE and DELETE bring the right to LOCK TABLE, and so to
-- stop all jobs: grant_sync_job_access() gives them to managers.
GRANT SELECT, INSERT ON @extschema@.sync_job_type TO PUBLIC;

GRANT SELECT ON @extschema@.sync_job_queue TO PUBLIC;
GRANT SELECT ON @extschema@.sync_job_activity, @extschema@.sync_job_stats, @extschema@.sync_job_queue_status, @extschema@.sync_job_relay,
    @extschema@.sync_job_recent, @extschema@.sync_job_event, @extschema@.sync_job_schedules TO PUBLIC;

-- Closed also for who was given the rights on all tables of the schema.
ALTER TABLE @extschema@.sync_job_deleted_document ENABLE ROW LEVEL SECURITY;
ALTER TABLE @extschema@.sync_job_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON @extschema@.sync_job_event FOR SELECT USING (true);

ALTER TABLE @extschema@.sync_job_schedule ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON @extschema@.sync_job_schedule FOR SELECT
    USING (pg_catalog.pg_has_role(owner, 'USAGE')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
GRANT SELECT ON @extschema@.sync_job_schedule TO PUBLIC;
REVOKE EXECUTE ON FUNCTION @extschema@.adopt_sync_jobs(), @extschema@.clear_all_sync_jobs(),
    @extschema@.clear_old_sync_jobs(integer, integer), @extschema@.enable_sync_job_schedules(),
    @extschema@.disable_sync_job_schedules() FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE @extschema@.clear_sync_job_logs(integer) FROM PUBLIC;
