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
COMMENT ON TABLE @extschema@.sync_job_queue IS 'The queues jobs wait in. short, default and long are there from the start; others may be added with INSERT.';
COMMENT ON COLUMN @extschema@.sync_job_queue.name IS 'the queue''s name';
COMMENT ON COLUMN @extschema@.sync_job_queue.max_workers IS 'the most worker processes that serve this queue at a time, in this database; 0: none';
COMMENT ON COLUMN @extschema@.sync_job_queue.timeout IS 'time limit of jobs whose type sets none; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job_queue.paused IS 'true: jobs are enqueued, but not started';
COMMENT ON COLUMN @extschema@.sync_job_queue.publish_events IS 'send an event on the channel sync_job for each job of the queue that has ended';

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
    modified_at          timestamptz NOT NULL DEFAULT pg_catalog.now(),
    set_size             integer NOT NULL DEFAULT 1,
    insert_enabled       boolean NOT NULL DEFAULT true,
    update_enabled       boolean NOT NULL DEFAULT true,
    delete_enabled       boolean NOT NULL DEFAULT true,
    paused               boolean NOT NULL DEFAULT false,
    source_condition     text,
    on_delete            text NOT NULL DEFAULT 'delete',
    ignore_synced        boolean NOT NULL DEFAULT false,
    surplus_condition    text,
    secret_columns       text[],
    publish_starts       boolean NOT NULL DEFAULT false,
    library              text,
    library_trusted      boolean,
    http                 jsonb
);
COMMENT ON TABLE @extschema@.sync_job_type IS 'What is synced, and how: one row per job type, made with INSERT. The controller is a schema with functions of fixed names (module), a declaration (match, field_map), or a library in C++ (library).';
COMMENT ON COLUMN @extschema@.sync_job_type.name IS 'the name under which jobs are enqueued, for example SAP Customer Sync';
COMMENT ON COLUMN @extschema@.sync_job_type.source_document_type IS 'the relation it syncs from; NULL: the type has no source (plain background work)';
COMMENT ON COLUMN @extschema@.sync_job_type.target_document_type IS 'the relation it syncs to; NULL: the controller names it for each job';
COMMENT ON COLUMN @extschema@.sync_job_type.source_key IS 'key columns of the source; NULL: its primary key. Needed for views and foreign tables';
COMMENT ON COLUMN @extschema@.sync_job_type.target_key IS 'key columns of the target; NULL: its primary key. Needed for views and foreign tables';
COMMENT ON COLUMN @extschema@.sync_job_type.module IS 'the schema of the controller''s functions; default: the name in lower case, with underscores for blanks and hyphens';
COMMENT ON COLUMN @extschema@.sync_job_type.field_map IS 'declarative controller: what to set in the target, {"target column": "source column" | {"value": constant} | {"expr": "SQL over source, context and target"}}; objects may also have a rule, "only": "insert", "null" or "unedited"';
COMMENT ON COLUMN @extschema@.sync_job_type.match IS 'declarative or native controller: which target belongs to a source, {"target column": "source column"}';
COMMENT ON COLUMN @extschema@.sync_job_type.batchable IS 'may share a transaction with its neighbours in the queue; NULL: depends on the kind of controller (standard, declarative and native: true, bypass: false)';
COMMENT ON COLUMN @extschema@.sync_job_type.queue IS 'the queue its jobs wait in';
COMMENT ON COLUMN @extschema@.sync_job_type.priority IS 'lower runs first';
COMMENT ON COLUMN @extschema@.sync_job_type.timeout IS 'time limit of one attempt; NULL: the queue''s; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job_type.retry_delay IS 'wait before the first retry; see retry_backoff for the next ones';
COMMENT ON COLUMN @extschema@.sync_job_type.retry_backoff IS 'linear: retry_delay * (retry_count + 1); constant: retry_delay; exponential: retry_delay * 2 ^ retry_count, varied by up to a quarter';
COMMENT ON COLUMN @extschema@.sync_job_type.max_retries IS 'retries after the first attempt has failed; 0: none';
COMMENT ON COLUMN @extschema@.sync_job_type.concurrency_limit IS 'the most jobs of the type that run at a time; NULL: no limit';
COMMENT ON COLUMN @extschema@.sync_job_type.verbose_logging IS 'keep what the controller raises, the snapshots of the target, and the diff of inserts, with the job';
COMMENT ON COLUMN @extschema@.sync_job_type.disabled IS 'true: enqueueing is an error, triggers enqueue nothing; jobs that are already waiting still run';
COMMENT ON COLUMN @extschema@.sync_job_type.is_standard IS 'shipped with an application, as opposed to made on site';
COMMENT ON COLUMN @extschema@.sync_job_type.publish_events IS 'send an event on the channel sync_job for each job that has ended';
COMMENT ON COLUMN @extschema@.sync_job_type.run_as IS 'the role whose rights the jobs have; default: the owner of the target, else of the source, else the inserting role';
COMMENT ON COLUMN @extschema@.sync_job_type.description IS 'free text';
COMMENT ON COLUMN @extschema@.sync_job_type.created_at IS 'when the row was created';
COMMENT ON COLUMN @extschema@.sync_job_type.modified_at IS 'when the row was last changed';
COMMENT ON COLUMN @extschema@.sync_job_type.set_size IS 'the most documents in a set job, for documents that come in bulk (statement-level triggers, enqueue_sync_jobs()); 1: one job per document; at most 1000';
COMMENT ON COLUMN @extschema@.sync_job_type.insert_enabled IS 'false: no job of the type inserts; a job that would insert ends as Skipped. What counts is the value when the job runs';
COMMENT ON COLUMN @extschema@.sync_job_type.update_enabled IS 'false: no job of the type updates';
COMMENT ON COLUMN @extschema@.sync_job_type.delete_enabled IS 'false: no job of the type deletes';
COMMENT ON COLUMN @extschema@.sync_job_type.paused IS 'true: none of its jobs starts. They are still enqueued, and keep their place; see pause_sync_job_type()';
COMMENT ON COLUMN @extschema@.sync_job_type.source_condition IS 'SQL over source: for this type, a row for which it is not true does not exist. A row that stops meeting it is synced as a deletion; NULL: all rows exist';
COMMENT ON COLUMN @extschema@.sync_job_type.on_delete IS 'what happens to a target whose source is gone: delete; keep; or, for a soft delete, a JSON object of columns and the values to set';
COMMENT ON COLUMN @extschema@.sync_job_type.ignore_synced IS 'true: its triggers ignore what was written by a job whose source is the target of this type';
COMMENT ON COLUMN @extschema@.sync_job_type.secret_columns IS 'target columns whose values are never recorded: diffs, snapshots and errors leave them out, and a job that changed one of them cannot be applied or reverted';
COMMENT ON COLUMN @extschema@.sync_job_type.surplus_condition IS 'SQL over target: only targets for which it holds are surplus when no source maps to them; NULL: all. Needed where several types have the same target';
COMMENT ON COLUMN @extschema@.sync_job_type.publish_starts IS 'send an event on the channel sync_job for each job that starts in a transaction of its own: one that is not batchable, or commits as it goes';
COMMENT ON COLUMN @extschema@.sync_job_type.library IS 'native controller: the name of a library in the folder sync_job.library_directory, without .so. Only superusers can set it; match may also be set, to say which target belongs to a source';
COMMENT ON COLUMN @extschema@.sync_job_type.library_trusted IS 'true: a superuser has set library, or confirmed it by setting this; false, after another role has restored the row: no job of the type runs; NULL: there is no library';
COMMENT ON COLUMN @extschema@.sync_job_type.http IS 'HTTP push instead of a controller: the server (of the wrapper sync_job_http), the method, path, query, headers and body of the request for a document, and what is kept of the answer; see docs/http.md';

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

CREATE SEQUENCE sync_job_internal.sync_job_id_seq;

-- One table for the reader, partitioned by state: the part that waits or runs stays small, however long the history is.
-- src/job/job_row.hpp lists the same columns in the same order; the library checks that they agree.
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
    publish_event                  boolean NOT NULL,
    depth                          integer,
    documents                      integer,
    source_documents               text[],
    relation                       text COLLATE "C",
    held                           boolean,
    worker_pid                     integer,
    fingerprint                    uuid,
    traceparent                    text COLLATE "C"
) PARTITION BY LIST (status);

CREATE TABLE sync_job_internal.sync_job_live PARTITION OF @extschema@.sync_job
    FOR VALUES IN ('Pending', 'Queued', 'Started');
CREATE TABLE sync_job_internal.sync_job_failed PARTITION OF @extschema@.sync_job
    FOR VALUES IN ('Failed');
CREATE TABLE sync_job_internal.sync_job_ended PARTITION OF @extschema@.sync_job
    FOR VALUES IN ('Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled');

COMMENT ON TABLE @extschema@.sync_job IS 'One row per job, waiting, running or ended. Only the functions of the extension write to it; a trigger on it would not see most of what happens.';
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
COMMENT ON COLUMN @extschema@.sync_job.operation IS 'Insert, Update or Delete: as requested, or as determined by the controller; Compare, Full Sync: for all documents of the type; Revert, Apply: for what other jobs have changed';
COMMENT ON COLUMN @extschema@.sync_job.context IS 'the caller''s parameters for the controller, a JSON object';
COMMENT ON COLUMN @extschema@.sync_job.parent_sync_job IS 'the job that this one comes from; relation says how';
COMMENT ON COLUMN @extschema@.sync_job.multiple_target_documents IS 'the targets a Relayed job has made children for, each with the id of its child (sync_job)';
COMMENT ON COLUMN @extschema@.sync_job.queue IS 'the queue it waits in';
COMMENT ON COLUMN @extschema@.sync_job.priority IS 'lower runs first';
COMMENT ON COLUMN @extschema@.sync_job.timeout IS 'time limit of one attempt; 0: no limit';
COMMENT ON COLUMN @extschema@.sync_job.retry_delay IS 'wait before the first retry';
COMMENT ON COLUMN @extschema@.sync_job.retry_backoff IS 'how the wait grows: linear, constant or exponential';
COMMENT ON COLUMN @extschema@.sync_job.max_retries IS 'retries after the first attempt has failed';
COMMENT ON COLUMN @extschema@.sync_job.retry_count IS 'retries so far';
COMMENT ON COLUMN @extschema@.sync_job.retry_after IS 'Failed: when it is retried; NULL: not automatically';
COMMENT ON COLUMN @extschema@.sync_job.scheduled_at IS 'the earliest time it may run; NULL: at once';
COMMENT ON COLUMN @extschema@.sync_job.insert_enabled IS 'false: an insert ends as Skipped. This is what was requested; the type may still forbid it';
COMMENT ON COLUMN @extschema@.sync_job.update_enabled IS 'false: an update ends as Skipped. This is what was requested; the type may still forbid it';
COMMENT ON COLUMN @extschema@.sync_job.delete_enabled IS 'false: a delete ends as Skipped. This is what was requested; the type may still forbid it';
COMMENT ON COLUMN @extschema@.sync_job.update_without_changes_enabled IS 'true: an update is written even when nothing changes';
COMMENT ON COLUMN @extschema@.sync_job.verbose_logging IS 'keep messages, snapshots and every diff';
COMMENT ON COLUMN @extschema@.sync_job.dry_run IS 'run everything, roll it back, keep the diff';
COMMENT ON COLUMN @extschema@.sync_job.queue_on_insert IS 'false: enqueued as Pending, waits for start_sync_job()';
COMMENT ON COLUMN @extschema@.sync_job.trigger_type IS 'what enqueued it: Manual, Scheduler, Webhook, API or Document Hook';
COMMENT ON COLUMN @extschema@.sync_job.triggered_by_document_type IS 'the relation of the document that caused the job';
COMMENT ON COLUMN @extschema@.sync_job.triggered_by_document_name IS 'the key of the document that caused the job';
COMMENT ON COLUMN @extschema@.sync_job.trigger_document_timestamp IS 'the version of the document that caused the job';
COMMENT ON COLUMN @extschema@.sync_job.job_id IS 'the caller''s own key';
COMMENT ON COLUMN @extschema@.sync_job.current_data IS 'the target as it was before; kept with verbose_logging, and when the job failed';
COMMENT ON COLUMN @extschema@.sync_job.updated_data IS 'the target afterwards, or, when the job failed, as the controller wanted it; kept in the same cases';
COMMENT ON COLUMN @extschema@.sync_job.diff_summary IS 'what changed: {"field": {"old": ..., "new": ...}}; for inserts only in a dry run or with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job.error_message IS 'the error of the last attempt, with detail, hint, SQLSTATE and context; all attempts: sync_job_error';
COMMENT ON COLUMN @extschema@.sync_job.messages IS 'what the controller raised (NOTICE and above), with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job.result IS 'what background work returned; for a set job: how many of its documents it inserted, updated, ..., and handed over to jobs of their own';
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
COMMENT ON COLUMN @extschema@.sync_job.on_success IS 'the procedure that is enqueued when it has succeeded';
COMMENT ON COLUMN @extschema@.sync_job.on_failure IS 'the procedure that is enqueued when it has failed for good';
COMMENT ON COLUMN @extschema@.sync_job.after IS 'the jobs it waits for, Pending until they have ended';
COMMENT ON COLUMN @extschema@.sync_job.after_failure IS 'what to do when one of them fails: cancel or run';
COMMENT ON COLUMN @extschema@.sync_job.job_group IS 'a name for jobs that belong together';
COMMENT ON COLUMN @extschema@.sync_job.publish_event IS 'send an event on the channel sync_job when it has ended';
COMMENT ON COLUMN @extschema@.sync_job.depth IS 'how many jobs led to this one, each through a trigger on what the previous one wrote; NULL: none';
COMMENT ON COLUMN @extschema@.sync_job.documents IS 'set job: the number of its documents; NULL: a job for one document, or for none';
COMMENT ON COLUMN @extschema@.sync_job.source_documents IS 'set job that waits: the source documents that it still has to sync; NULL once it has ended: see sync_job_document';
COMMENT ON COLUMN @extschema@.sync_job.relation IS 'what links the job to parent_sync_job: relay (one of its targets), set (a document that has left it), replay (applies or reverts it), callback (follows its end), rerun (runs it again); NULL: the caller named the parent';
COMMENT ON COLUMN @extschema@.sync_job.held IS 'true: Queued, but ordinary workers leave it alone, because its type is paused or is an HTTP push; NULL: not held';
COMMENT ON COLUMN @extschema@.sync_job.worker_pid IS 'process of the last attempt, as in the server log: a worker, or the session that ran it';
COMMENT ON COLUMN @extschema@.sync_job.fingerprint IS 'for an insert: a hash of the row as it was stored, which shows whether it has been changed since';
COMMENT ON COLUMN @extschema@.sync_job.traceparent IS 'the trace to which it belongs, in the format of W3C Trace Context: sync_job.traceparent of the session, or of the job, that enqueued it';

-- The engine's indexes of the queue: by id; in claim order; scheduled jobs by their time; Started jobs.
CREATE UNIQUE INDEX sync_job_live_id ON sync_job_internal.sync_job_live (id);
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
-- For deduplication, and to find what is in progress for a document. Its name may be longer than a B-tree entry.
CREATE INDEX sync_job_live_source ON sync_job_internal.sync_job_live
    (sync_job_type, pg_catalog.hashtextextended(source_document_name, 0::pg_catalog.int8)) WHERE source_document_name IS NOT NULL;
-- The caller's own keys may have any length: a hash of them is indexed.
CREATE INDEX sync_job_live_group ON sync_job_internal.sync_job_live USING hash (job_group) WHERE job_group IS NOT NULL;
CREATE INDEX sync_job_live_job_id ON sync_job_internal.sync_job_live USING hash (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX sync_job_live_started ON sync_job_internal.sync_job_live (id) WHERE status OPERATOR(pg_catalog.=) 'Started';
CREATE UNIQUE INDEX sync_job_failed_id ON sync_job_internal.sync_job_failed (id);
CREATE INDEX sync_job_failed_type ON sync_job_internal.sync_job_failed (sync_job_type);
CREATE INDEX sync_job_failed_group ON sync_job_internal.sync_job_failed USING hash (job_group) WHERE job_group IS NOT NULL;
CREATE INDEX sync_job_failed_retry ON sync_job_internal.sync_job_failed (retry_after) WHERE retry_after IS NOT NULL;
-- Indexes of the history: by id, by time (cheap: it is appended in that order), and "what happened to this document?".
CREATE UNIQUE INDEX sync_job_ended_id ON sync_job_internal.sync_job_ended (id);
CREATE INDEX sync_job_ended_at ON sync_job_internal.sync_job_ended USING brin (ended_at) WITH (pages_per_range = 32);
-- SP-GiST takes names of any length and, unlike a hash index, a million jobs of one document.
CREATE INDEX sync_job_ended_source ON sync_job_internal.sync_job_ended USING spgist (source_document_name)
    WHERE source_document_name IS NOT NULL;
-- Finds the few pages of the history that have a rare type, state, operation or owner. One Bloom filter per 8 pages needs no write for each job.
CREATE INDEX sync_job_ended_kind ON sync_job_internal.sync_job_ended USING brin (
    sync_job_type pg_catalog.text_bloom_ops (n_distinct_per_range = 100), status pg_catalog.text_bloom_ops (n_distinct_per_range = 16),
    operation pg_catalog.text_bloom_ops (n_distinct_per_range = 16), owner pg_catalog.oid_bloom_ops (n_distinct_per_range = 16)) WITH (pages_per_range = 8);

-- Jobs by the caller's own key, after they have ended.
CREATE INDEX sync_job_failed_job_id ON sync_job_internal.sync_job_failed USING hash (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX sync_job_ended_job_id ON sync_job_internal.sync_job_ended USING hash (job_id) WHERE job_id IS NOT NULL;
-- Children of a Relayed job.
CREATE INDEX sync_job_live_parent ON sync_job_internal.sync_job_live (parent_sync_job) WHERE parent_sync_job IS NOT NULL;
CREATE INDEX sync_job_failed_parent ON sync_job_internal.sync_job_failed (parent_sync_job) WHERE parent_sync_job IS NOT NULL;
CREATE INDEX sync_job_ended_parent ON sync_job_internal.sync_job_ended (parent_sync_job) WHERE parent_sync_job IS NOT NULL;

-- The names of a set are stored only for a moment, and compressing them takes a tenth of the time in which a statement's trigger makes a set.
ALTER TABLE sync_job_internal.sync_job_live ALTER COLUMN source_documents SET STORAGE EXTERNAL;

-- Without these, rows could not be deleted under a publication FOR ALL TABLES.
ALTER TABLE sync_job_internal.sync_job_live REPLICA IDENTITY USING INDEX sync_job_live_id;
ALTER TABLE sync_job_internal.sync_job_failed REPLICA IDENTITY USING INDEX sync_job_failed_id;
ALTER TABLE sync_job_internal.sync_job_ended REPLICA IDENTITY USING INDEX sync_job_ended_id;

-- The queue turns over all the time: vacuum it by its dead rows, not by its (tiny) size.
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
COMMENT ON COLUMN @extschema@.sync_job_error.attempt IS '1 for the first run, 2 for the first retry, ...';
COMMENT ON COLUMN @extschema@.sync_job_error.occurred_at IS 'when the attempt failed';
COMMENT ON COLUMN @extschema@.sync_job_error.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN @extschema@.sync_job_error.message IS 'primary message';
COMMENT ON COLUMN @extschema@.sync_job_error.detail IS 'DETAIL of the error';
COMMENT ON COLUMN @extschema@.sync_job_error.hint IS 'HINT of the error';
COMMENT ON COLUMN @extschema@.sync_job_error.context IS 'where it happened: the call stack of the failing function';
COMMENT ON COLUMN @extschema@.sync_job_error.counted IS 'false: the attempt does not count as a retry (the controller was not usable, or the server crashed)';

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

CREATE TABLE @extschema@.sync_job_deleted_document (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_type regclass NOT NULL,
    document_name text COLLATE "C" NOT NULL,
    data          jsonb NOT NULL,
    deleted_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    deleted_by    regrole NOT NULL,
    sync_job_type text,
    is_deletion   boolean NOT NULL DEFAULT true
);
CREATE INDEX sync_job_deleted_document_name ON @extschema@.sync_job_deleted_document USING spgist (document_name); -- of any length
COMMENT ON TABLE @extschema@.sync_job_deleted_document IS 'Rows as they were before they were deleted, or changed in a column that match reads; kept by the triggers for the jobs that sync the change';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.id IS 'number of the record; the newest has the highest';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.document_type IS 'the relation the row was in';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.document_name IS 'its key, as in sync_job.source_document_name';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.data IS 'the row; columns that were too large are named under the key ""';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_at IS 'when it was deleted, or changed';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_by IS 'who deleted it, or changed it';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.sync_job_type IS 'the job type whose trigger kept it; NULL: unknown, because version 0.1.0 kept it';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.is_deletion IS 'false: the document was not deleted, but changed in a column that match reads; or it has been seen to exist since';

-- Which job waits for which.
CREATE TABLE sync_job_internal.dependency (
    job       bigint NOT NULL,
    waits_for bigint NOT NULL,
    PRIMARY KEY (job, waits_for)
);
CREATE INDEX dependency_waits_for ON sync_job_internal.dependency (waits_for);
COMMENT ON TABLE sync_job_internal.dependency IS 'Pending jobs and the jobs they wait for: sync_job.after, until the scheduler has released them';
COMMENT ON COLUMN sync_job_internal.dependency.job IS 'the job that waits';
COMMENT ON COLUMN sync_job_internal.dependency.waits_for IS 'the job that must have ended';

-- The HTTP requests in flight. No transaction is open meanwhile: these rows, not locks, say what is in flight and which documents are taken.
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
    created_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    paused        boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE @extschema@.sync_job_schedule IS 'What schedule_sync_job() has scheduled; pg_cron calls run_sync_job_schedule() for each';
COMMENT ON COLUMN @extschema@.sync_job_schedule.name IS 'name of the schedule';
COMMENT ON COLUMN @extschema@.sync_job_schedule.schedule IS 'as it was given: a cron expression or a word';
COMMENT ON COLUMN @extschema@.sync_job_schedule.cron IS 'the cron expression';
COMMENT ON COLUMN @extschema@.sync_job_schedule.sync_job_type IS 'the job type it enqueues; NULL: background work';
COMMENT ON COLUMN @extschema@.sync_job_schedule.procedure IS 'the procedure it enqueues as background work; NULL: a job type';
COMMENT ON COLUMN @extschema@.sync_job_schedule.params IS 'the other parameters of enqueue_sync_job(), or the arguments of the procedure';
COMMENT ON COLUMN @extschema@.sync_job_schedule.queue IS 'the queue; NULL: that of the job type, or default for a procedure';
COMMENT ON COLUMN @extschema@.sync_job_schedule.overlap IS 'true: enqueue even while the last job of the schedule waits or runs';
COMMENT ON COLUMN @extschema@.sync_job_schedule.owner IS 'who created it, and with whose rights it enqueues';
COMMENT ON COLUMN @extschema@.sync_job_schedule.created_at IS 'when it was created';
COMMENT ON COLUMN @extschema@.sync_job_schedule.paused IS 'true: pg_cron still calls it, but nothing is enqueued; see pause_sync_job_schedule()';

-- Which server and database the jobs belong to. Dumped, so that a restored copy knows that it is one and does not run jobs by
-- itself: see adopt_sync_jobs().
CREATE TABLE sync_job_internal.home (
    system_identifier bigint NOT NULL,
    database          oid NOT NULL,
    clears_jobs       boolean NOT NULL DEFAULT true,
    installation      uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    node              integer
);
COMMENT ON TABLE sync_job_internal.home IS 'the server and database whose workers may run the jobs';
COMMENT ON COLUMN sync_job_internal.home.system_identifier IS 'of the server, as in pg_control_system()';
COMMENT ON COLUMN sync_job_internal.home.database IS 'OID of the database';
COMMENT ON COLUMN sync_job_internal.home.clears_jobs IS 'true: the scheduler clears jobs by the default of sync_job.log_retention_days; false, in a database that was updated from a version that did not: only once the setting is set';
COMMENT ON COLUMN sync_job_internal.home.installation IS 'prefix of the idempotency keys of HTTP requests, by which a server recognizes a request that it has already received';
COMMENT ON COLUMN sync_job_internal.home.node IS 'number of this node, as set by set_sync_job_node(); NULL: none';
ALTER TABLE sync_job_internal.home REPLICA IDENTITY FULL;
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
CREATE FUNCTION sync_job_internal.note_type_change() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_note_type_change';
CREATE TRIGGER note_type_change AFTER INSERT OR UPDATE OR DELETE ON @extschema@.sync_job_type
    FOR EACH ROW EXECUTE FUNCTION sync_job_internal.note_type_change();
ALTER TABLE @extschema@.sync_job_type ENABLE ALWAYS TRIGGER note_type_change;
COMMENT ON FUNCTION sync_job_internal.note_type_change() IS 'trigger of sync_job_type: keeps its history in sync_job_type_change';

INSERT INTO @extschema@.sync_job_queue (name, max_workers, timeout) VALUES
    ('short', 2, '5 minutes'), ('default', 2, '5 minutes'), ('long', 2, '25 minutes');

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
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_type_change',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as) AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = changed_by)');
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
