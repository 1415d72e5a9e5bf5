-- The job types of the benchmark.

-- No work at all, in one SQL function; once batchable, and once not.
CREATE SCHEMA noop;
CREATE FUNCTION noop.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE sql STABLE RETURN NULL::jsonb;
INSERT INTO sync_job_type (name, module, batchable) VALUES ('No-op', 'noop', true), ('No-op alone', 'noop', false);

-- No work as a background job.
CREATE PROCEDURE nothing() LANGUAGE sql BEGIN ATOMIC END;

-- The real sync with functions.
CREATE SCHEMA row_sync;
CREATE FUNCTION row_sync.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target
LANGUAGE plpgsql STABLE AS $$
DECLARE
    target_id bigint;
BEGIN
    SELECT id INTO target_id FROM target WHERE external_code = source_doc.code;
    RETURN sync_job_target(CASE WHEN target_id IS NULL THEN 'insert' ELSE 'update' END,
                           target_document_name => target_id::text);
END $$;
CREATE FUNCTION row_sync.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target)
LANGUAGE plpgsql AS $$
BEGIN
    target_doc.external_code := source_doc.code;
    target_doc.name := source_doc.full_name;
    target_doc.region := source_doc.territory;
    target_doc.credit_limit := source_doc.credit_limit;
    target_doc.active := NOT source_doc.disabled;
END $$;
INSERT INTO sync_job_type (name, module, source_document_type, target_document_type)
VALUES ('Row sync', 'row_sync', 'source', 'target');

-- The same, with a function in SQL that finds the target.
CREATE SCHEMA sql_sync;
CREATE FUNCTION sql_sync.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target(CASE WHEN t.id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.id::text)
    FROM (SELECT 1) AS one LEFT JOIN target AS t ON t.external_code = source_doc.code
$$;
CREATE FUNCTION sql_sync.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target)
LANGUAGE plpgsql AS $$
BEGIN
    target_doc.external_code := source_doc.code;
    target_doc.name := source_doc.full_name;
    target_doc.region := source_doc.territory;
    target_doc.credit_limit := source_doc.credit_limit;
    target_doc.active := NOT source_doc.disabled;
END $$;
INSERT INTO sync_job_type (name, module, source_document_type, target_document_type)
VALUES ('SQL sync', 'sql_sync', 'source', 'target');

-- The same without functions.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Declared sync', 'source', 'target', '{"external_code": "code"}',
        '{"name": "full_name", "region": "territory", "credit_limit": "credit_limit",
          "active": {"expr": "NOT source.disabled"}}');

-- The same in C++ (native/): row by row, with a statement of its own to find the target, as in PL/pgSQL; row by row with a match; many
-- at once.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, library) VALUES ('Native sync without match', 'source', 'target', 'native_row');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, library)
VALUES ('Native row sync', 'source', 'target', '{"external_code": "code"}', 'native_match'),
       ('Native sync', 'source', 'target', '{"external_code": "code"}', 'native_set');
