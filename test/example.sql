-- The example of the documentation, a standard controller: customers are kept in step with sap_customer.
CREATE TABLE customer (name text PRIMARY KEY, customer_name text, territory text);
CREATE TABLE sap_customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, erp_customer text UNIQUE,
    customer_name text, territory text);

CREATE SCHEMA sap_customer_sync;

CREATE FUNCTION sap_customer_sync.get_target_document(sync_job sync_job, source_doc customer)
RETURNS sync_job_target LANGUAGE sql STABLE AS $$
  SELECT sync_job_target(CASE WHEN t.id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.id::text)
  FROM (SELECT 1) one LEFT JOIN sap_customer t ON t.erp_customer = source_doc.name
$$;

CREATE FUNCTION sap_customer_sync.update_target_doc(sync_job sync_job, source_doc customer, INOUT target_doc sap_customer)
LANGUAGE plpgsql AS $$
BEGIN
  target_doc.erp_customer  := source_doc.name;
  target_doc.customer_name := source_doc.customer_name;
  target_doc.territory     := source_doc.territory;
END $$;

INSERT INTO sync_job_type (name, source_document_type, target_document_type)
VALUES ('SAP Customer Sync', 'customer', 'sap_customer');
