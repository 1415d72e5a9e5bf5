-- The example controllers/sap_customer_sync, as it stands: a simple sync.
CREATE EXTENSION pg_sync_job;
\set ECHO none
\getenv folder PG_ABS_SRCDIR
\set controller sap_customer_sync
\set setup :folder /setup/controller.sql
\i :setup
\set ECHO all
SELECT t.name, v.* FROM sync_job_type AS t, validate_sync_job_type(t.name) AS v;

-- Each customer that is made gets a counterpart.
INSERT INTO erp.customer (name, customer_name, customer_type, customer_group, territory) VALUES
    ('CUST-00001', 'Miller & Co', 'Company', 'Retail', 'North'),
    ('CUST-00002', 'Dupont', 'Individual', NULL, 'South');
CALL wait_for_jobs();
SELECT status, title, operation, trigger_type, run_as FROM sync_job ORDER BY source_document_name;
SELECT erp_customer, customer_name, customer_type, customer_group, territory FROM sap.customer ORDER BY erp_customer;

-- A change: only what differs is written.
UPDATE erp.customer SET territory = 'East', email_id = 'miller@example.com' WHERE name = 'CUST-00001';
CALL wait_for_jobs();
SELECT status, operation, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;

-- A change of what is not synced: nothing to do.
UPDATE erp.customer SET email_id = 'office@example.com' WHERE name = 'CUST-00001';
CALL wait_for_jobs();
SELECT status, operation, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;

-- By hand, all of them; and what a sync would do about an edit in SAP.
SELECT enqueue_sync_jobs('SAP Customer Sync', array_agg(name)) FROM erp.customer;
CALL wait_for_jobs();
SELECT status, count(*) FROM sync_job GROUP BY status ORDER BY status;
UPDATE sap.customer SET customer_group = 'Wholesale' WHERE erp_customer = 'CUST-00001';
SELECT enqueue_sync_job('SAP Customer Sync', 'CUST-00001', dry_run => true) > 0 AS enqueued;
CALL wait_for_jobs();
SELECT status, dry_run, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT customer_group FROM sap.customer WHERE erp_customer = 'CUST-00001';
