-- The example controllers/customer_cleanup, as it stands: clean-up after a deletion.
CREATE EXTENSION pg_sync_job;
\set ECHO none
\getenv folder PG_ABS_SRCDIR
\set controller customer_cleanup
\set setup :folder /setup/controller.sql
\i :setup
\set ECHO all
SELECT t.name, v.* FROM sync_job_type AS t, validate_sync_job_type(t.name) AS v;

INSERT INTO erp.customer (name, customer_name) VALUES ('CUST-00001', 'Miller & Co'), ('CUST-00002', 'Dupont'), ('CUST-00003', 'Rossi');
INSERT INTO sap.customer (erp_customer, customer_name) VALUES ('CUST-00001', 'Miller & Co'), ('CUST-00002', 'Dupont'), ('CUST-00003', 'Rossi');
INSERT INTO sap.note (erp_customer, note) VALUES ('CUST-00001', 'pays late'), ('CUST-00001', 'moved'), ('CUST-00002', 'new');

-- With several targets there is a child for each; with one, the job does it itself.
DELETE FROM erp.customer WHERE name = 'CUST-00001';
CALL wait_for_jobs();
SELECT status, operation, title, parent_sync_job FROM sync_job ORDER BY parent_sync_job NULLS FIRST, target_document_type::text, id;
SELECT get_source_document(j) FROM sync_job AS j WHERE id = 1;
DELETE FROM erp.customer WHERE name = 'CUST-00003';
CALL wait_for_jobs();
SELECT status, operation, title FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT erp_customer FROM sap.customer;
SELECT erp_customer, note FROM sap.note;

-- A customer that is back when the job runs keeps what it has.
BEGIN;
DELETE FROM erp.customer WHERE name = 'CUST-00002';
INSERT INTO erp.customer (name, customer_name) VALUES ('CUST-00002', 'Dupont & fils');
COMMIT;
CALL wait_for_jobs();
SELECT status, operation, title FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT erp_customer FROM sap.customer;
