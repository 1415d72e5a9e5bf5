-- What the clients work on, in a database of its own for each: a declared sync of an ordinary role that may make job types. Its
-- target refuses a region, has a number that is too large for JavaScript's, and shows what the job was given as context.
CREATE EXTENSION pg_sync_job;
SELECT grant_sync_job_access('app', 'manager');

SET SESSION AUTHORIZATION app;
CREATE TABLE customer (name text PRIMARY KEY, territory text, points bigint);
CREATE TABLE mailing_list (customer text PRIMARY KEY, region text CHECK (region <> 'Nowhere'), points bigint, note text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries, publish_events)
VALUES ('Mailing List', 'customer', 'mailing_list', '{"customer": "name"}',
        '{"region": "territory", "points": "points", "note": {"expr": "context ->> ''note''"}}', 0, true);
INSERT INTO customer VALUES ('CUST-1', 'North', 9007199254740993), ('CUST-2', 'South', 2), ('CUST-3', 'East', 3), ('CUST-4', 'Nowhere', 4);
