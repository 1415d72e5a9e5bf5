-- The example controllers/mapped_customer_sync, as it stands: a sync without code.
CREATE EXTENSION pg_sync_job;
\set ECHO none
\getenv folder PG_ABS_SRCDIR
\set controller mapped_customer_sync
\set setup :folder /setup/controller.sql
\i :setup
\set ECHO all
SELECT t.name, v.* FROM sync_job_type AS t, validate_sync_job_type(t.name) AS v;

-- Each customer that is made gets a counterpart.
INSERT INTO erp.customer (name, customer_name, customer_group, territory) VALUES
    ('CUST-00001', 'Miller & Co', 'Retail', 'North'),
    ('CUST-00002', 'Dupont', NULL, NULL);
CALL wait_for_jobs();
SELECT status, title, operation, trigger_type FROM sync_job ORDER BY source_document_name;
SELECT erp_customer, customer_name, customer_type, customer_group, territory FROM sap.customer ORDER BY erp_customer;

-- A change; a change that comes to the same; and one of what is not mapped, which is no job.
UPDATE erp.customer SET territory = 'East' WHERE name = 'CUST-00001';
CALL wait_for_jobs();
UPDATE erp.customer SET territory = 'EAST' WHERE name = 'CUST-00001';
CALL wait_for_jobs();
UPDATE erp.customer SET email_id = 'office@example.com' WHERE name = 'CUST-00001';
CALL wait_for_jobs();
SELECT status, operation, diff_summary FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT 2) AS j ORDER BY id;

-- The expression reads the context, too.
SELECT enqueue_sync_job('Mapped Customer Sync', 'CUST-00002', context => '{"group": "Others"}') > 0 AS enqueued;
CALL wait_for_jobs();
SELECT status, operation, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;

-- A dry run; and a deletion.
UPDATE sap.customer SET territory = 'edited' WHERE erp_customer = 'CUST-00001';
SELECT enqueue_sync_job('Mapped Customer Sync', 'CUST-00001', dry_run => true) > 0 AS enqueued;
CALL wait_for_jobs();
SELECT status, dry_run, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;
DELETE FROM erp.customer WHERE name = 'CUST-00001';
CALL wait_for_jobs();
SELECT status, operation FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT erp_customer, customer_group, territory FROM sap.customer;
