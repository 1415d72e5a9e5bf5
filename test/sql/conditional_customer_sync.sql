-- The example controllers/conditional_customer_sync, as it stands: a sync that depends on the document and the context.
CREATE EXTENSION pg_sync_job;
\set ECHO none
\getenv folder PG_ABS_SRCDIR
\set controller conditional_customer_sync
\set setup :folder /setup/controller.sql
\i :setup
\set ECHO all
SELECT t.name, v.* FROM sync_job_type AS t, validate_sync_job_type(t.name) AS v;

INSERT INTO erp.customer (name, customer_name, disabled) VALUES ('CUST-00001', 'Miller & Co', false), ('CUST-00002', 'Dupont', true);
INSERT INTO erp.address VALUES ('CUST-00001', '1 Mill Lane', 'Bath'), ('CUST-00002', '2 rue du Pont', 'Lyon');

-- Without context: the one that is not disabled, without its address.
SELECT enqueue_sync_job('Conditional Customer Sync', name) > 0 AS enqueued FROM erp.customer ORDER BY name;
CALL wait_for_jobs();
SELECT source_document_name, status, operation, target_document_name FROM sync_job ORDER BY id;
SELECT erp_customer, customer_name, street, city FROM sap.customer;

-- With the address.
SELECT enqueue_sync_job('Conditional Customer Sync', 'CUST-00001', context => '{"sync_addresses": true}') > 0 AS enqueued;
CALL wait_for_jobs();
SELECT status, operation, context, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;

-- The disabled one, by force. What is not asked for is left alone.
SELECT enqueue_sync_job('Conditional Customer Sync', 'CUST-00002', context => '{"force_update": true, "sync_addresses": true}') > 0 AS enqueued;
CALL wait_for_jobs();
SELECT enqueue_sync_job('Conditional Customer Sync', 'CUST-00002', context => '{"force_update": true}') > 0 AS enqueued;
CALL wait_for_jobs();
SELECT status, operation, context FROM sync_job ORDER BY id DESC LIMIT 2;
SELECT erp_customer, customer_name, street, city FROM sap.customer ORDER BY erp_customer;
