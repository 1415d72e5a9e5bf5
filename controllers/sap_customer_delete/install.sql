-- A sync that deletes: a customer that is disabled in the ERP goes from SAP.
\ir ../tables.sql

CREATE SCHEMA sap_customer_delete;

-- Without a name there is nothing to delete, and the job ends as No Target.
CREATE FUNCTION sap_customer_delete.get_target_document(sync_job sync_job, source_doc erp.customer)
RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target('delete', target_document_name =>
        (SELECT c.id::text FROM sap.customer AS c WHERE c.erp_customer = source_doc.name))
$$;

-- Every standard controller has this function. It is not called for a delete.
CREATE FUNCTION sap_customer_delete.update_target_doc(
    sync_job sync_job, source_doc erp.customer, INOUT target_doc sap.customer)
LANGUAGE sql AS $$ SELECT target_doc $$;

-- verbose_logging keeps the diff of the delete: so revert_sync_job can bring the customer back.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, verbose_logging)
VALUES ('SAP Customer Delete', 'erp.customer', 'sap.customer', true);

CREATE TRIGGER sap_customer_delete AFTER UPDATE OF disabled ON erp.customer
    FOR EACH ROW WHEN (NEW.disabled)
    EXECUTE FUNCTION sync_job_trigger('SAP Customer Delete', 'deduplicate=true');
