-- The form of sync_job_type and sync_job_queue: what is filled in, and what is refused. No worker serves the queues.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 0;
CREATE TABLE source (id int PRIMARY KEY, note text);
CREATE TABLE target (id int PRIMARY KEY, note text);
CREATE VIEW bare AS SELECT * FROM source;
CREATE VIEW jobs AS SELECT id, sync_job_type, status, queue, priority, timeout, retry_delay, retry_backoff, max_retries, verbose_logging
    FROM sync_job;
\getenv folder PG_ABS_SRCDIR
\set error_of :folder /setup/error_of.sql
\i :error_of

-- ---- What is filled in ----

INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('SAP - Customer   Sync', 'source', 'target');
SELECT to_jsonb(t) - '{created_at,modified_at}'::text[] AS type, created_at = modified_at AS stamped FROM sync_job_type AS t;
INSERT INTO sync_job_type (name, module, retry_backoff, source_document_type, source_key, target_document_type, match, field_map, timeout, retry_delay, max_retries,
    concurrency_limit, batchable, is_standard, description)
VALUES ('Full', 'Some Module', 'EXPONENTIAL', 'bare', '{id}', 'target', '{"id": "id"}', '{}', '0', '0', 0, 1, false, true, 'text') RETURNING
    name, module, retry_backoff, source_document_type, source_key, match, field_map, timeout, retry_delay, max_retries, concurrency_limit,
    batchable, is_standard, description;
-- An update stamps the row; the module stays when the name changes.
INSERT INTO sync_job_schedule (name, schedule, cron, sync_job_type, params, overlap, owner) VALUES ('nightly', 'daily', '0 0 * * *', 'Full', '{}', false, current_user::regrole);
UPDATE sync_job_type SET name = 'Renamed' WHERE name = 'Full' RETURNING name, module, modified_at >= created_at AS stamped;
DELETE FROM sync_job_schedule RETURNING sync_job_type AS "the schedule's";
DELETE FROM sync_job_type WHERE name = 'Renamed';

-- ---- What is refused in a type ----

\pset format unaligned
SELECT error_of(format('INSERT INTO sync_job_type (name, source_document_type, target_document_type, %s) VALUES (%L, ''source'', ''target'', %s)',
    name, 'T', value)) AS "error"
FROM (VALUES ('retry_backoff', $$'quadratic'$$), ('retry_backoff', $$''$$), ('timeout', $$'-1 s'$$), ('retry_delay', $$'-1 day'$$),
    ('max_retries', '-1'), ('concurrency_limit', '0'), ('match', $$'[]'$$), ('match', $$'"id"'$$), ('field_map', '$$null$$'),
    ('field_map', '$$[{"id": 1}]$$'), ('source_key', $$'{}'$$), ('target_key', $$'{id,NULL}'$$), ('run_as', $$'nobody_at_all'$$),
    ('run_as', '12345678'), ('module', 'NULL')) AS v (name, value);
SELECT error_of(statement) AS "error" FROM (VALUES
    ($$INSERT INTO sync_job_type (name) VALUES ('')$$),
    ($$INSERT INTO sync_job_type (name) VALUES (NULL)$$),
    ($$INSERT INTO sync_job_type (name) VALUES ('Background Job')$$),
    ($$INSERT INTO sync_job_type (name) VALUES ('SAP - Customer   Sync')$$),
    ($$INSERT INTO sync_job_type (name, source_key) VALUES ('T', '{id}')$$),
    ($$INSERT INTO sync_job_type (name, target_key) VALUES ('T', '{id}')$$),
    ($$INSERT INTO sync_job_type (name, source_document_type) VALUES ('T', 'nowhere')$$),
    ($$UPDATE sync_job_type SET name = ''$$),
    ($$UPDATE sync_job_type SET name = 'Background Job'$$),
    ($$UPDATE sync_job_type SET retry_backoff = 'never'$$),
    ($$UPDATE sync_job_type SET max_retries = -5$$),
    ($$UPDATE sync_job_type SET source_document_type = NULL, source_key = '{id}'$$)
) AS v (statement);

-- ---- What is refused in a queue ----

SELECT error_of(statement) AS "error" FROM (VALUES
    ($$INSERT INTO sync_job_queue (name) VALUES ('')$$),
    ($$INSERT INTO sync_job_queue (name) VALUES (NULL)$$),
    ($$INSERT INTO sync_job_queue (name) VALUES (repeat('q', 64))$$),
    ($$INSERT INTO sync_job_queue (name) VALUES (repeat('ü', 32))$$),
    ($$INSERT INTO sync_job_queue (name, max_workers) VALUES ('q', -1)$$),
    ($$INSERT INTO sync_job_queue (name, timeout) VALUES ('q', '-1 ms')$$),
    ($$UPDATE sync_job_queue SET max_workers = -1$$),
    ($$UPDATE sync_job_queue SET name = '' WHERE name = 'long'$$)
) AS v (statement);
\pset format aligned
INSERT INTO sync_job_queue (name, timeout, max_workers) VALUES (repeat('q', 63), '0', 0), ('Own Queue', '1 hour', 0);
-- One of the three that are always there is replaced, as a restore does.
INSERT INTO sync_job_queue (name, max_workers, timeout) VALUES ('short', 0, '2 min');
SELECT * FROM sync_job_queue ORDER BY name;

-- ---- In use ----

INSERT INTO sync_job_type (name, source_document_type, target_document_type, queue) VALUES ('Used', 'source', 'target', 'Own Queue');
SELECT enqueue_sync_job('Used', 1, queue_on_insert => false) AS job \gset
SELECT enqueue_sync_job('Used', 1, scheduled_at => 'infinity') AS later \gset
\pset format unaligned
SELECT error_of(statement) AS "error" FROM (VALUES
    ($$DELETE FROM sync_job_type WHERE name = 'Used'$$),
    ($$UPDATE sync_job_type SET name = 'Other' WHERE name = 'Used'$$),
    ($$DELETE FROM sync_job_queue WHERE name = 'Own Queue'$$),
    ($$UPDATE sync_job_queue SET name = 'Other' WHERE name = 'Own Queue'$$),
    ($$DELETE FROM sync_job_queue WHERE name = repeat('q', 63)$$)
) AS v (statement);
\pset format aligned
-- What does not take the name away is allowed: also to disable it, and to let it wait elsewhere.
UPDATE sync_job_type SET queue = 'long', disabled = true, description = 'off' WHERE name = 'Used';
UPDATE sync_job_queue SET paused = true, timeout = '1 min' WHERE name = 'Own Queue';
SELECT status FROM cancel_sync_job(ARRAY[:job, :later]) ORDER BY id;
UPDATE sync_job_type SET name = 'Other' WHERE name = 'Used';
DELETE FROM sync_job_type WHERE name = 'Other';
DELETE FROM sync_job_queue WHERE name = 'Own Queue';
-- Also while a trigger names it.
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Used', 'source', 'target');
SELECT * FROM attach_sync_job_triggers('Used', 'source');
\pset format unaligned
SELECT error_of($$DELETE FROM sync_job_type WHERE name = 'Used'$$) AS "error";
SELECT error_of($$UPDATE sync_job_type SET name = 'Other' WHERE name = 'Used'$$) AS "error";
\pset format aligned
SELECT * FROM detach_sync_job_triggers('Used', 'source');
-- A failed job keeps nobody from deleting the type; nor does one of a type whose table is gone.
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Used', 1));
DROP TABLE target;
UPDATE sync_job_type SET description = 'its target is gone' WHERE name = 'Used';
DELETE FROM sync_job_type WHERE name = 'Used';
-- Its jobs then fail for want of it.
SELECT status, retry_count FROM retry_sync_job((SELECT max(id) FROM sync_job));
CALL run_sync_jobs();
SELECT status, retry_count, error_message FROM sync_job ORDER BY id DESC LIMIT 1;

-- ---- Settings are copied when a job is enqueued ----

INSERT INTO sync_job_type (name, queue, priority, timeout, retry_delay, retry_backoff, max_retries, verbose_logging)
VALUES ('Copied', 'long', 4, '1 min', '2 min', 'exponential', 5, true);
SELECT enqueue_sync_job('Copied') AS before \gset
UPDATE sync_job_type SET queue = 'default', priority = 0, timeout = NULL, retry_delay = '1 s', retry_backoff = 'linear', max_retries = 0,
    verbose_logging = false WHERE name = 'Copied';
UPDATE sync_job_queue SET timeout = '11 s' WHERE name = 'default';
SELECT enqueue_sync_job('Copied') AS after \gset
UPDATE sync_job_queue SET timeout = '22 s' WHERE name = 'default';
SELECT sync_job_type, status, queue, priority, timeout, retry_delay, retry_backoff, max_retries, verbose_logging FROM jobs
WHERE id IN (:before, :after) ORDER BY id;

-- ---- Tables that cannot hold documents are told of when the row is written, and not again ----

CREATE TABLE keyless (id int, note text);
CREATE MATERIALIZED VIEW frozen AS SELECT * FROM keyless;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Keyless', 'keyless', 'bare'), ('Good', 'source', 'source');
INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type) VALUES ('Misspelt', 'keyless', '{ident}', 'frozen');
UPDATE sync_job_type SET description = 'nothing new' WHERE name = 'Misspelt';
UPDATE sync_job_type SET source_key = '{id}' WHERE name = 'Misspelt';
UPDATE sync_job_type SET source_key = '{note,other}' WHERE name = 'Misspelt';
UPDATE sync_job_type SET target_document_type = 'bare' WHERE name = 'Keyless';
-- As pg_dump has it, which writes rows before it makes keys.
SET search_path = '';
INSERT INTO public.sync_job_type (name, source_document_type) VALUES ('Restored', 'public.keyless');
RESET search_path;
ALTER TABLE keyless ADD PRIMARY KEY (id);
UPDATE sync_job_type SET target_document_type = 'keyless', target_key = NULL WHERE name = 'Keyless';
SELECT name, severity, object, message FROM sync_job_type, validate_sync_job_type(name)
WHERE name IN ('Keyless', 'Misspelt') AND object <> 'module' ORDER BY name, object;

-- ---- No answer to nothing: it would look like success ----

\pset format unaligned
SELECT error_of(statement) AS "error" FROM (VALUES
    ($$SELECT * FROM validate_sync_job_type(NULL)$$),
    ($$SELECT * FROM attach_sync_job_triggers(NULL, 'source')$$),
    ($$SELECT * FROM attach_sync_job_triggers('Good', NULL)$$),
    ($$SELECT * FROM attach_sync_job_triggers('Good', 'source', deduplicate => NULL)$$)
) AS v (statement);

-- ---- Rights that are missing ----

\pset format aligned
CREATE ROLE regress_types LOGIN;
CREATE SCHEMA shut CREATE TABLE inside (id int PRIMARY KEY, note text);
CREATE TABLE open_target (id int PRIMARY KEY, note text);
GRANT SELECT ON shut.inside TO regress_types;
GRANT SELECT (id) ON open_target TO regress_types;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as)
VALUES ('Rights', 'shut.inside', 'open_target', '{"id": "id"}', '{"note": "note"}', 'regress_types');
SELECT severity, object, message, hint FROM validate_sync_job_type('Rights');
GRANT USAGE ON SCHEMA shut TO regress_types;
GRANT SELECT (note), INSERT (note) ON open_target TO regress_types;
SELECT severity, object, message FROM validate_sync_job_type('Rights');
GRANT UPDATE ON open_target TO regress_types;
SELECT severity, object, message FROM validate_sync_job_type('Rights');
DELETE FROM sync_job_type WHERE name = 'Rights';
DROP OWNED BY regress_types;
DROP ROLE regress_types;
