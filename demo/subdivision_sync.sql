CREATE SCHEMA subdivision_sync;

-- Where to? Looks up the territory of a subdivision, and says what to do with it.
CREATE FUNCTION subdivision_sync.get_target_document(sync_job sync_job, source_doc iso.subdivision)
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

-- What? Sets the fields. To lock, compare, write, record and retry is not the controller's business.
CREATE FUNCTION subdivision_sync.update_target_doc(
    sync_job sync_job, source_doc iso.subdivision, INOUT target_doc erp.territory)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    parent_code text := coalesce(source_doc.parent, source_doc.country);
BEGIN
    target_doc.iso_code         := source_doc.code;
    target_doc.territory_name   := source_doc.name;
    target_doc.is_group         := EXISTS (SELECT FROM iso.subdivision s WHERE s.parent = source_doc.code);
    target_doc.parent_territory := (SELECT t.name FROM erp.territory t WHERE t.iso_code = parent_code);
    IF target_doc.parent_territory IS NULL THEN
        RAISE EXCEPTION 'there is no territory for "%" yet', parent_code
            USING DETAIL = format('%s "%s" belongs below it.', source_doc.type, source_doc.name),
                  HINT = 'Sync the parent; this job is retried by itself.';
    END IF;
END $$;
