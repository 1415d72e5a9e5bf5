-- ---------------------------------------------------------------------------------------------------------------------
-- What controllers return
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TYPE @extschema@.sync_job_target AS (
    operation            text,
    target_document_type regclass,
    target_document_name text,
    context              jsonb
);
COMMENT ON TYPE @extschema@.sync_job_target IS 'What get_target_document() of a controller returns: what to do, to which document. context replaces the job''s.';

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
COMMENT ON TYPE @extschema@.sync_job_result IS 'What execute() of a bypass controller returns: what it did to which document.';

CREATE FUNCTION @extschema@.sync_job_result(target_document_type regclass DEFAULT NULL,
        target_document_name text DEFAULT NULL, operation text DEFAULT NULL, diff jsonb DEFAULT NULL)
    RETURNS @extschema@.sync_job_result
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW($1, $2, $3, $4)::@extschema@.sync_job_result;
COMMENT ON FUNCTION @extschema@.sync_job_result(regclass, text, text, jsonb) IS 'makes a sync_job_result; any argument may be left out';

