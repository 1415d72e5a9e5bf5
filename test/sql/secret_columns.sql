-- Columns whose values are recorded nowhere: not in diffs, snapshots, errors, comparisons, whatever the kind of job.
SELECT format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()) \gexec
CREATE EXTENSION pg_sync_job;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE TABLE account (id int PRIMARY KEY, name text, pin text);
CREATE TABLE login (id int PRIMARY KEY, name text, pin varchar(20) UNIQUE CHECK (pin <> 's3cret-bad'), number int, extra int NOT NULL DEFAULT 0);
INSERT INTO account SELECT i, 'n' || i, 's3cret' || i FROM generate_series(1, 30) AS i;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, secret_columns, max_retries, set_size)
VALUES ('Logins', 'account', 'login', '{"id": "id"}', '{"name": "name", "pin": "pin", "extra": {"expr": "CASE WHEN source.name <> ''null'' THEN 1 END"}}', '{pin}', 0, 100);
CREATE VIEW jobs AS SELECT id, status, operation, target_document_name AS target, diff_summary, current_data, updated_data, error_message FROM sync_job;
-- Where a secret is found, in any table of the extension.
CREATE FUNCTION leaks() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    found bigint;
BEGIN
    FOR relation IN SELECT c.oid FROM pg_depend AS d JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
            WHERE d.deptype = 'e' AND c.relkind IN ('r', 'p') LOOP
        EXECUTE format('SELECT count(*) FROM %s AS t WHERE t::text ~ ''s3cret''', relation) INTO found;
        IF found > 0 THEN RETURN NEXT relation || ': ' || found; END IF;
    END LOOP;
END $$;

-- ---- One document ----

SELECT enqueue_sync_job('Logins', '1', verbose_logging => true) AS job \gset
CALL run_sync_jobs();
SELECT * FROM jobs WHERE id = :job;
TABLE login;
UPDATE account SET name = 'one', pin = 's3cret-new' WHERE id = 1;
SELECT enqueue_sync_job('Logins', '1', dry_run => true) AS dry, enqueue_sync_job('Logins', '1', verbose_logging => true) AS job \gset
CALL run_sync_jobs();
SELECT * FROM jobs WHERE id IN (:dry, :job) ORDER BY id;
SELECT apply_sync_job(:dry);
SELECT revert_sync_job(:job);
SELECT outcome, target_document_name, fields, detail FROM apply_sync_jobs(ARRAY[:dry], conflicts => 'skip');
SELECT outcome, target_document_name, fields, detail FROM revert_sync_jobs(ARRAY[:job], conflicts => 'skip');
-- Nothing but the secret: that is no change that is undone already.
UPDATE account SET pin = 's3cret-newer' WHERE id = 1;
SELECT enqueue_sync_job('Logins', '1', dry_run => true) AS dry, enqueue_sync_job('Logins', '1') AS job \gset
CALL run_sync_jobs();
SELECT outcome, target_document_name, fields, detail FROM apply_sync_jobs(ARRAY[:dry], conflicts => 'skip');
SELECT outcome, target_document_name, fields, detail FROM revert_sync_jobs(ARRAY[:job], conflicts => 'skip');
SELECT * FROM revert_sync_jobs(ARRAY[:job]);
-- What changes no secret can be undone.
UPDATE account SET name = 'eins' WHERE id = 1;
SELECT enqueue_sync_job('Logins', '1') AS job \gset
CALL run_sync_jobs();
SELECT revert_sync_job(:job) > :job AS reverted;
SELECT diff_summary FROM sync_job WHERE parent_sync_job = :job;
SELECT enqueue_sync_job('Logins', '1', operation => 'Delete', target_document_name => '1') AS job \gset
CALL run_sync_jobs();
SELECT * FROM jobs WHERE id = :job;
SELECT revert_sync_job(:job);

-- ---- Many ----

SELECT enqueue_sync_jobs('Logins', ARRAY(SELECT id::text FROM account WHERE id < 20));
CALL run_sync_jobs();
UPDATE account SET pin = pin || 'x' WHERE id < 20;
SELECT enqueue_sync_jobs('Logins', ARRAY(SELECT id::text FROM account WHERE id < 20));
CALL run_sync_jobs();
SELECT operation, diff_summary, fingerprint IS NULL AS no_hash, count(*) FROM sync_job_document GROUP BY 1, 2, 3 ORDER BY 1;
SELECT bool_and(l.pin = a.pin) AS in_step, count(*) FROM login AS l JOIN account AS a USING (id);
-- Without a secret in the row a hash tells nothing.
UPDATE account SET pin = NULL WHERE id = 20;
SELECT enqueue_sync_jobs('Logins', ARRAY(SELECT id::text FROM account WHERE id >= 20));
CALL run_sync_jobs();
SELECT source_document_name FROM sync_job_document WHERE fingerprint IS NOT NULL;
-- A comparison.
UPDATE account SET pin = pin || 'y', name = name || 'y' WHERE id = 2;
SELECT difference, source_document_name, diff FROM compare_sync_documents('Logins');
SELECT enqueue_compare('Logins') AS job \gset
CALL run_sync_jobs();
SELECT result -> 'documents' FROM sync_job WHERE id = :job;

-- ---- Errors ----

UPDATE account SET pin = 's3cret-bad' WHERE id = 3;
UPDATE account SET pin = 's3cret5x' WHERE id = 4;
UPDATE account SET pin = 's3cret much longer than its column' WHERE id = 6;
UPDATE account SET name = 'null' WHERE id = 7;
SELECT enqueue_sync_job('Logins', id) FROM generate_series(3, 7) AS id WHERE id <> 5;
CALL run_sync_jobs();
SELECT target_document_name AS target, error_message FROM sync_job WHERE status = 'Failed' ORDER BY id;
UPDATE sync_job_type SET field_map = '{"name": "name", "pin": "pin", "number": {"expr": "source.pin::int"}}' WHERE name = 'Logins';
SELECT enqueue_sync_job('Logins', '2', verbose_logging => true) AS job \gset
CALL run_sync_jobs();
SELECT e.sqlstate, e.message, e.detail, e.context, j.updated_data FROM sync_job_error AS e JOIN sync_job AS j ON j.id = e.sync_job WHERE j.id = :job;
-- At COMMIT.
ALTER TABLE login DROP CONSTRAINT login_pin_key, ADD UNIQUE (pin) DEFERRABLE INITIALLY DEFERRED;
UPDATE sync_job_type SET field_map = '{"name": "name", "pin": "pin"}' WHERE name = 'Logins';
SELECT enqueue_sync_job('Logins', '4') AS job \gset
CALL run_sync_jobs();
SELECT sqlstate, message, detail FROM sync_job_error WHERE sync_job = :job;

-- ---- Code ----

CREATE SCHEMA code;
CREATE FUNCTION code.get_target_document(sync_job sync_job, source_doc account) RETURNS sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('update', target_document_name => source_doc.id::text) $$;
CREATE FUNCTION code.update_target_doc(sync_job sync_job, source_doc account, target_doc jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT target_doc || jsonb_build_object('pin', source_doc.pin, 'number', CASE WHEN source_doc.name = 'bad' THEN source_doc.pin END) $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, secret_columns, max_retries) VALUES ('Code', 'account', 'login', 'code', '{pin}', 0);
UPDATE account SET pin = 's3cret-code' WHERE id = 8;
UPDATE account SET name = 'bad' WHERE id = 9;
SELECT enqueue_sync_job('Code', '8', verbose_logging => true) AS good, enqueue_sync_job('Code', '9') AS bad \gset
CALL run_sync_jobs();
SELECT * FROM jobs WHERE id IN (:good, :bad) ORDER BY id;
CREATE SCHEMA bypass;
CREATE FUNCTION bypass.execute(sync_job sync_job, source_doc account) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('target_document_type', 'login', 'target_document_name', source_doc.id::text, 'operation', 'Update',
        'diff', jsonb_build_object('pin', jsonb_build_object('new', source_doc.pin), 'name', 1)) $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, secret_columns) VALUES ('Bypass', 'account', 'login', 'bypass', '{pin}');
SELECT enqueue_sync_job('Bypass', '8') AS job \gset
CALL run_sync_jobs();
SELECT status, diff_summary FROM sync_job WHERE id = :job;

-- ---- Rows that triggers keep ----

-- Of a type without code what match and source_condition read. Where match is changed afterwards, what is missing is no null.
SELECT attach_sync_job_triggers('Logins', 'account');
DELETE FROM account WHERE id IN (11, 12);
SELECT document_name, data FROM sync_job_deleted_document ORDER BY id;
SELECT get_sync_document('account', '11');
SELECT max(id) AS job FROM sync_job \gset
\set VERBOSITY sqlstate
UPDATE sync_job_type SET match = '{"name": "name"}', field_map = '{"pin": "pin"}' WHERE name = 'Logins';
CALL run_sync_jobs(max_jobs => 1);
UPDATE sync_job_type SET match = '{"name": {"expr": "lower(source.name)"}}' WHERE name = 'Logins';
CALL run_sync_jobs();
\set VERBOSITY default
SELECT status, operation, regexp_replace(split_part(error_message, E'\n', 1), 'kept at \S+ \S+', 'kept at …') AS error FROM sync_job WHERE id > :job - 2 ORDER BY id;
UPDATE sync_job_type SET match = '{"id": "id"}', field_map = '{"name": "name", "pin": "pin"}' WHERE name = 'Logins';
SELECT status FROM retry_sync_jobs(ARRAY(SELECT id FROM sync_job WHERE id > :job - 2 AND status = 'Failed'));
CALL run_sync_jobs();
SELECT status, operation, source_document_name FROM sync_job WHERE id > :job - 2 ORDER BY id;
UPDATE sync_job_type SET source_condition = 'source.name <> ''out''' WHERE name = 'Logins';
UPDATE account SET name = 'out' WHERE id = 13;
SELECT document_name, data, is_deletion FROM sync_job_deleted_document WHERE document_name = '13';
CALL run_sync_jobs();
SELECT operation, target_document_name, diff_summary FROM sync_job ORDER BY id DESC LIMIT 1;

-- ---- Errors of other classes ----

SELECT detach_sync_job_triggers('Logins', 'account');
CREATE VIEW checked AS SELECT id, name, pin FROM login WHERE name <> 'hidden' WITH CHECK OPTION;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, target_key, match, field_map, secret_columns, max_retries)
VALUES ('Checked', 'account', 'checked', '{id}', '{"id": "id"}', '{"name": "name", "pin": "pin"}', '{pin}', 0);
UPDATE account SET name = 'hidden' WHERE id = 14;
SELECT enqueue_sync_job('Checked', '14') AS job \gset
CREATE SCHEMA dynamic;
CREATE FUNCTION dynamic.get_target_document(sync_job sync_job, source_doc account) RETURNS sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('update', target_document_name => source_doc.id::text) $$;
CREATE FUNCTION dynamic.update_target_doc(sync_job sync_job, source_doc account, INOUT target_doc login) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER ROLE nobody_of_that_name PASSWORD %L', source_doc.pin);
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, secret_columns, max_retries) VALUES ('Dynamic', 'account', 'login', 'dynamic', '{pin}', 0);
SELECT enqueue_sync_job('Dynamic', '8') > :job AS enqueued;
CALL run_sync_jobs();
SELECT sync_job_type, error_message FROM sync_job WHERE id >= :job AND sync_job_type IN ('Checked', 'Dynamic') ORDER BY id;
SELECT message, detail, context FROM sync_job_error WHERE sync_job >= :job ORDER BY sync_job;
-- Of whatever class, where code makes it of values; what it raises as its own stays.
CREATE SCHEMA spill;
CREATE FUNCTION spill.get_target_document(sync_job sync_job, source_doc account) RETURNS sync_job_target LANGUAGE sql
    AS $$ SELECT sync_job_target('update', target_document_name => source_doc.id::text) $$;
CREATE FUNCTION spill.update_target_doc(sync_job sync_job, source_doc account, INOUT target_doc login) LANGUAGE plpgsql AS $$
#print_strict_params on
DECLARE
    secret text := source_doc.pin;
BEGIN
    CASE source_doc.name
        WHEN 'column' THEN EXECUTE 'SELECT ' || secret;
        WHEN 'function' THEN EXECUTE 'SELECT ' || secret || '()';
        WHEN 'syntax' THEN EXECUTE 'SELECT 1 ' || secret || ' 2';
        WHEN 'role' THEN EXECUTE 'SET ROLE ' || secret;
        WHEN 'query' THEN PERFORM to_tsquery('simple', secret || ' x');
        WHEN 'word' THEN PERFORM repeat(secret, 1000)::tsquery;
        WHEN 'unit' THEN PERFORM date_trunc(secret, now());
        WHEN 'strict' THEN SELECT pin INTO STRICT secret FROM login WHERE pin = 'no ' || secret;
        WHEN 'foreign' THEN RAISE EXCEPTION USING ERRCODE = 'HV000', MESSAGE = secret;
        WHEN 'language' THEN RAISE EXCEPTION USING ERRCODE = '38000', MESSAGE = secret, DETAIL = secret, HINT = secret;
        WHEN 'internal' THEN RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = secret;
        WHEN 'own' THEN RAISE EXCEPTION 'account % is closed', source_doc.id;
        WHEN 'assert' THEN ASSERT false, 'not to be';
        WHEN 'several' THEN target_doc.name := (SELECT name FROM account);
        WHEN 'hook' THEN target_doc.extra := 9;
    END CASE;
END $$;
CREATE FUNCTION spill.finished(sync_job sync_job, source_doc account, target_doc login) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM source_doc.pin::int; END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, secret_columns, max_retries, verbose_logging)
VALUES ('Spill', 'account', 'login', 'spill', '{pin}', 0, true);
UPDATE account SET name = (string_to_array('column function syntax role query word unit strict foreign language internal own assert several hook', ' '))[id - 14], pin = 's3cret' || id
WHERE id BETWEEN 15 AND 29;
SELECT count(enqueue_sync_job('Spill', id::text)) FROM account WHERE id BETWEEN 15 AND 29;
CALL run_sync_jobs();
SELECT a.name, e.sqlstate, e.message, e.detail, e.hint, e.context FROM sync_job_error AS e JOIN sync_job AS j ON j.id = e.sync_job JOIN account AS a ON a.id::text = j.source_document_name
WHERE j.sync_job_type = 'Spill' ORDER BY a.id;
SELECT status, messages FROM sync_job WHERE sync_job_type = 'Spill' AND status <> 'Failed';
-- In sets.
CREATE TABLE words (id int PRIMARY KEY, words tsquery);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, secret_columns, max_retries, set_size)
VALUES ('Words', 'account', 'words', '{"id": "id"}', '{"words": {"expr": "to_tsquery(''simple'', source.pin || '' x'')"}}', '{words}', 0, 10);
SELECT enqueue_sync_jobs('Words', ARRAY['1', '2', '3']);
CALL run_sync_jobs();
SELECT DISTINCT error_message FROM sync_job WHERE sync_job_type = 'Words' AND status = 'Failed';

SELECT * FROM leaks();

-- ---- What cannot be kept secret ----

UPDATE sync_job_type SET secret_columns = '{pin,NULL}' WHERE name = 'Logins';
UPDATE sync_job_type SET secret_columns = '{{pin,name}}' WHERE name = 'Logins';
UPDATE sync_job_type SET source_key = '[0:0]={id}' WHERE name = 'Logins';
UPDATE sync_job_type SET secret_columns = '{pim}' WHERE name = 'Logins';
SELECT enqueue_sync_job('Logins', '10') AS job \gset
CALL run_sync_jobs();
SELECT status, split_part(error_message, E'\n', 1) AS error FROM sync_job WHERE id = :job;
SELECT severity, object, field, message FROM validate_sync_job_type('Logins');
UPDATE sync_job_type SET secret_columns = '{id}' WHERE name = 'Logins';
SELECT severity, object, field, message, detail FROM validate_sync_job_type('Logins');
UPDATE sync_job_type SET secret_columns = '{pin}', field_map = '{"pin": {"column": "pin", "only": "unedited"}}' WHERE name = 'Logins';
SELECT severity, object, field, message FROM validate_sync_job_type('Logins');
-- Rows that the triggers keep have what match and source_condition read.
UPDATE sync_job_type SET match = '{"pin": "pin"}', field_map = '{"name": "name", "id": "id"}' WHERE name = 'Logins';
UPDATE sync_job_type SET match = '{"id": "id"}', field_map = '{"pin": {"column": "pin"}}', source_condition = 'source.pin IS NOT NULL' WHERE name = 'Logins';
SELECT severity, object, field, message FROM validate_sync_job_type('Logins');
UPDATE sync_job_type SET source_condition = NULL, field_map = '{"pin": "id"}' WHERE name = 'Logins';
UPDATE sync_job_type SET field_map = '{"pin": {"expr": "source.pin || source.id"}}' WHERE name = 'Logins';
SELECT severity, object, field, message FROM validate_sync_job_type('Logins');
