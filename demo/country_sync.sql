-- Like subdivision_sync.sql, but every country is a group, and belongs below the root.
CREATE SCHEMA country_sync;

CREATE FUNCTION country_sync.get_target_document(sync_job sync_job, source_doc iso.country)
RETURNS sync_job_target LANGUAGE plpgsql STABLE AS $$
DECLARE
    territory text := (SELECT t.name FROM erp.territory t WHERE t.iso_code = source_doc.code);
    operation text := CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
                           WHEN territory IS NULL THEN 'insert' ELSE 'update' END;
BEGIN
    IF operation = 'delete' AND territory IS NULL THEN
        RETURN NULL;  -- gone already
    END IF;
    RETURN sync_job_target(operation, target_document_name => territory);
END $$;

CREATE FUNCTION country_sync.update_target_doc(
    sync_job sync_job, source_doc iso.country, INOUT target_doc erp.territory)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    target_doc.iso_code         := source_doc.code;
    target_doc.territory_name   := source_doc.name;
    target_doc.is_group         := true;
    target_doc.parent_territory := 'All Territories';
END $$;
