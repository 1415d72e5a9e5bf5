\echo Use "ALTER EXTENSION pg_sync_job UPDATE TO '1.0.0'" to load this file. \quit

-- A server goes on with the library that it has loaded, whatever has been installed meanwhile. That of 0.1.0 does not tell its version.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
    IF pg_catalog.current_setting('sync_job.library_version', true) IS NULL THEN
        RAISE SQLSTATE '55000' USING MESSAGE := 'the library of pg_sync_job 0.1.0 is still loaded',
            HINT := 'Restart the server, then use ALTER EXTENSION pg_sync_job UPDATE.';
    END IF;
END $$;

ALTER TABLE @extschema@.sync_job ADD COLUMN depth integer;
COMMENT ON COLUMN @extschema@.sync_job.depth IS 'so many jobs led to this one, each by a trigger on what the one before wrote; NULL: none did';

ALTER TABLE @extschema@.sync_job_deleted_document ADD COLUMN sync_job_type text, ADD COLUMN is_deletion boolean NOT NULL DEFAULT true;
COMMENT ON TABLE @extschema@.sync_job_deleted_document IS 'Rows as they were when they were deleted, or changed in what they match, kept by the triggers for the jobs that sync this';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.data IS 'the row; columns that were too large are named under the key ""';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_at IS 'when it was deleted, or changed';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.deleted_by IS 'who deleted it, or changed it';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.sync_job_type IS 'the job type whose trigger kept it; NULL: not known, it was kept by version 0.1.0';
COMMENT ON COLUMN @extschema@.sync_job_deleted_document.is_deletion IS 'false: the document was not deleted, but changed in what match reads; or it has been seen alive since';

-- Called by a view, which must be readable with an older library, too: so each is in a function that is not looked into before
-- it is called.
CREATE FUNCTION sync_job_internal.find_types_alone(queue text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_types_alone';
COMMENT ON FUNCTION sync_job_internal.find_types_alone(text) IS 'what types_alone() answers';
CREATE FUNCTION sync_job_internal.types_alone(queue text) RETURNS text
    LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
    AS 'SELECT sync_job_internal.find_types_alone($1)';
COMMENT ON FUNCTION sync_job_internal.types_alone(text) IS 'the job types that workers of the queue run alone, as jobs of theirs took too long for a batch; NULL: none';
REVOKE ALL ON FUNCTION sync_job_internal.types_alone(text), sync_job_internal.find_types_alone(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.types_alone(text), sync_job_internal.find_types_alone(text) TO PUBLIC;

-- The extension's own tables beside publications, and what others have hung on them.
ALTER TABLE sync_job_internal.sync_job_live REPLICA IDENTITY USING INDEX sync_job_live_id;
ALTER TABLE sync_job_internal.sync_job_failed REPLICA IDENTITY USING INDEX sync_job_failed_id;
ALTER TABLE sync_job_internal.sync_job_ended REPLICA IDENTITY USING INDEX sync_job_ended_id;
ALTER TABLE sync_job_internal.home REPLICA IDENTITY FULL;

CREATE FUNCTION sync_job_internal.find_in_the_way() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_in_the_way';
COMMENT ON FUNCTION sync_job_internal.find_in_the_way() IS 'what in_the_way() answers';
CREATE FUNCTION sync_job_internal.in_the_way() RETURNS text
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
    AS 'SELECT sync_job_internal.find_in_the_way()';
COMMENT ON FUNCTION sync_job_internal.in_the_way() IS 'what somebody has hung on the extension''s tables that keeps jobs from being written, or types from being trusted; NULL: nothing';
REVOKE ALL ON FUNCTION sync_job_internal.in_the_way(), sync_job_internal.find_in_the_way() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_job_internal.in_the_way(), sync_job_internal.find_in_the_way() TO PUBLIC;

CREATE OR REPLACE VIEW @extschema@.sync_job_queue_status WITH (security_invoker = true) AS
    SELECT q.name AS queue, q.paused, q.max_workers,
        coalesce(w.workers, 0) AS workers, coalesce(w.running, 0) AS running,
        coalesce(j.waiting, 0) AS waiting, coalesce(j.scheduled, 0) AS scheduled, j.oldest_waiting,
        CASE WHEN NOT sync_job_internal.preloaded() THEN 'pg_sync_job is not preloaded'
             WHEN pg_catalog.string_to_array(v.library, '.')::pg_catalog.int4[] OPERATOR(pg_catalog.>) pg_catalog.string_to_array(v.extension, '.')::pg_catalog.int4[]
                 THEN 'waits for ALTER EXTENSION pg_sync_job UPDATE'
             WHEN coalesce(v.library, '') OPERATOR(pg_catalog.<>) v.extension THEN 'waits for a restart with the library of this version'
             WHEN sync_job_internal.waiting_elsewhere() THEN 'waits for adopt_sync_jobs()'
             WHEN sync_job_internal.in_the_way() IS NOT NULL THEN sync_job_internal.in_the_way()
             WHEN q.paused THEN 'paused'
             WHEN NOT pg_catalog.current_setting('sync_job.enabled', true)::pg_catalog.bool THEN 'sync_job.enabled is off'
             ELSE 'types that run alone: ' OPERATOR(pg_catalog.||) sync_job_internal.types_alone(q.name) COLLATE pg_catalog."default"
        END AS note
    FROM @extschema@.sync_job_queue AS q
    CROSS JOIN (SELECT e.extversion AS extension, pg_catalog.current_setting('sync_job.library_version', true) AS library
                FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_sync_job') AS v
    LEFT JOIN (SELECT a.queue, pg_catalog.count(*) AS workers, pg_catalog.count(*) FILTER (WHERE a.state OPERATOR(pg_catalog.=) 'running') AS running
               FROM sync_job_internal.activity() AS a GROUP BY a.queue) AS w ON w.queue OPERATOR(pg_catalog.=) q.name
    LEFT JOIN (SELECT s.queue,
                   pg_catalog.count(*) FILTER (WHERE coalesce(s.scheduled_at, s.created_at) OPERATOR(pg_catalog.<=) pg_catalog.now()) AS waiting,
                   pg_catalog.count(*) FILTER (WHERE s.scheduled_at OPERATOR(pg_catalog.>) pg_catalog.now()) AS scheduled,
                   pg_catalog.min(coalesce(s.scheduled_at, s.created_at)) FILTER (WHERE coalesce(s.scheduled_at, s.created_at) OPERATOR(pg_catalog.<=) pg_catalog.now()) AS oldest_waiting
               FROM @extschema@.sync_job AS s WHERE s.status OPERATOR(pg_catalog.=) 'Queued' GROUP BY s.queue) AS j
        ON j.queue OPERATOR(pg_catalog.=) q.name;
COMMENT ON COLUMN @extschema@.sync_job_queue_status.note IS 'why nothing runs, where there is a reason; or which types run alone and slower, as jobs of theirs took too long for a batch';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS a LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
               WHERE n.oid OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                 AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner AND NOT coalesce(r.rolsuper, false)) THEN
        RAISE WARNING USING MESSAGE := 'others than its owner may create objects in schema @extschema@: for jobs of roles that do not trust them it is no longer on the search_path',
            HINT := 'REVOKE CREATE ON SCHEMA @extschema@ from them, and look for what is in it already; or name objects with their schema in controllers. validate_sync_job_type() says which types it is about.';
    END IF;
END $$;

-- From 0.1.0: jobs that come with a dump wait, whatever comes first; dumps without what belongs to dropped roles; errors that
-- quote the source are for who may read it.

-- home has one row, that of this place, and no other. Without one the jobs have no place yet.
CREATE OR REPLACE FUNCTION sync_job_internal.waiting_elsewhere() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(pg_catalog.bool_or(h.system_identifier OPERATOR(pg_catalog.<>) s.system_identifier
                            OR h.database OPERATOR(pg_catalog.<>) (SELECT d.oid FROM pg_catalog.pg_database AS d
                                WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())), true)
          FROM sync_job_internal.home AS h CROSS JOIN pg_catalog.pg_control_system() AS s $$;

-- A restore writes jobs with SQL, which the engine never does. They must not run before somebody has said so; and a parallel
-- restore brings them before, or after, the home they had.
CREATE FUNCTION sync_job_internal.rows_restored() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_rows_restored';
COMMENT ON FUNCTION sync_job_internal.rows_restored() IS 'trigger of sync_job and its partitions: jobs that come with a dump wait for adopt_sync_jobs()';
CREATE TRIGGER rows_restored BEFORE INSERT ON @extschema@.sync_job
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.rows_restored();
CREATE TRIGGER rows_restored BEFORE INSERT ON sync_job_internal.sync_job_live
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.rows_restored();
CREATE TRIGGER rows_restored BEFORE INSERT ON sync_job_internal.sync_job_failed
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.rows_restored();
ALTER TABLE @extschema@.sync_job ENABLE ALWAYS TRIGGER rows_restored;
ALTER TABLE sync_job_internal.sync_job_live ENABLE ALWAYS TRIGGER rows_restored;
ALTER TABLE sync_job_internal.sync_job_failed ENABLE ALWAYS TRIGGER rows_restored;

-- What a dump has. Roles and tables stand in it by name; but one that has been dropped is a number, which another one may have
-- where the dump is restored. So what belongs to a dropped role, or is about a dropped table, is left out.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_queue', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_type',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_live',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))
       AND (triggered_by_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = triggered_by_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_failed',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))
       AND (triggered_by_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = triggered_by_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_ended',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = run_as)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)
       AND (source_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = source_document_type))
       AND (target_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = target_document_type))
       AND (triggered_by_document_type IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = triggered_by_document_type))');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.sync_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_error', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_deleted_document',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = document_type)');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_deleted_document_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.dependency', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_event', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_schedule',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.home', '');
REVOKE ALL ON FUNCTION sync_job_internal.rows_restored() FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.access',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role)');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.type_grant',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role)');

-- pg_dump reads them whatever it dumps, also for the owner of a database who is no superuser.
GRANT SELECT ON SEQUENCE sync_job_internal.sync_job_id_seq, @extschema@.sync_job_deleted_document_id_seq,
    @extschema@.sync_job_event_id_seq TO PUBLIC;

COMMENT ON FUNCTION sync_job_internal.may_read(regrole, regrole, regclass) IS 'the current role has the rights of a job''s owner, and may read its target (or source); where that is not known, is gone, or has policies, it has the rights of run_as, too';
ALTER POLICY owner ON @extschema@.sync_job
    USING ((sync_job_internal.may_read(owner, run_as, target_document_type)
            OR (target_document_type IS NULL AND error_message IS NULL AND current_data IS NULL AND updated_data IS NULL
                AND multiple_target_documents IS NULL AND pg_catalog.pg_has_role(owner, 'USAGE')))
           AND (source_document_type IS NULL OR (error_message IS NULL AND messages IS NULL)
                OR sync_job_internal.may_read(owner, run_as, source_document_type)));
ALTER POLICY job ON @extschema@.sync_job_error
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job
                   AND (((j.target_document_type IS NOT NULL OR pg_catalog.pg_has_role(j.run_as, 'USAGE'))
                         AND (j.source_document_type IS NULL
                              OR sync_job_internal.may_read(j.owner, j.run_as, j.source_document_type)))
                        OR (SELECT sync_job_internal.has_level('operator', 'viewer')))));

-- The caller's own keys are as long as he likes: a hash of them is indexed.
DROP INDEX sync_job_internal.sync_job_live_group;
CREATE INDEX sync_job_live_group ON sync_job_internal.sync_job_live USING hash (job_group) WHERE job_group IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_live_job_id;
CREATE INDEX sync_job_live_job_id ON sync_job_internal.sync_job_live USING hash (job_id) WHERE job_id IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_failed_job_id;
CREATE INDEX sync_job_failed_job_id ON sync_job_internal.sync_job_failed USING hash (job_id) WHERE job_id IS NOT NULL;
DROP INDEX sync_job_internal.sync_job_ended_job_id;
CREATE INDEX sync_job_ended_job_id ON sync_job_internal.sync_job_ended USING hash (job_id) WHERE job_id IS NOT NULL;

-- Names of documents may be longer than an entry of a B-tree.
DROP INDEX sync_job_internal.sync_job_live_source;
CREATE INDEX sync_job_live_source ON sync_job_internal.sync_job_live
    (sync_job_type, pg_catalog.hashtextextended(source_document_name, 0::pg_catalog.int8)) WHERE source_document_name IS NOT NULL;
DROP INDEX @extschema@.sync_job_deleted_document_name;
CREATE INDEX sync_job_deleted_document_name ON @extschema@.sync_job_deleted_document USING spgist (document_name);
DROP INDEX sync_job_internal.sync_job_ended_source;
CREATE INDEX sync_job_ended_source ON sync_job_internal.sync_job_ended USING spgist (source_document_name)
    WHERE source_document_name IS NOT NULL;

-- In ASCII, for databases of any encoding.
COMMENT ON COLUMN @extschema@.sync_job_type.retry_backoff IS 'linear: retry_delay * (retry_count + 1); constant: retry_delay; exponential: retry_delay * 2 ^ retry_count, varied by up to a quarter';
COMMENT ON COLUMN @extschema@.sync_job.diff_summary IS 'what changed: {"field": {"old": ..., "new": ...}}; of inserts and deletes in a dry run or with verbose_logging';
COMMENT ON COLUMN @extschema@.sync_job_error.attempt IS '1 for the first run, 2 for the first retry, ...';
COMMENT ON FUNCTION @extschema@.sync_job_trigger() IS 'AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW EXECUTE FUNCTION sync_job_trigger(''Job Type'' [, ''keep_deleted=false'']): enqueues a job for each changed row';
COMMENT ON FUNCTION @extschema@.publish_sync_job_event(text, jsonb) IS 'NOTIFY on the channel sync_job, delivered at commit: {"event": ..., "message": ...}; a message too long for that is kept in sync_job_event, and the notification has its event_id';
DO $comment$
DECLARE
    function pg_catalog.regprocedure;
BEGIN
    SELECT oid INTO STRICT function FROM pg_catalog.pg_proc
    WHERE proname OPERATOR(pg_catalog.=) 'enqueue_sync_job' AND pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
        AND pg_catalog.strpos(pg_catalog.pg_get_function_arguments(oid), 'anyelement') OPERATOR(pg_catalog.>) 0;
    EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', function,
        'enqueues a job for a document given as a row (or its key as a number, uuid, ...), returns the job''s id: SELECT enqueue_sync_job(''SAP Customer Sync'', c) FROM customer c');
END
$comment$;

SELECT sync_job_internal.wake_launcher();
