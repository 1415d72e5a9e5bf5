-- What is wrong with a type that is not saved yet; and the warning when one is.
SELECT format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()) \gexec
CREATE EXTENSION pg_sync_job;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE SCHEMA crm;
CREATE TABLE crm.source (id int PRIMARY KEY, v text, n int);
CREATE TABLE crm.target (id int PRIMARY KEY, v text, n int, g int GENERATED ALWAYS AS (n + 1) STORED);
CREATE TABLE crm.keyless (v text);
CREATE ROLE definition_manager LOGIN; CREATE ROLE definition_other LOGIN;
GRANT USAGE ON SCHEMA crm TO definition_manager; GRANT ALL ON crm.source, crm.target TO definition_manager;
SELECT grant_sync_job_access('definition_manager', 'manager');
CREATE FUNCTION findings(definition jsonb) RETURNS TABLE (severity text, field text, message text) LANGUAGE sql
    AS $$ SELECT severity, field, message FROM validate_sync_job_type_definition(definition) $$;
\set good '{"name": "Copy", "source_document_type": "crm.source", "target_document_type": "crm.target", "match": {"id": "id"}, "field_map": {"v": "v"}}'

-- ---- Findings, each with its field ----

SELECT * FROM findings(:'good');
SELECT * FROM findings('{}');
SELECT * FROM findings('{"name": null, "retry_delay": null}');
-- All at once: what cannot be read, and what the table would refuse.
SELECT * FROM findings(:'good'::jsonb || '{"colour": "red", "priority": "high", "queue": ["a"], "source_document_type": "crm.sauce"}');
SELECT * FROM findings('{"name": "Background Job", "retry_backoff": "never", "timeout": "-1 s", "retry_delay": "-1 s", "max_retries": -1,
    "concurrency_limit": 0, "set_size": 0, "field_map": [1], "match": 2, "source_condition": "source.", "on_delete": "perhaps",
    "ignore_synced": true, "source_key": ["id"], "target_key": [], "secret_columns": [null]}');
-- What its jobs would meet.
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"v": "V"}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"phone": "v"}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"g": "n"}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"v": {"expr": "upper("}}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"v": {"expr": "upper(source.w)"}, "n": "n"}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"n": {"value": "x"}}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"v": {"column": "v", "only": "never"}}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"v": 1}}');
SELECT * FROM findings(:'good'::jsonb || '{"field_map": {"v": {"expr": "now()"}, "n": {"expr": "random()", "only": "insert"}}}');
SELECT * FROM findings(:'good'::jsonb || '{"match": {"id": "ident"}}');
SELECT * FROM findings(:'good'::jsonb || '{"match": {"v": "v"}}');
SELECT * FROM findings(:'good'::jsonb || '{"match": {"id": "id"}, "field_map": {"id": "n"}}');
SELECT * FROM findings(:'good'::jsonb || '{"queue": "none", "target_document_type": "crm.keyless"}');
SELECT * FROM findings(:'good'::jsonb || '{"source_condition": "source.w"}');
SELECT * FROM findings(:'good'::jsonb || '{"on_delete": "{\"g\": 1}"}');
SELECT * FROM findings(:'good'::jsonb || '{"secret_columns": ["pin"]}');
SELECT * FROM findings('{"name": "Code", "source_document_type": "crm.source", "target_document_type": "crm.target", "module": "crm"}');
SELECT * FROM findings('{"name": "Code", "source_document_type": "crm.source", "target_document_type": "crm.target", "paused": true, "disabled": true}');
SELECT count(*) AS types, (SELECT count(*) FROM sync_job_type_change) AS changes FROM sync_job_type;
SELECT validate_sync_job_type_definition(NULL);
SELECT validate_sync_job_type_definition('[]');

-- ---- As the caller would write it ----

BEGIN READ ONLY;
SET LOCAL search_path = crm, public;
SELECT * FROM findings('{"name": "Copy", "source_document_type": "source", "target_document_type": "target", "match": {"id": "id"}, "field_map": {"v": "v"}}');
COMMIT;
SET ROLE definition_manager;
SELECT * FROM findings(:'good'::jsonb || '{"run_as": "definition_manager"}');
-- Nothing runs as a role that the caller may not become.
SELECT * FROM findings(:'good'::jsonb || '{"run_as": "definition_other", "field_map": {"v": "nothing"}}');
SELECT * FROM findings(:'good');
RESET ROLE;
SET ROLE definition_other;
SELECT validate_sync_job_type_definition(:'good');
RESET ROLE;
-- A type that is there, with a change.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Copy', 'crm.source', 'crm.target', '{"id": "id"}', '{"v": "v"}');
SELECT f.* FROM sync_job_type AS t, findings(to_jsonb(t)) AS f;
SELECT f.* FROM sync_job_type AS t, findings(to_jsonb(t) || '{"field_map": {"v": "w"}}') AS f;
SELECT severity, object, field FROM validate_sync_job_type('Copy');

-- ---- A mistake is told when it is written ----

UPDATE sync_job_type SET field_map = '{"v": "w"}';
SELECT severity, object, field, message FROM validate_sync_job_type('Copy');
UPDATE sync_job_type SET priority = 1;
UPDATE sync_job_type SET source_condition = 'source.w', field_map = '{"v": "v"}';
UPDATE sync_job_type SET source_condition = NULL;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Keyless', 'crm.keyless', 'crm.target', '{"id": "id"}', '{"v": "v"}');
-- Not in a restore, nor about code, which may come later.
SET check_function_bodies = off;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Restored', 'crm.source', 'crm.target', '{"id": "id"}', '{"v": "w"}');
RESET check_function_bodies;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Code', 'crm.source', 'crm.target');

DROP EXTENSION pg_sync_job CASCADE;
DROP OWNED BY definition_manager, definition_other;
DROP ROLE definition_manager, definition_other;
