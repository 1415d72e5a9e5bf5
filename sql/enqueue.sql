-- ---------------------------------------------------------------------------------------------------------------------
-- Enqueueing
-- ---------------------------------------------------------------------------------------------------------------------

-- Three forms take the same arguments from the third on; src/api/enqueue.cpp reads them by position.
DO $forms$
DECLARE
    options CONSTANT pg_catalog.text := $options$
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
    insert_enabled boolean DEFAULT NULL,
    update_enabled boolean DEFAULT NULL,
    delete_enabled boolean DEFAULT NULL,
    update_without_changes_enabled boolean DEFAULT false,
    verbose_logging boolean DEFAULT NULL,
    job_id text DEFAULT NULL,
    deduplicate boolean DEFAULT false,
    target_doc record DEFAULT NULL,
    triggered_by_doc record DEFAULT NULL
$options$;
    form pg_catalog.text[];
BEGIN
    FOREACH form SLICE 1 IN ARRAY ARRAY[
        ['enqueue_sync_job', 'source_document_name text DEFAULT NULL', '', 'sync_job_enqueue_by_name'],
        ['enqueue_sync_job', 'source_doc anyelement', '', 'sync_job_enqueue_by_document'],
        ['enqueue_sync_jobs', 'source_document_names text[]', ', job_group text DEFAULT NULL', 'sync_job_enqueue_many']]::pg_catalog.text[] LOOP
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION @extschema@.%I(sync_job_type text, %s, %s%s) RETURNS bigint'
            ' LANGUAGE c VOLATILE PARALLEL UNSAFE AS ''MODULE_PATHNAME'', %L', form[1], form[2], options, form[3], form[4]);
    END LOOP;
END
$forms$;

CREATE FUNCTION @extschema@.enqueue_sync_job(params jsonb) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sync_job_enqueue_by_params';

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
                'enqueues a job for a document given as a row (or its key as a number, uuid, ...), returns the job''s id: SELECT enqueue_sync_job(''SAP Customer Sync'', c) FROM customer c'
            WHEN pg_catalog.strpos(pg_catalog.pg_get_function_arguments(function), 'params') OPERATOR(pg_catalog.>) 0 THEN
                'enqueues a job described by one JSON object with the arguments of the other forms, returns its id; numbers where an interval is meant are seconds'
            ELSE
                'enqueues a job for the document of that name, returns the job''s id; NULL means: as the job type says. Transactional: without a commit there is no job'
            END);
    END LOOP;
END
$comments$;

