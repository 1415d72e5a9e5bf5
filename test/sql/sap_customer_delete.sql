-- The example controllers/sap_customer_delete, as it stands: a sync that deletes.
CREATE EXTENSION pg_sync_job;
\set ECHO none
\getenv folder PG_ABS_SRCDIR
\set controller sap_customer_delete
\set setup :folder /setup/controller.sql
\i :setup
\set ECHO all
SELECT t.name, v.* FROM sync_job_type AS t, validate_sync_job_type(t.name) AS v;

INSERT INTO erp.customer (name, customer_name) VALUES ('CUST-00001', 'Miller & Co'), ('CUST-00002', 'Dupont');
INSERT INTO sap.customer (erp_customer, customer_name) VALUES ('CUST-00001', 'Miller & Co');

-- Disabling a customer deletes it in SAP.
UPDATE erp.customer SET disabled = true WHERE name = 'CUST-00001';
CALL wait_for_jobs();
SELECT status, title, operation, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM sap.customer;

-- There is nothing to delete.
UPDATE erp.customer SET disabled = true WHERE name = 'CUST-00002';
CALL wait_for_jobs();
SELECT status, title, operation, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;

-- Deletes may be switched off for a job, and undone.
SELECT revert_sync_job(min(id)) > 0 AS reverted FROM sync_job;
SELECT id, erp_customer, customer_name FROM sap.customer;
SELECT enqueue_sync_job('SAP Customer Delete', 'CUST-00001', delete_enabled => false) > 0 AS enqueued;
CALL wait_for_jobs();
SELECT status, title, operation FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM sap.customer;
