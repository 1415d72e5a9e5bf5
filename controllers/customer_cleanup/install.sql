-- Clean-up after a deletion: when a customer is deleted in the ERP, what other systems have of it goes, too.
\ir ../tables.sql

CREATE SCHEMA customer_cleanup;

-- When the job runs, the customer is gone. source_doc is the row as it was: the trigger has kept it. A customer that has come back
-- in the meantime is no longer a Delete, has no targets, and the job ends as No Target.
CREATE FUNCTION customer_cleanup.get_multiple_target_documents(sync_job sync_job, source_doc erp.customer)
RETURNS SETOF sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target('delete', t.document_type, t.name)
    FROM (SELECT 'sap.customer'::regclass, c.id::text FROM sap.customer AS c WHERE c.erp_customer = source_doc.name
          UNION ALL
          SELECT 'sap.note'::regclass, n.id::text FROM sap.note AS n WHERE n.erp_customer = source_doc.name) AS t (document_type, name)
    WHERE sync_job.context ->> 'trigger_operation' = 'Delete'
$$;

-- Every standard controller has this function. It is not called for a delete.
CREATE FUNCTION customer_cleanup.update_target_doc(sync_job sync_job, source_doc erp.customer, target_doc jsonb)
RETURNS jsonb LANGUAGE sql AS $$ SELECT target_doc $$;

INSERT INTO sync_job_type (name, source_document_type) VALUES ('Customer Cleanup', 'erp.customer');

CREATE TRIGGER customer_cleanup AFTER DELETE ON erp.customer
    FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Customer Cleanup');
