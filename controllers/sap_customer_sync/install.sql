-- A simple sync: sap.customer is kept in step with erp.customer.
\ir ../tables.sql

CREATE SCHEMA sap_customer_sync;

-- Where to? The SAP customer that carries the name of this customer, or a new one.
CREATE FUNCTION sap_customer_sync.get_target_document(sync_job sync_job, source_doc erp.customer)
RETURNS sync_job_target LANGUAGE plpgsql STABLE AS $$
DECLARE
    sap_id text := (SELECT c.id FROM sap.customer AS c WHERE c.erp_customer = source_doc.name);
BEGIN
    IF sap_id IS NULL THEN
        RETURN sync_job_target('insert');
    END IF;
    RETURN sync_job_target('update', target_document_name => sap_id);
END $$;

-- What? For an insert, target_doc comes empty; for an update, as it is. What is returned is written, where it differs.
CREATE FUNCTION sap_customer_sync.update_target_doc(
    sync_job sync_job, source_doc erp.customer, INOUT target_doc sap.customer)
LANGUAGE plpgsql AS $$
BEGIN
    target_doc.erp_customer   := source_doc.name;
    target_doc.customer_name  := source_doc.customer_name;
    target_doc.customer_type  := source_doc.customer_type;
    target_doc.customer_group := source_doc.customer_group;
    target_doc.territory      := source_doc.territory;
END $$;

INSERT INTO sync_job_type (name, source_document_type, target_document_type)
VALUES ('SAP Customer Sync', 'erp.customer', 'sap.customer');

-- A job for each customer that is made or changed. What happens when one is deleted: see ../customer_cleanup.
CREATE TRIGGER sap_customer_sync AFTER INSERT OR UPDATE ON erp.customer
    FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('SAP Customer Sync', 'deduplicate=true');
