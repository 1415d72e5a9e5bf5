-- The example controllers/order_invoice_sync, as it stands: one source, several targets.
CREATE EXTENSION pg_sync_job;
\set ECHO none
\getenv folder PG_ABS_SRCDIR
\set controller order_invoice_sync
\set setup :folder /setup/controller.sql
\i :setup
\set ECHO all
SELECT t.name, v.* FROM sync_job_type AS t, validate_sync_job_type(t.name) AS v;

-- An order and its items: an invoice and its lines. However many items there are, one job more than for the order alone.
BEGIN;
INSERT INTO erp.sales_order VALUES ('SO-00001', 'CUST-00001', '2024-05-01');
INSERT INTO erp.sales_order_item VALUES ('SO-00001', 1, 'HAMMER', 2, 10.50), ('SO-00001', 2, 'NAILS', 100, 0.05), ('SO-00001', 3, 'SAW', 1, 25);
COMMIT;
CALL wait_for_jobs();
SELECT count(*) AS parents FROM sync_job WHERE parent_sync_job IS NULL;
SELECT * FROM sap.invoice;
SELECT * FROM sap.invoice_line ORDER BY line;
SELECT status, title, operation, context FROM sync_job WHERE parent_sync_job = 1 ORDER BY title, id;
SELECT status, jsonb_array_length(multiple_target_documents) AS targets, multiple_target_documents -> 1 AS one FROM sync_job WHERE id = 1;
SELECT children, finished, skipped, failed FROM sync_job_relay ORDER BY sync_job;

-- A transaction changes one item, adds one, and takes one away: one job, and a child for each target; those without a change are Skipped.
BEGIN;
UPDATE erp.sales_order_item SET qty = 3 WHERE idx = 1;
INSERT INTO erp.sales_order_item VALUES ('SO-00001', 4, 'PLANE', 1, 40);
DELETE FROM erp.sales_order_item WHERE idx = 2;
COMMIT;
SELECT max(id) AS parent FROM sync_job WHERE parent_sync_job IS NULL \gset
CALL wait_for_jobs();
SELECT status, operation, target_document_name, diff_summary FROM sync_job WHERE parent_sync_job = :parent ORDER BY target_document_type::text, target_document_name;
SELECT * FROM sap.invoice;
SELECT * FROM sap.invoice_line ORDER BY line;

-- The order is deleted, with its items: so is the invoice, with its lines.
DELETE FROM erp.sales_order;
CALL wait_for_jobs();
SELECT (SELECT count(*) FROM sap.invoice) AS invoices, (SELECT count(*) FROM sap.invoice_line) AS lines;
SELECT count(*) AS failed FROM sync_job_error;
