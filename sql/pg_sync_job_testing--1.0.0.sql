-- pgTAP functions for tests of your own job types and controllers: what is enqueued, and how a job ends. Only for databases in which
-- tests run. Everything runs in the transaction of the test, which rolls it back.
--
-- While this script runs, search_path has only the schemas of pg_sync_job and pgtap, and the functions keep it.

\echo Use "CREATE EXTENSION pg_sync_job_testing" to load this file. \quit

-- The jobs that wait for this document, or for any of the type; also set jobs.
CREATE FUNCTION @extschema@.waiting_sync_jobs(sync_job_type text, source_document_name text, context jsonb)
    RETURNS SETOF bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT j.id FROM sync_job AS j
    WHERE j.status IN ('Pending', 'Queued') AND j.sync_job_type = $1
      AND ($2 IS NULL OR j.source_document_name = $2 OR $2 = ANY (j.source_documents))
      AND ($3 IS NULL OR j.context @> $3)
    ORDER BY j.id
$$;
COMMENT ON FUNCTION @extschema@.waiting_sync_jobs(text, text, jsonb) IS 'ids of the waiting jobs of the type, for the document (NULL: any), with this in their context (NULL: any)';

-- What a failed test prints: the job, if there is one, or else jobs of the type that wait for something else.
CREATE FUNCTION @extschema@.sync_jobs_diag(sync_job_type text, found bigint[])
    RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT diag(coalesce((SELECT string_agg(format('%s waits: %s %s', j.title, j.status, coalesce(j.context::text, '')), E'\n')
        FROM (SELECT * FROM sync_job WHERE CASE WHEN found = '{}' THEN id IN (SELECT waiting_sync_jobs($1, NULL, NULL)) ELSE id = ANY (found) END
              ORDER BY id LIMIT 10) AS j),
        format('No job of type "%s" waits.', $1)))
$$;
COMMENT ON FUNCTION @extschema@.sync_jobs_diag(text, bigint[]) IS 'for the functions below: what a failed test prints';

CREATE FUNCTION @extschema@.sync_job_enqueued(sync_job_type text, source_document_name text DEFAULT NULL, context jsonb DEFAULT NULL,
        description text DEFAULT NULL) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    found bigint[] := ARRAY(SELECT waiting_sync_jobs($1, $2, $3));
BEGIN
    RETURN ok(found <> '{}', coalesce(description, format('a job of type "%s" waits', $1) || coalesce(' for ' || $2, '')))
        || CASE WHEN found = '{}' THEN E'\n' || sync_jobs_diag($1, found) ELSE '' END;
END $$;
COMMENT ON FUNCTION @extschema@.sync_job_enqueued(text, text, jsonb, text) IS 'test: a job of the type waits, for the document (NULL: any), with this in its context (NULL: any)';

CREATE FUNCTION @extschema@.sync_job_not_enqueued(sync_job_type text, source_document_name text DEFAULT NULL, context jsonb DEFAULT NULL,
        description text DEFAULT NULL) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    found bigint[] := ARRAY(SELECT waiting_sync_jobs($1, $2, $3));
BEGIN
    RETURN ok(found = '{}', coalesce(description, format('no job of type "%s" waits', $1) || coalesce(' for ' || $2, '')))
        || CASE WHEN found <> '{}' THEN E'\n' || sync_jobs_diag($1, found) ELSE '' END;
END $$;
COMMENT ON FUNCTION @extschema@.sync_job_not_enqueued(text, text, jsonb, text) IS 'test: no job of the type waits, for the document (NULL: any), with this in its context (NULL: any)';

CREATE FUNCTION @extschema@.sync_job_ends(sync_job_type text, source_document_name text DEFAULT NULL, status text DEFAULT 'Finished',
        context jsonb DEFAULT NULL, description text DEFAULT NULL) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    job sync_job;
    good boolean;
BEGIN
    SELECT j.* INTO job FROM sync_job AS j
    WHERE j.id IN (SELECT waiting_sync_jobs($1, $2, $4)) AND j.source_documents IS NULL ORDER BY j.id LIMIT 1;
    job := execute_sync_job(coalesce(job.id, enqueue_sync_job($1, $2, context => $4)));
    good := job.status = $3;
    RETURN ok(good, coalesce(description, format('a job of type "%s"', $1) || coalesce(' for ' || $2, '') || ' ends as ' || $3))
        || CASE WHEN NOT good THEN E'\n' || diag(concat_ws(E'\n', 'It ended as ' || job.status || '.', job.error_message, job.cancel_reason)) ELSE '' END;
END $$;
COMMENT ON FUNCTION @extschema@.sync_job_ends(text, text, text, jsonb, text) IS 'test: runs the first job of the type that waits for the document with this in its context, or enqueues one, here and now; passes if it ends in this state';
