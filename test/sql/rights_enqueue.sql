-- Who may enqueue what: roles that may become run_as, with every argument; roles a type was granted to, with some.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET paused = true; -- what runs is run by hand
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_member LOGIN IN ROLE regress_app;
CREATE ROLE regress_clerks;
CREATE ROLE regress_clerk LOGIN IN ROLE regress_clerks;
CREATE ROLE regress_owner LOGIN; -- of the source
CREATE ROLE regress_writer LOGIN;
CREATE ROLE regress_mallory LOGIN;
CREATE ROLE regress_operator LOGIN;
SELECT grant_sync_job_access('regress_app', 'manager');
SELECT grant_sync_job_access('regress_operator', 'operator');
CREATE SCHEMA app AUTHORIZATION regress_app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE SCHEMA app_sync AUTHORIZATION regress_app;
CREATE SCHEMA any_sync AUTHORIZATION regress_app;
CREATE SCHEMA app_closed AUTHORIZATION regress_app;
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;
CREATE TABLE app.source (id integer PRIMARY KEY, v text);
ALTER TABLE app.source OWNER TO regress_owner;
GRANT SELECT ON app.source TO regress_app;
GRANT INSERT ON app.source TO regress_writer;

\c - regress_app
CREATE TABLE app.target (id integer PRIMARY KEY, v text);
CREATE TABLE app.other (id integer PRIMARY KEY, v text);
CREATE FUNCTION app_sync.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target(CASE WHEN t.id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.id::text)
    FROM (SELECT 1) AS one LEFT JOIN app.target AS t ON t.id = (source_doc ->> 'id')::integer
$$;
CREATE FUNCTION app_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF sync_job #>> '{context,fail}' IS NOT NULL THEN
        RAISE EXCEPTION 'as asked';
    END IF;
    RETURN source_doc;
END $$;
CREATE FUNCTION any_sync.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES
    ('App Sync', 'app.source', 'app.target', 'app_sync'),
    ('Ungranted', 'app.source', 'app.target', 'app_sync');
INSERT INTO sync_job_type (name, module, run_as) VALUES ('Open', 'any_sync', 'regress_app');
SELECT grant_sync_job_type('App Sync', 'regress_clerks'), grant_sync_job_type('Open', 'regress_clerks');

-- Grants are given and taken by whoever may change the type.
\c - regress_clerk
SELECT grant_sync_job_type('App Sync', 'regress_mallory');
SELECT revoke_sync_job_type('App Sync', 'regress_clerks');
\c - regress_operator
SELECT grant_sync_job_type('App Sync', 'regress_operator');
\c - regress_member
SELECT grant_sync_job_type('App Sync', 'regress_member'); -- manager and owner by membership
SELECT revoke_sync_job_type('App Sync', 'regress_member');
\c - postgres
SELECT revoke_sync_job_access('regress_app', 'manager');
\c - regress_member
SELECT grant_sync_job_type('App Sync', 'regress_mallory'); -- may become the role, and is no manager now
\c - postgres
SELECT grant_sync_job_access('regress_app', 'manager');
\c - regress_member

-- Whoever may become the role gives every argument.
SELECT enqueue_sync_job('App Sync', '1', '{"a": 1}', operation => 'Update', source_document_type => 'app.source',
    target_document_type => 'app.target', target_document_name => '1', queue => 'long', priority => -5, timeout => '1 hour',
    retry_delay => '1 s', max_retries => 9, scheduled_at => '2100-01-01', trigger_type => 'API',
    triggered_by_document_type => 'app.other', triggered_by_document_name => '5', queue_on_insert => false, dry_run => true,
    insert_enabled => false, update_enabled => false, delete_enabled => false, update_without_changes_enabled => true,
    verbose_logging => true, job_id => 'x', deduplicate => true) AS job \gset
SELECT enqueue_sync_job('App Sync', '1', parent_sync_job => :job) IS NOT NULL AS parent;
-- Where the type fixes a document type, another one is an error for everyone.
SELECT enqueue_sync_job('App Sync', '1', source_document_type => 'app.other');
SELECT enqueue_sync_job('App Sync', '1', target_document_type => 'app.other');
\c - postgres
SELECT enqueue_sync_job('App Sync', '1', target_document_type => 'app.other');

-- Who has neither right gives none.
\c - regress_mallory
SELECT enqueue_sync_job('App Sync', '1');
SELECT enqueue_sync_job('{"sync_job_type": "App Sync", "source_document_name": "1"}'::jsonb);
SELECT enqueue_sync_jobs('App Sync', ARRAY['1', '2']);
SELECT enqueue_sync_job('App Sync', 1);
\c - regress_clerk
SELECT enqueue_sync_job('Ungranted', '1');

-- A grantee gives a source document, context, flags, dry_run, scheduled_at, job_id.
SELECT enqueue_sync_job('App Sync', '1', '{"a": 1}', source_document_type => 'app.source', scheduled_at => '2100-01-01',
    trigger_type => 'API', queue_on_insert => false, dry_run => true, insert_enabled => false, update_enabled => false,
    delete_enabled => false, update_without_changes_enabled => true, job_id => 'y') AS pending \gset
SELECT enqueue_sync_job('App Sync', '1', job_id => 'z', deduplicate => true, scheduled_at => '2100-01-01') IS NOT NULL AS ok;
SELECT enqueue_sync_jobs('App Sync', ARRAY['1', '2'], scheduled_at => '2100-01-01');
-- The shape of what a grantee asks for is as the type says.
SELECT run_as, owner, enqueued_by, queue, priority, timeout, max_retries, verbose_logging FROM sync_job WHERE id = :pending;
\c - postgres
SELECT run_as, owner, enqueued_by, queue, priority, timeout, max_retries, verbose_logging FROM sync_job WHERE id = :pending;
\c - regress_clerk
-- And nothing else: each by itself.
SELECT enqueue_sync_job('App Sync', '1', operation => 'Delete');
SELECT enqueue_sync_job('App Sync', '1', target_document_type => 'app.target');
SELECT enqueue_sync_job('App Sync', '1', target_document_name => '2');
SELECT enqueue_sync_job('App Sync', '1', target_doc => ROW(2, 'x'));
SELECT enqueue_sync_job('App Sync', '1', parent_sync_job => 1);
SELECT enqueue_sync_job('App Sync', '1', queue => 'long');
SELECT enqueue_sync_job('App Sync', '1', queue => 'default'); -- not even what the type says
SELECT enqueue_sync_job('App Sync', '1', priority => -1);
SELECT enqueue_sync_job('App Sync', '1', timeout => '1 day');
SELECT enqueue_sync_job('App Sync', '1', retry_delay => '0');
SELECT enqueue_sync_job('App Sync', '1', max_retries => 1000);
SELECT enqueue_sync_job('App Sync', '1', verbose_logging => true);
SELECT enqueue_sync_job('App Sync', '1', triggered_by_document_type => 'app.other'); -- a controller may read that one
SELECT enqueue_sync_job('App Sync', '1', triggered_by_document_name => '1');
SELECT enqueue_sync_job('App Sync', '1', source_document_type => 'app.target');
SELECT enqueue_sync_job('Open', '1', source_document_type => 'pg_catalog.pg_authid');
SELECT enqueue_sync_job('Open', source_document_type => 'app.target');
SELECT enqueue_sync_job('{"sync_job_type": "App Sync", "source_document_name": "1", "priority": -1}'::jsonb);
SELECT enqueue_sync_job('{"sync_job_type": "App Sync", "run_as": "postgres"}'::jsonb);
SELECT enqueue_sync_job('{"sync_job_type": "App Sync", "owner": "postgres"}'::jsonb);
SELECT enqueue_sync_job('{"sync_job_type": "Background Job", "procedure": "pg_reload_conf"}'::jsonb);
SELECT enqueue_sync_job('Background Job');
SELECT enqueue_sync_jobs('App Sync', ARRAY['1'], max_retries => 5);

-- Taken away, it is gone; in a session that has it cached, too.
\c - regress_app
SELECT revoke_sync_job_type('App Sync', 'regress_clerks');
\c - regress_clerk
SELECT enqueue_sync_job('App Sync', '1');
SELECT start_sync_job(:pending); -- the right is asked for again
\c - regress_app
SELECT grant_sync_job_type('App Sync', 'regress_clerks');
\c - regress_clerk
SELECT status, run_as FROM start_sync_job(:pending);

-- A trigger asks for the right of the table's owner; the job is his, whoever writes.
\c - regress_owner
SELECT attach_sync_job_triggers('App Sync', 'app.source', deduplicate => false);
\c - regress_writer
INSERT INTO app.source VALUES (1, 'one'); -- regress_owner may not enqueue
\c - regress_app
SELECT grant_sync_job_type('App Sync', 'regress_owner');
\c - regress_writer
INSERT INTO app.source VALUES (1, 'one'), (2, 'two'); -- no right of his own is needed
SELECT count(*) FROM sync_job; -- nor given
\c - postgres
SELECT source_document_name, run_as, owner, enqueued_by, trigger_type FROM sync_job WHERE trigger_type = 'Document Hook' ORDER BY id;
-- By hand the trigger function does nothing.
\c - regress_mallory
SELECT sync_job_trigger();
CREATE TABLE mallory.mine (id integer PRIMARY KEY);
CREATE TRIGGER t AFTER INSERT ON mallory.mine FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('App Sync');
INSERT INTO mallory.mine VALUES (1);
CREATE TRIGGER u AFTER INSERT ON mallory.mine FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Open');
DROP TRIGGER t ON mallory.mine;
INSERT INTO mallory.mine VALUES (1);
SELECT attach_sync_job_triggers('App Sync', 'app.source');
SELECT detach_sync_job_triggers('App Sync', 'app.source');
-- On a view it would take the place of the write.
\c - regress_app
CREATE VIEW app.seen AS SELECT * FROM app.other;
INSERT INTO sync_job_type (name, source_document_type, source_key, module) VALUES ('View Sync', 'app.seen', '{id}', 'any_sync');
CREATE TRIGGER t INSTEAD OF INSERT ON app.seen FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('View Sync');
INSERT INTO app.seen VALUES (1, 'x');

-- Start, retry, cancel: the owner while he may still enqueue it; whoever may become the role; operators.
\c - regress_clerk
SELECT enqueue_sync_job('App Sync', '1', '{"fail": true}', queue_on_insert => false) AS job \gset
\c - regress_mallory
SELECT start_sync_job(:job);
SELECT start_sync_job(ARRAY[:job]);
SELECT retry_sync_job(:job);
SELECT cancel_sync_job(:job);
SELECT cancel_sync_job(ARRAY[:job]);
SELECT cancel_sync_job(:job, running => true);
SELECT execute_sync_job(:job);
SELECT status FROM get_sync_job_status(:job);
CALL wait_for_sync_job(:job, '0');
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', after => ARRAY[:job]);
SELECT apply_sync_job(:job);
SELECT revert_sync_job(:job);
\c - regress_clerk
SELECT execute_sync_job(:job); -- his, but not with his rights
\c - regress_member
SELECT execute_sync_job(:job); -- not by who could become the role …
SET ROLE regress_app;
SELECT execute_sync_job(:job); -- … nor by who has, in a session of his own
CALL run_sync_jobs();
\c - postgres
SELECT execute_sync_job(:job); -- nor by a superuser, whose session would run it
CALL execute_sync_job(:job, NULL);
\c - regress_app
SELECT status, owner, run_as FROM execute_sync_job(:job);
\c - regress_operator
SELECT status, retry_count FROM retry_sync_job(:job);
\c - regress_app
SELECT status FROM execute_sync_job(:job);
\c - regress_operator
SELECT status FROM retry_sync_job(:job, '{"fail": "another way"}'); -- what the code gets is not an operator's to say
\c - regress_clerk
SELECT status, context FROM retry_sync_job(:job, '{}');
SELECT status, cancel_reason FROM cancel_sync_job(:job, 'not needed');
-- An operator may ask how a document, or all of them, would change, and apply it; he says nothing that the code gets.
\c - regress_operator
SELECT status, owner, run_as, dry_run FROM start_sync_job(enqueue_sync_job('Ungranted', '1', dry_run => true, queue_on_insert => false));
SELECT status, owner, run_as, dry_run
FROM start_sync_job(enqueue_sync_job('{"sync_job_type": "Ungranted", "source_document_name": "2", "dry_run": true, "job_id": "look", "queue_on_insert": false}'::jsonb));
SELECT enqueue_compare('Ungranted') IS NOT NULL AS compares;
SELECT enqueue_sync_job('Ungranted', '1');
SELECT enqueue_sync_job('Ungranted', '1', dry_run => false);
SELECT enqueue_sync_job('Ungranted', '1', '{"fail": "now"}', dry_run => true);
SELECT enqueue_sync_job('Ungranted', '1', dry_run => true, operation => 'Delete');
SELECT enqueue_sync_job('Ungranted', '1', dry_run => true, target_document_name => '7');
SELECT enqueue_sync_job('Ungranted', '1', dry_run => true, source_document_type => 'app.other');
SELECT enqueue_sync_job('Ungranted', '1', dry_run => true, verbose_logging => true);
SELECT enqueue_sync_job('Ungranted', '1', dry_run => true, update_without_changes_enabled => true);
SELECT enqueue_sync_job('Open', '1', dry_run => true);
SELECT enqueue_sync_jobs('Ungranted', '{1,2}', dry_run => true);
SELECT enqueue_compare('Ungranted', condition => 'source.id = 1');
SELECT enqueue_full_sync('Ungranted', dry_run => true);
\c - regress_mallory
SELECT enqueue_sync_job('Ungranted', '1', dry_run => true); -- is no operator
SELECT enqueue_compare('Ungranted');
\c - regress_member
SELECT count(cancel_sync_job(id)) FROM sync_job WHERE sync_job_type = 'Ungranted' AND status IN ('Pending', 'Queued');
-- What he could not ask for himself he does not start or retry either, when it was asked for by a right he has lost.
\c - postgres
GRANT regress_app TO regress_clerk;
\c - regress_clerk
SELECT enqueue_sync_job('App Sync', '1', operation => 'Insert', target_document_name => '7', queue_on_insert => false) AS job \gset
SELECT enqueue_sync_job('Open', '1', source_document_type => 'app.target', queue_on_insert => false) AS open \gset
\c - postgres
REVOKE regress_app FROM regress_clerk;
\c - regress_clerk
SELECT start_sync_job(:job);
SELECT start_sync_job(:open);
SELECT status FROM cancel_sync_job(:job);

-- parent_sync_job: not of another's job, which could then not be canceled without this one.
\c - regress_mallory
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', scheduled_at => '2100-01-01') AS mine \gset
\c - regress_app
SELECT enqueue_sync_job('App Sync', '1', parent_sync_job => :mine);
SELECT enqueue_sync_job('App Sync', '1', parent_sync_job => 4711);

-- job_id: deduplication never joins another's job, nor one that runs as another.
\c - regress_clerk
SELECT enqueue_sync_job('App Sync', '1', job_id => 'shared', deduplicate => true, scheduled_at => '2100-01-01') AS theirs \gset
\c - regress_member
SELECT enqueue_sync_job('App Sync', '1', job_id => 'shared', deduplicate => true, scheduled_at => '2100-01-01') > :theirs AS another;
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', job_id => 'shared', deduplicate => true, scheduled_at => '2100-01-01') > :theirs AS another;
\c - regress_mallory
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', job_id => 'shared', deduplicate => true, scheduled_at => '2100-01-01') > :theirs AS another;
SELECT id FROM get_sync_job_status('shared') WHERE id = :theirs;

-- Background work has the rights of who asks for it, and runs nothing that he may not.
\c - regress_app
CREATE FUNCTION app.secret(n integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$;
CREATE FUNCTION app.secret_callback(sync_job bigint) RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$;
REVOKE EXECUTE ON FUNCTION app.secret, app.secret_callback FROM PUBLIC;
CREATE FUNCTION app_closed.f() RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$;
\c - regress_mallory
SELECT enqueue_background_job('app.secret');
SELECT enqueue_background_job('app_closed.f');
SELECT enqueue_background_job('pg_catalog.pg_read_file', '{"filename": "postgresql.conf"}');
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', on_success => 'app.secret_callback');
SELECT enqueue_background_job('app.secret', now => true);
SELECT enqueue_background_job('sync_job_internal.wake_launcher');
\c - postgres
GRANT EXECUTE ON FUNCTION app.secret TO regress_mallory;
\c - regress_mallory
SELECT enqueue_background_job('app.secret', scheduled_at => '2100-01-01') AS job \gset
SELECT run_as, owner FROM sync_job WHERE id = :job;
\c - postgres
REVOKE EXECUTE ON FUNCTION app.secret FROM regress_mallory; -- asked for again when it runs
\c - regress_mallory
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:job);
-- A superuser does not run what somebody else may rewrite.
\c - postgres
SELECT enqueue_background_job('app.secret');
SELECT enqueue_background_job('app.secret', now => true);
SELECT enqueue_background_job('pg_catalog.pg_backend_pid', on_failure => 'app.secret_callback');

SET client_min_messages = warning;
DROP SCHEMA app, app_sync, any_sync, app_closed, mallory CASCADE;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_app, regress_member, regress_clerks, regress_clerk, regress_owner, regress_writer, regress_mallory, regress_operator;
DROP ROLE regress_app, regress_member, regress_clerks, regress_clerk, regress_owner, regress_writer, regress_mallory, regress_operator;
