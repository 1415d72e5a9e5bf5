-- pg_sync_job_testing: its functions pass, and fail with what one needs to know.
BEGIN;
CREATE EXTENSION pg_sync_job_testing;
SELECT plan(25);

CREATE TABLE customer (name text PRIMARY KEY, territory text);
CREATE TABLE mailing_list (customer text PRIMARY KEY, region text CHECK (region <> 'Nowhere'));
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, set_size)
VALUES ('Mailing List', 'customer', 'mailing_list', '{"customer": "name"}', '{"region": "territory"}', 100);
SELECT * FROM attach_sync_job_triggers('Mailing List', 'customer');

SELECT sync_job_not_enqueued('Mailing List');
SELECT * FROM check_test(sync_job_enqueued('Mailing List', 'CUST-1'), false, 'enqueued, of which there is none',
    'a job of type "Mailing List" waits for CUST-1', 'No job of type "Mailing List" waits.');

INSERT INTO customer VALUES ('CUST-1', 'North');
SELECT sync_job_enqueued('Mailing List', 'CUST-1');
SELECT sync_job_enqueued('Mailing List', 'CUST-1', '{"trigger_operation": "Insert"}', 'by the trigger');
SELECT sync_job_not_enqueued('Mailing List', 'CUST-2');
SELECT sync_job_not_enqueued('Mailing List', context => '{"trigger_operation": "Delete"}');
SELECT * FROM check_test(sync_job_enqueued('Mailing List', 'CUST-2'), false, 'enqueued, of which there is another',
    'a job of type "Mailing List" waits for CUST-2', 'customer: CUST-1 waits: Queued {"trigger_operation": "Insert"}');
SELECT * FROM check_test(sync_job_not_enqueued('Mailing List'), false, 'not enqueued, of which there is one',
    'no job of type "Mailing List" waits', 'customer: CUST-1 waits: Queued {"trigger_operation": "Insert"}');

-- It runs the job that waits, and one of its own where none does.
SELECT sync_job_ends('Mailing List', 'CUST-1');
SELECT sync_job_not_enqueued('Mailing List');
SELECT is((SELECT count(*) FROM sync_job), 1::bigint, 'there was no other job');
SELECT sync_job_ends('Mailing List', 'CUST-1', 'Skipped', description => 'nothing to change');
UPDATE customer SET territory = 'Nowhere';
SELECT * FROM check_test(sync_job_ends('Mailing List', 'CUST-1'), false, 'ends, but otherwise',
    'a job of type "Mailing List" for CUST-1 ends as Finished', '^It ended as Failed.\nnew row for relation "mailing_list" violates check constraint', true);
SELECT sync_job_ends('Mailing List', 'CUST-1', 'Failed');

-- All that waits, sets and what else it brings about.
INSERT INTO customer SELECT 'BULK-' || i, 'East' FROM generate_series(1, 20) AS i;
SELECT sync_job_enqueued('Mailing List', 'BULK-20', description => 'in a set');
CALL run_sync_jobs();
SELECT sync_job_not_enqueued('Mailing List');
SELECT is((SELECT count(*) FROM mailing_list WHERE region = 'East'), 20::bigint, 'all at once');

SELECT * FROM finish();
ROLLBACK;
