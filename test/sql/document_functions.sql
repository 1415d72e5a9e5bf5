-- Documents by name, deleted documents and what caused a job: get_sync_document() and its kin; the source of a job that is gone.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never

CREATE TABLE account (region text, number int, owner text, opened timestamptz, score float8, extra jsonb, ratio numeric,
    area point, tags text[], doubled int GENERATED ALWAYS AS (number * 2) STORED, PRIMARY KEY (region, number));
CREATE TABLE copy (name text PRIMARY KEY, image text);
CREATE SCHEMA account_copy;
CREATE FUNCTION account_copy.get_target_document(sync_job sync_job, source_doc account) RETURNS sync_job_target LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'hint %, source %', sync_job.context ->> 'trigger_operation', source_doc;
    RETURN sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
        WHEN EXISTS (SELECT FROM copy WHERE name = sync_job.source_document_name) THEN 'update' ELSE 'insert' END,
        target_document_name => sync_job.source_document_name);
END $$;
CREATE FUNCTION account_copy.update_target_doc(sync_job sync_job, source_doc account, INOUT target_doc copy) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.name := sync_job.source_document_name;
    target_doc.image := source_doc;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries)
VALUES ('Copy', 'account', 'copy', 'account_copy', 0);
SELECT * FROM attach_sync_job_triggers('Copy', 'account');

-- A document by its name: in canonical form or not; of several columns as a JSON array.
INSERT INTO account VALUES ('north', 1, 'Ann', '2024-02-29 12:00+02', 'NaN', '"text"', 1.50, '(1,2)', '{a,NULL,"b c"}'),
    ('', 2, NULL, 'infinity', '-0', 'null', 'NaN', NULL, '{}');
SET timezone = 'Asia/Tokyo';
SELECT get_sync_document('account', '["north","1"]');
SELECT get_sync_document('account', '[ "north" , 1 ]') = get_sync_document('account', '["north", "1"]') AS same;
SELECT get_sync_document('account', '["", 2]');
SELECT get_sync_document('account', '["south", 1]') IS NULL AS none, get_sync_document('copy', 'x') IS NULL AS none_either;
SELECT get_sync_document('account', 'north');
SELECT get_sync_document('account', '["north"]');
SELECT get_sync_document('account', '["north", null]');
SELECT get_sync_document('account', '["north", "one"]');
SELECT get_sync_document('sync_job_error', '[1, 1]') IS NULL AS none;
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
SELECT get_sync_document('temporary', '1');
CREATE TABLE keyless (id int);
SELECT get_sync_document('keyless', '1');
SELECT get_sync_document('pg_class_oid_index', '1');

-- The copies are made, and go: a deleted source is there as it was, bit for bit, until its records are cleared.
CALL run_sync_jobs();
TABLE copy ORDER BY name;
BEGIN;
DELETE FROM account;
SELECT get_sync_document('account', '["north",1]');
COMMIT;
SELECT document_type, document_name, data, deleted_at <= now() AS deleted_at, deleted_by FROM sync_job_deleted_document ORDER BY document_name;
CALL run_sync_jobs();
SELECT status, operation, source_document_name, context FROM sync_job ORDER BY id;
TABLE copy;
-- Deleted twice: the last one counts. One that is there again is no deleted one.
INSERT INTO account VALUES ('north', 1, 'Bob');
DELETE FROM account;
SELECT get_sync_document('account', '["north",1]') ->> 'owner' AS last_owner;
INSERT INTO account VALUES ('north', 1, 'Cat');
SELECT get_sync_document('account', '["north",1]') ->> 'owner' AS owner;
CALL run_sync_jobs();
TABLE copy;

-- By hand, too, a job may name a source that is gone, and is told so by the hint; a name without row or record is an error.
DELETE FROM account;
SELECT status, operation, context FROM execute_sync_job(enqueue_sync_job('Copy', '["north", 1]', '{"mine": 1}'));
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Copy', '["nrth", 1]'));
SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(enqueue_sync_job('Copy', '["nrth", 1]', operation => 'delete', target_document_name => 'x'));
CALL run_sync_jobs();
-- keep_deleted=false: the job of a delete has nothing to read, and fails.
SELECT * FROM detach_sync_job_triggers('Copy', 'account');
SELECT * FROM attach_sync_job_triggers('Copy', 'account', keep_deleted => false);
INSERT INTO account VALUES ('private', 1, 'Dan');
CALL run_sync_jobs();
DELETE FROM account;
CALL run_sync_jobs();
SELECT status, split_part(error_message, E'\n', 1) AS error FROM sync_job ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM sync_job_deleted_document WHERE document_name ~ 'private';
-- A column dropped or added since the delete: what is left of it.
ALTER TABLE account DROP COLUMN owner, ADD COLUMN owner2 text DEFAULT 'new';
SELECT get_sync_document('account', '["north",1]') AS without_owner;
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Copy', '["north", 1]'));
ALTER TABLE account RENAME COLUMN number TO no;
SELECT get_sync_document('account', '["north",1]') AS renamed;

-- The documents of a job, by hand.
INSERT INTO account VALUES ('west', 5);
CALL run_sync_jobs();
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_document_type => 'copy', triggered_by_document_name => '["west", "5"]') AS id \gset
SELECT get_source_document(j) ->> 'region' AS source, get_trigger_document(j) ->> 'name' AS trigger, get_target_document(j) AS target,
    trigger_document_timestamp = created_at AS at FROM sync_job AS j WHERE id = :id;
SELECT status FROM execute_sync_job(:id);
SELECT get_target_document(j) ->> 'name' AS target, get_target_document(j, true) ->> 'name' AS locked FROM sync_job AS j WHERE id = :id;
DELETE FROM account;
DELETE FROM copy;
SELECT get_source_document(j) IS NULL AS no_source, get_trigger_document(j) IS NULL AS no_trigger, get_target_document(j) IS NULL AS no_target
FROM sync_job AS j WHERE id = :id;
SELECT get_source_document(NULL) IS NULL AS nothing;

-- What caused a job: by row, by name with its type, with a time of its own. A document names itself.
CREATE TABLE order_line (id int PRIMARY KEY, account text);
INSERT INTO order_line VALUES (7, 'x');
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_doc => o, trigger_type => 'webhook') AS by_row FROM order_line AS o \gset
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_document_type => 'order_line', triggered_by_document_name => '007',
    trigger_document_timestamp => '2020-01-01 00:00Z') AS by_name \gset
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_document_type => 'order_line') AS by_type \gset
SELECT triggered_by_document_type, triggered_by_document_name, trigger_document_timestamp = created_at AS now, trigger_type FROM sync_job
WHERE id IN (:by_row, :by_name, :by_type) ORDER BY id;
SELECT trigger_document_timestamp FROM sync_job WHERE id = :by_name;
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_document_name => '7');
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_document_type => 'order_line', triggered_by_document_name => 'seven');
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_document_type => 'order_line', triggered_by_document_name => '8', triggered_by_doc => o) FROM order_line AS o;
SELECT enqueue_sync_job('Copy', '["west", 5]', triggered_by_doc => ROW(7));
SELECT enqueue_sync_job('Copy', '["west", 5]', trigger_type => 'cron');

-- A type without a source, a job without a source document: source_doc is NULL, and there is the context.
CREATE SCHEMA summary;
CREATE FUNCTION summary.get_target_document(job jsonb, source jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('operation', 'insert') WHERE source IS NULL
$$;
CREATE FUNCTION summary.update_target_doc(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('name', job -> 'context' ->> 'name', 'image', job -> 'source_document_type')
$$;
INSERT INTO sync_job_type (name, target_document_type, max_retries) VALUES ('Summary', 'copy', 0);
SELECT status, title, target_document_name FROM execute_sync_job(enqueue_sync_job('Summary', context => '{"name": "s1"}'));
SELECT status, title FROM execute_sync_job(enqueue_sync_job('Summary', '7', '{"name": "s2"}', source_document_type => 'order_line'));
SELECT enqueue_sync_job('Summary', '7', '{"name": "s3"}');
SELECT status, title FROM execute_sync_job(enqueue_sync_job('Copy', context => '{"name": "s4"}'));
TABLE copy;
-- The hint is corrected by what is the case, and only then.
SELECT status, title FROM execute_sync_job(enqueue_sync_job('Copy', '["west", 5]', '{"trigger_operation": "Insert", "z": 1}'));
INSERT INTO account VALUES ('west', 5);
SELECT status, context FROM execute_sync_job(enqueue_sync_job('Copy', '["west", 5]', '{"trigger_operation": "Delete", "z": 1}'));
SELECT status, context FROM execute_sync_job(enqueue_sync_job('Copy', '["west", 5]', '{"trigger_operation": "Insert"}'));
SELECT status, context FROM execute_sync_job(enqueue_sync_job('Copy', '["west", 5]', '{"trigger_operation": 7}'));
SELECT status, context FROM execute_sync_job(enqueue_sync_job('Copy', '["west", 5]', '{"trigger_operation": {"a": "b"}}'));
