-- What becomes of job types: who changed what, and a script that makes one again.
SELECT format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()) \gexec
CREATE EXTENSION pg_sync_job;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE SCHEMA crm;
CREATE TABLE crm.source (id int PRIMARY KEY, v text, "a ""b" int);
CREATE TABLE crm.target (id int PRIMARY KEY, v text);
CREATE ROLE history_manager LOGIN; CREATE ROLE history_owner LOGIN; CREATE ROLE history_clerk; CREATE ROLE history_viewer;
GRANT history_owner TO history_manager;
GRANT USAGE ON SCHEMA crm TO history_manager, history_owner;
SELECT grant_sync_job_access('history_manager', 'manager'), grant_sync_job_access('history_viewer', 'viewer');
-- Some of the columns, so that a new one does not change what this prints.
CREATE FUNCTION told(columns jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_object_agg(key, value) FROM jsonb_each(columns)
    WHERE key IN ('name', 'source_document_type', 'field_map', 'timeout', 'run_as', 'paused', 'priority') OR key LIKE '%ed_at' $$;
CREATE VIEW history AS SELECT sync_job_type, operation, changed_by, run_as, told(old) AS old, told(new) AS new FROM sync_job_type_change ORDER BY changed_at;

-- ---- The history ----

SET SESSION AUTHORIZATION history_manager;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as)
VALUES ('Copy', 'crm.source', 'crm.target', '{"id": "id"}', '{"v": "v"}', 'history_owner');
-- Nothing comes of these three.
INSERT INTO sync_job_type (name, run_as) VALUES ('Copy', 'history_owner') ON CONFLICT (name) DO NOTHING;
UPDATE sync_job_type SET priority = 0 WHERE name = 'Copy';
UPDATE sync_job_type SET priority = 'x';
UPDATE sync_job_type SET field_map = '{"v": {"expr": "upper(source.v)"}}', timeout = '90 s', run_as = 'history_manager';
RESET SESSION AUTHORIZATION;
-- A function that changes the type as the owner of the tables: it was the caller.
SET SESSION AUTHORIZATION history_manager;
SELECT pause_sync_job_type('Copy');
RESET SESSION AUTHORIZATION;
SET ROLE history_manager;
UPDATE sync_job_type SET name = 'Better', timeout = NULL, paused = false, run_as = 'history_owner';
DELETE FROM sync_job_type WHERE name = 'Better';
RESET ROLE;
\x on
TABLE history;
\x off
SELECT count(*) FROM sync_job_type_change WHERE changed_at BETWEEN now() - interval '1 hour' AND clock_timestamp();
-- Seen as the types are: by their roles, and the levels.
SET ROLE history_owner; SELECT count(*) FROM sync_job_type_change; RESET ROLE;
SET ROLE history_clerk; SELECT count(*) FROM sync_job_type_change; RESET ROLE;
SET ROLE history_viewer; SELECT count(*) FROM sync_job_type_change; RESET ROLE;
SET ROLE history_manager;
DELETE FROM sync_job_type_change;
INSERT INTO sync_job_type_change TABLE sync_job_type_change;
RESET ROLE;

-- Old changes go with the jobs of their time, but for the newest hundred of each type that is there.
INSERT INTO sync_job_type (name, run_as) VALUES ('Often', 'history_owner');
DO $$ BEGIN FOR i IN 1..110 LOOP UPDATE sync_job_type SET priority = i WHERE name = 'Often'; END LOOP; END $$;
UPDATE sync_job_type_change SET changed_at = changed_at - interval '40 days';
SELECT clear_old_sync_jobs();
SELECT sync_job_type, count(*), min((new->>'priority')::int) FROM sync_job_type_change GROUP BY 1;
DELETE FROM sync_job_type;
SELECT clear_old_sync_jobs(), (SELECT count(*) FROM sync_job_type_change WHERE operation <> 'Delete') AS old;

-- ---- export_sync_job_type ----

INSERT INTO sync_job_queue (name, max_workers, timeout) VALUES ('night''s', 1, '2 hours');
GRANT ALL ON crm.source, crm.target TO history_owner;
CREATE ROLE "history odd 'role";
INSERT INTO sync_job_type (name, source_document_type, target_document_type, target_key, match, field_map, queue, priority, timeout,
    retry_backoff, concurrency_limit, batchable, run_as, description, set_size, source_condition, on_delete, ignore_synced, update_enabled)
VALUES (E'Odd ''n\nnew', 'crm.source', 'crm.target', '{id}', '{"id": "id"}', '{"v": {"expr": "source.v || ''\\d''"}}', 'night''s', -3,
    '90 s', 'exponential', 2, false, 'history_owner', E'$$ it''s \\ odd', 10, 'source."a ""b" > 0', '{"v": null}', true, false);
SELECT grant_sync_job_type(E'Odd ''n\nnew', 'history_clerk'), grant_sync_job_type(E'Odd ''n\nnew', '"history odd ''role"');
SELECT attach_sync_job_triggers(E'Odd ''n\nnew', 'crm.source', level => 'statement', keep_deleted => false);
CREATE TRIGGER "by hand" AFTER UPDATE ON crm.source FOR EACH ROW WHEN (NEW.v IS NOT NULL) EXECUTE FUNCTION sync_job_trigger(E'Odd ''n\nnew');
ALTER TABLE crm.source DISABLE TRIGGER "by hand";
ALTER TABLE crm.source ENABLE ALWAYS TRIGGER "sync_job_odd_'n_new_insert";
CREATE VIEW made AS SELECT
    (SELECT jsonb_agg(to_jsonb(t) - 'created_at' - 'modified_at') FROM sync_job_type AS t) AS types,
    (SELECT jsonb_agg(to_jsonb(g) ORDER BY g.role::text) FROM sync_job_internal.type_grant AS g) AS grants,
    (SELECT jsonb_agg(to_jsonb(q) ORDER BY q.name) FROM sync_job_queue AS q) AS queues,
    (SELECT jsonb_agg(jsonb_build_array(pg_get_triggerdef(oid), tgenabled) ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'crm.source'::regclass) AS triggers;
SELECT export_sync_job_type(E'Odd ''n\nnew') AS script \gset
\echo :script
CREATE TABLE before AS TABLE made;
SELECT format('DROP TRIGGER %I ON crm.source', tgname) FROM pg_trigger WHERE tgrelid = 'crm.source'::regclass \gexec
DELETE FROM sync_job_type;
DELETE FROM sync_job_queue WHERE name = 'night''s';
TABLE made \gset none_
\echo :none_types :none_grants :none_triggers
:script
SHOW search_path;
SELECT made IS NOT DISTINCT FROM before AS same FROM made, before;
-- Where the type is there, all stays as it was.
DELETE FROM sync_job_type_change;
:script
SELECT made IS NOT DISTINCT FROM before AS same, (SELECT count(*) FROM sync_job_type_change) AS changes FROM made, before;
-- A type with code; one of the standard queues.
INSERT INTO sync_job_type (name, source_document_type) VALUES ('With Code', 'crm.source');
SELECT export_sync_job_type('With Code');
-- Who sees the row of the type, and nobody else.
SET ROLE history_viewer; SELECT export_sync_job_type('With Code') IS NOT NULL AS seen; RESET ROLE;
SET ROLE history_owner; SELECT export_sync_job_type(E'Odd ''n\nnew') = :'script' AS seen; RESET ROLE;
SET ROLE history_clerk;
SELECT export_sync_job_type(E'Odd ''n\nnew');
SELECT export_sync_job_type('Background Job');
SELECT export_sync_job_type('No');
SELECT export_sync_job_type(NULL);
RESET ROLE;

DROP EXTENSION pg_sync_job CASCADE;
DROP OWNED BY history_owner, history_manager, history_clerk, history_viewer;
DROP ROLE history_manager, history_owner, history_clerk, history_viewer, "history odd 'role";
