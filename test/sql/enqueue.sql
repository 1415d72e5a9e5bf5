-- enqueue_sync_job() in all its forms, every parameter, and every error. No worker serves the queues, so that jobs stay as they
-- were enqueued.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;

CREATE TABLE customer (name text PRIMARY KEY, customer_name text);
CREATE TABLE sap_customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, erp_customer text);
CREATE TABLE visit (region text, day date, PRIMARY KEY (region, day));
CREATE TABLE day (day date PRIMARY KEY);
CREATE TABLE token (id uuid PRIMARY KEY);
INSERT INTO customer VALUES ('CUST-00001', 'Smith'), ('CUST-00002', 'Jones');
INSERT INTO sap_customer (erp_customer) VALUES ('CUST-00001');
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES
    ('Customer Sync', 'customer', 'sap_customer'),
    ('Number Sync', 'sap_customer', 'customer'),
    ('Visit Sync', 'visit', 'customer'),
    ('Token Sync', 'token', 'customer'),
    ('Day Sync', 'day', 'customer'),
    ('Open Sync', NULL, NULL),
    ('Off', 'customer', 'customer');
UPDATE sync_job_type SET disabled = true WHERE name = 'Off';
CREATE VIEW newest AS SELECT * FROM sync_job ORDER BY id DESC LIMIT 1;
\getenv folder PG_ABS_SRCDIR
\set error_of :folder /setup/error_of.sql
\i :error_of

-- ---- The forms ----

-- By name, as a literal, as text and as varchar; by row; by a scalar key; by position and by argument name.
SELECT enqueue_sync_job('Customer Sync', 'CUST-00001');
SELECT enqueue_sync_job('Customer Sync', name), enqueue_sync_job('Customer Sync', source_document_name => name) FROM customer WHERE name = 'CUST-00002';
SELECT enqueue_sync_job('Customer Sync', 'CUST-00001'::varchar), enqueue_sync_job('Customer Sync'::varchar, 'CUST-00001'::name);
SELECT enqueue_sync_job('Customer Sync', customer), enqueue_sync_job('Customer Sync', source_doc => customer)
FROM customer WHERE name = 'CUST-00002';
SELECT enqueue_sync_job(sync_job_type => 'Customer Sync', source_document_name => 'CUST-00001');
SELECT enqueue_sync_job('Number Sync', 1), enqueue_sync_job('Number Sync', 1::bigint), enqueue_sync_job('Number Sync', ' 0001 '),
    enqueue_sync_job('Number Sync', 1::numeric);
SELECT enqueue_sync_job('Token Sync', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid),
    enqueue_sync_job('Token Sync', '{a0eebc999c0b4ef8bb6d6bb9bd380a11}');
SELECT enqueue_sync_job('Visit Sync', ROW('north', '2024-02-01')::visit), enqueue_sync_job('Visit Sync', '["north", "Feb 1, 2024"]');
SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "source_document_name": "CUST-00001"}'::jsonb);
SELECT enqueue_sync_job(jsonb_build_object('sync_job_type', 'Number Sync', 'source_document_name', 1));
SELECT enqueue_sync_job(jsonb_build_object('sync_job_type', 'Visit Sync', 'source_document_name', jsonb_build_array('north', '2024-02-01')));
-- A value says what it is, whatever the session's date style; a text is read as an ISO date.
SET datestyle = 'SQL, DMY';
SELECT enqueue_sync_job('Day Sync', '2024-02-01'::date), enqueue_sync_job('Day Sync', ROW('2024-02-01')::day),
    enqueue_sync_job('Day Sync', '2024-02-01');
RESET datestyle;
-- Without a source; and a source that is not there, which may come before the job runs.
SELECT enqueue_sync_job('Customer Sync'), enqueue_sync_job('Open Sync'), enqueue_sync_job('Customer Sync', NULL::text),
    enqueue_sync_job('Customer Sync', NULL::customer), enqueue_sync_job('Customer Sync', 'CUST-99999');
SELECT id, sync_job_type, source_document_type, source_document_name, target_document_type, title FROM sync_job ORDER BY id;

-- Many at once.
SELECT enqueue_sync_jobs('Number Sync', ARRAY['3', '4', '05']), enqueue_sync_jobs('Number Sync', '{}'),
    enqueue_sync_jobs('Customer Sync', ARRAY['a', 'b'], '{"k": 1}', queue => 'long', dry_run => true);
SELECT source_document_name, context, queue, dry_run, status FROM sync_job ORDER BY id DESC LIMIT 5;
-- In a group: a job of another group does not take the request, as nobody would wait for it.
BEGIN;
SELECT enqueue_sync_jobs('Number Sync', ARRAY['91', '92'], job_group => 'nightly', deduplicate => true);
SELECT enqueue_sync_jobs('Number Sync', ARRAY['92', '93'], job_group => 'nightly', deduplicate => true),
    enqueue_sync_job('{"sync_job_type": "Number Sync", "source_document_name": "94", "job_group": "nightly"}'::jsonb) > 0 AS by_params;
SELECT enqueue_sync_jobs('Number Sync', ARRAY['92'], job_group => 'other', deduplicate => true), enqueue_sync_jobs('Number Sync', ARRAY['92'], deduplicate => true);
SELECT job_group, string_agg(source_document_name, ' ' ORDER BY id) FROM sync_job WHERE source_document_name ~ '^9[1-4]$' GROUP BY job_group ORDER BY job_group;
ROLLBACK;

-- The statement sees the jobs of earlier statements; enqueue and use in one statement.
SELECT j.status FROM start_sync_job(enqueue_sync_job('Customer Sync', 'CUST-00001', queue_on_insert => false)) AS j;

-- ---- Every parameter ----

SELECT enqueue_sync_job('Customer Sync', 'CUST-00001', context => '{"a": [1, null]}', operation => 'UPDATE', source_document_type => 'customer',
    target_document_type => 'sap_customer', target_document_name => '1', parent_sync_job => 1, queue => 'long', priority => -5,
    timeout => '90 s', retry_delay => '2 min', max_retries => 7, scheduled_at => '2100-01-01 00:00:00+00', trigger_type => 'webhook',
    triggered_by_document_type => 'visit', triggered_by_document_name => '["south","2024-01-01"]',
    trigger_document_timestamp => '2024-01-01 00:00:00+00', queue_on_insert => false, dry_run => true, insert_enabled => false,
    update_enabled => false, delete_enabled => false, update_without_changes_enabled => true, verbose_logging => true,
    job_id => 'my key', deduplicate => true);
\x
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT id, sync_job_type, title, status, source_document_type, source_document_name, target_document_type, target_document_name, operation,
    context, parent_sync_job, multiple_target_documents, queue, priority, timeout, retry_delay, retry_backoff, max_retries, retry_count,
    retry_after, scheduled_at, insert_enabled, update_enabled, delete_enabled, update_without_changes_enabled, verbose_logging, dry_run,
    queue_on_insert, trigger_type, triggered_by_document_type, triggered_by_document_name, trigger_document_timestamp, job_id,
    current_data, updated_data, diff_summary, error_message, messages, result, checkpoint, cancel_reason, run_as, owner, enqueued_by,
    started_at, ended_at, time_taken, publish_event
FROM newest;
-- The same as one object: numbers are seconds, texts are what the types take, null is as if left out.
SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "source_document_name": "CUST-00001", "context": {"a": [1, null]}, "operation": "update",
    "source_document_type": "customer", "target_document_type": "public.sap_customer", "target_document_name": 1, "parent_sync_job": 1,
    "queue": "long", "priority": -5, "timeout": 90, "retry_delay": 120.5, "max_retries": "7", "scheduled_at": "2100-01-01 00:00:00+00",
    "trigger_type": "API", "triggered_by_document_type": "visit", "triggered_by_document_name": "[\"south\",\"2024-01-01\"]",
    "trigger_document_timestamp": "2024-01-01 00:00:00+00", "queue_on_insert": false, "dry_run": true, "insert_enabled": false,
    "update_enabled": "off", "delete_enabled": "no", "update_without_changes_enabled": true, "verbose_logging": true,
    "job_id": "my key", "deduplicate": null}'::jsonb);
SELECT title, status, source_document_type, source_document_name, target_document_type, target_document_name, operation, context,
    parent_sync_job, queue, priority, timeout, retry_delay, max_retries, scheduled_at, insert_enabled, update_enabled, delete_enabled,
    update_without_changes_enabled, verbose_logging, dry_run, queue_on_insert, trigger_type, triggered_by_document_type,
    triggered_by_document_name, trigger_document_timestamp, job_id
FROM newest;
\x
-- NULL is: as the type says.
UPDATE sync_job_type SET queue = 'short', priority = 3, timeout = '7 s', retry_delay = '8 s', max_retries = 9, verbose_logging = true,
    retry_backoff = 'Constant' WHERE name = 'Open Sync';
SELECT enqueue_sync_job('Open Sync', NULL::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT title, status, queue, priority, timeout, retry_delay, retry_backoff, max_retries, verbose_logging, dry_run, queue_on_insert,
    insert_enabled, update_enabled, delete_enabled, update_without_changes_enabled, trigger_type, scheduled_at FROM newest \gx
-- The target as a row; its type is then known, too.
SELECT enqueue_sync_job('Customer Sync', 'CUST-00001', operation => 'update', target_doc => t) FROM sap_customer AS t;
SELECT enqueue_sync_job('Open Sync', c, operation => 'delete', target_doc => t, triggered_by_doc => ROW('west', '2024-03-04')::visit)
FROM customer AS c, sap_customer AS t WHERE c.name = 'CUST-00002';
SELECT title, source_document_type, source_document_name, target_document_type, target_document_name, operation, triggered_by_document_type,
    triggered_by_document_name, trigger_document_timestamp = created_at AS stamped FROM newest \gx

-- ---- Words in any case ----

SELECT enqueue_sync_job('Customer Sync', 'CUST-00001', operation => o, trigger_type => t) AS id) AS e,
    LATERAL get_sync_job_status(e.id) AS s, LATERAL (SELECT o, t) AS given
    , LATERAL (SELECT NULL) AS nothing WHERE false;
SELECT enqueue_sync_job('Customer Sync', 'CUST-00001', operation => o, trigger_type => t) IS NOT NULL AS enqueued
FROM (VALUES ('insert', 'manual'), ('INSERT', 'SCHEDULER'), ('Update', 'Webhook'), ('uPDATE', 'api'), ('delete', 'document hook')) AS v (o, t);
SELECT operation, trigger_type FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT 5) AS j ORDER BY id;

-- ---- Titles ----

CREATE SCHEMA "Sales Dept";
CREATE TABLE "Sales Dept"."Order ""Line""" ("Key" text PRIMARY KEY);
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES
    ('Quoted', '"Sales Dept"."Order ""Line"""', 'sap_customer'),
    ('No Target Type', 'customer', NULL), ('No Source Type', NULL, 'customer');
SELECT enqueue_sync_job('Quoted', 'x'), enqueue_sync_job('Quoted'), enqueue_sync_job('Quoted', 'x', operation => 'update', target_document_name => '7'),
    enqueue_sync_job('No Target Type', 'x'), enqueue_sync_job('No Target Type'), enqueue_sync_job('No Source Type'),
    enqueue_sync_job('No Source Type', operation => 'insert', target_document_name => repeat('ü', 200)),
    enqueue_sync_job('No Target Type', repeat('y', 200));
SELECT title, length(title) FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT 8) AS j ORDER BY id;

-- ---- Transactional ----

SELECT count(*) AS jobs FROM sync_job \gset
BEGIN;
SELECT enqueue_sync_job('Customer Sync', customer) IS NOT NULL AS enqueued FROM customer;
SAVEPOINT one;
SELECT enqueue_sync_jobs('Customer Sync', ARRAY['a', 'b']);
ROLLBACK TO one;
SELECT count(*) - :jobs AS new_jobs FROM sync_job;
ROLLBACK;
SELECT count(*) - :jobs AS new_jobs FROM sync_job;

-- ---- Errors ----

\pset format unaligned
SELECT error_of(statement) AS "error" FROM (VALUES
    -- the type
    ($$SELECT enqueue_sync_job('Custmer Sync', 'x')$$),
    ($$SELECT enqueue_sync_job('customer sync', 'x')$$),
    ($$SELECT enqueue_sync_job(NULL::text, 'x')$$),
    ($$SELECT enqueue_sync_job(NULL::jsonb)$$),
    ($$SELECT enqueue_sync_job('')$$),
    ($$SELECT enqueue_sync_job('Off', 'x')$$),
    ($$SELECT enqueue_sync_job('Background Job', 'x')$$),
    -- an object as text
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync"}')$$),
    ($$SELECT enqueue_sync_job('  {"sync_job_type": "Customer Sync"} '::text)$$),
    ($$SELECT enqueue_sync_job('[]'::jsonb)$$),
    ($$SELECT enqueue_sync_job('"Customer Sync"'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": null}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "source_name": "x"}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "timeout": "soon"}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "timeout": true}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "priority": 1.5}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "dry_run": 2}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "target_document_type": "nowhere"}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "context": 5}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "source_document_name": {"a": 1}}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": "Customer Sync", "queue": ["long"]}'::jsonb)$$),
    ($$SELECT enqueue_sync_job('{"sync_job_type": {"name": "Customer Sync"}}'::jsonb)$$),
    -- the document
    ($$SELECT enqueue_sync_job('Customer Sync', ROW('x', 'y'))$$),
    ($$SELECT enqueue_sync_job('Customer Sync', c) FROM (SELECT * FROM customer) AS c$$),
    ($$SELECT enqueue_sync_job('Customer Sync', t) FROM sap_customer AS t$$),
    ($$SELECT enqueue_sync_job('Customer Sync', ROW(NULL, 'y')::customer)$$),
    ($$SELECT enqueue_sync_job('Number Sync', 'x')$$),
    ($$SELECT enqueue_sync_job('Number Sync', '')$$),
    ($$SELECT enqueue_sync_job('Number Sync', 1.5)$$),
    ($$SELECT enqueue_sync_job('Token Sync', 5)$$),
    ($$SELECT enqueue_sync_job('Visit Sync', 'north')$$),
    ($$SELECT enqueue_sync_job('Visit Sync', '["north"]')$$),
    ($$SELECT enqueue_sync_job('Visit Sync', '["north", "2024-13-01"]')$$),
    ($$SELECT enqueue_sync_job('Visit Sync', '["north", null]')$$),
    ($$SELECT enqueue_sync_job('Visit Sync', '{"region": "north", "day": "2024-01-01"}')$$),
    ($$SELECT enqueue_sync_job('Open Sync', 'x')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', source_document_type => 'sap_customer')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', target_document_type => 'customer')$$),
    ($$SELECT enqueue_sync_job('Open Sync', c, source_document_type => 'sap_customer') FROM customer AS c LIMIT 1$$),
    ($$SELECT enqueue_sync_job('Open Sync', 'x', source_document_type => 'pg_class_oid_index')$$),
    ($$SELECT enqueue_sync_job('Open Sync', 'x', source_document_type => '12345678')$$),
    ($$SELECT enqueue_sync_jobs('Customer Sync', NULL)$$),
    ($$SELECT enqueue_sync_jobs('Customer Sync', ARRAY['a', NULL])$$),
    ($$SELECT enqueue_sync_jobs('Number Sync', ARRAY['1', 'x'])$$),
    ($$SELECT enqueue_sync_jobs('Open Sync', ARRAY['a'])$$),
    -- operation and target
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', operation => 'upsert')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', operation => '')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', target_document_name => '1')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', operation => 'update', target_document_name => 'one')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', operation => 'update', target_document_name => '2', target_doc => t) FROM sap_customer AS t$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', operation => 'update', target_doc => ROW(1, 'x'))$$),
    ($$SELECT enqueue_sync_job('Open Sync', operation => 'update', target_document_name => '2')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', triggered_by_doc => ROW(1, 'x'))$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', triggered_by_document_name => '1')$$),
    -- the rest
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', '[]')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', '"text"')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', trigger_type => 'cron')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', queue => 'longer')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', timeout => '-1 s')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', retry_delay => '-1 s')$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', max_retries => -1)$$),
    ($$SELECT enqueue_sync_job('Customer Sync', 'x', parent_sync_job => 12345678)$$),
    ($$SELECT enqueue_sync_job('Customer Sync', deduplicate => true)$$)
) AS v (statement);
\pset format aligned
SELECT count(*) - :jobs AS new_jobs FROM sync_job;
BEGIN READ ONLY;
SELECT enqueue_sync_job('Customer Sync', 'x');
ROLLBACK;

-- The caller's own keys may be as long as he likes. A document's name has to fit the index by which its jobs are found.
SELECT string_agg(md5(i::text), '') AS long FROM generate_series(1, 300) AS i \gset
SELECT enqueue_sync_job('Customer Sync', 'x', job_id => :'long', deduplicate => true) AS long_job \gset
SELECT enqueue_sync_job('Customer Sync', 'x', job_id => :'long', deduplicate => true) = :long_job AS absorbed;
SELECT enqueue_sync_job('Customer Sync', :'long');
