-- A sync that depends on the customer, and on what the caller says in `context`.
--
--   {"force_update": true}      disabled customers, too
--   {"sync_addresses": true}    the address, too
\ir ../tables.sql

CREATE SCHEMA conditional_customer_sync;

-- NULL: this customer has no target, and the job ends as No Target.
CREATE FUNCTION conditional_customer_sync.get_target_document(sync_job sync_job, source_doc erp.customer)
RETURNS sync_job_target LANGUAGE plpgsql STABLE AS $$
DECLARE
    forced boolean := coalesce((sync_job.context ->> 'force_update')::boolean, false);
    sap_id text;
BEGIN
    IF source_doc.disabled AND NOT forced THEN
        RETURN NULL;
    END IF;
    SELECT c.id INTO sap_id FROM sap.customer AS c WHERE c.erp_customer = source_doc.name;
    IF sap_id IS NULL THEN
        RETURN sync_job_target('insert');
    END IF;
    RETURN sync_job_target('update', target_document_name => sap_id);
END $$;

CREATE FUNCTION conditional_customer_sync.update_target_doc(
    sync_job sync_job, source_doc erp.customer, INOUT target_doc sap.customer)
LANGUAGE plpgsql AS $$
BEGIN
    target_doc.erp_customer  := source_doc.name;
    target_doc.customer_name := source_doc.customer_name;
    IF (sync_job.context ->> 'sync_addresses')::boolean THEN
        SELECT a.street, a.city INTO target_doc.street, target_doc.city
        FROM erp.address AS a WHERE a.customer = source_doc.name;
    END IF;
END $$;

INSERT INTO sync_job_type (name, source_document_type, target_document_type)
VALUES ('Conditional Customer Sync', 'erp.customer', 'sap.customer');
