-- ---------------------------------------------------------------------------------------------------------------------
-- Rights: PUBLIC gets only what checks the caller itself
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE sync_job_internal.access (
    role  regrole NOT NULL,
    level text NOT NULL CHECK (level IN ('manager', 'operator', 'viewer')),
    PRIMARY KEY (role, level)
);
COMMENT ON TABLE sync_job_internal.access IS 'who has which level in this database: see grant_sync_job_access()';
COMMENT ON COLUMN sync_job_internal.access.role IS 'the role';
COMMENT ON COLUMN sync_job_internal.access.level IS 'manager, operator or viewer';
CREATE TABLE sync_job_internal.type_grant (
    sync_job_type text COLLATE "C" NOT NULL,
    role          regrole NOT NULL,
    PRIMARY KEY (sync_job_type, role)
);
COMMENT ON TABLE sync_job_internal.type_grant IS 'who may enqueue jobs of a type without being able to become its role: see grant_sync_job_type()';
COMMENT ON COLUMN sync_job_internal.type_grant.sync_job_type IS 'the job type';
COMMENT ON COLUMN sync_job_internal.type_grant.role IS 'the role that may enqueue its jobs';
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.access',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role)');
SELECT pg_catalog.pg_extension_config_dump('sync_job_internal.type_grant',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role)');

-- The caches of the types include their grants.
CREATE FUNCTION sync_job_internal.types_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_types_changed';
COMMENT ON FUNCTION sync_job_internal.types_changed() IS 'trigger of type_grant: tells every session';
CREATE TRIGGER types_changed AFTER INSERT OR UPDATE OR DELETE ON sync_job_internal.type_grant
    FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.types_changed();
ALTER TABLE sync_job_internal.type_grant ENABLE ALWAYS TRIGGER types_changed;

-- For policies; they tell callers only about themselves.
CREATE FUNCTION sync_job_internal.has_level(VARIADIC levels text[]) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_has_level';
COMMENT ON FUNCTION sync_job_internal.has_level(text[]) IS 'the current role, or one it is a member of, has one of the levels; a superuser has all';

CREATE FUNCTION sync_job_internal.may_read(owner regrole, run_as regrole, target regclass) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sync_job_may_read';
COMMENT ON FUNCTION sync_job_internal.may_read(regrole, regrole, regclass) IS 'the current role has the rights of a job''s owner, and may read its target (or source); if that is unknown, is gone, or has policies, the role must also have the rights of run_as';

CREATE FUNCTION @extschema@.grant_sync_job_access(role regrole, level text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_grant_access';
COMMENT ON FUNCTION @extschema@.grant_sync_job_access(regrole, text) IS 'gives a role a level in this database: manager (makes job types), operator (starts, retries, cancels, pauses any job), viewer (sees any job); superusers only';
CREATE FUNCTION @extschema@.revoke_sync_job_access(role regrole, level text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revoke_access';
COMMENT ON FUNCTION @extschema@.revoke_sync_job_access(regrole, text) IS 'takes a level away again';
CREATE FUNCTION @extschema@.grant_sync_job_type(name text, role regrole) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_grant_type';
COMMENT ON FUNCTION @extschema@.grant_sync_job_type(text, regrole) IS 'lets a role enqueue jobs of the type, for documents of the type''s own source; for roles that may change the type';
CREATE FUNCTION @extschema@.revoke_sync_job_type(name text, role regrole) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_revoke_type';
COMMENT ON FUNCTION @extschema@.revoke_sync_job_type(text, regrole) IS 'takes the right to enqueue away again';

REVOKE ALL ON SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA sync_job_internal FROM PUBLIC;
-- pg_dump reads them whatever it dumps, also for a database owner who is not a superuser.
GRANT SELECT ON SEQUENCE sync_job_internal.sync_job_id_seq, @extschema@.sync_job_deleted_document_id_seq,
    @extschema@.sync_job_event_id_seq TO PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA sync_job_internal FROM PUBLIC;
-- The functions that views call check themselves what they show to whom.
GRANT EXECUTE ON FUNCTION sync_job_internal.activity(), sync_job_internal.trouble_of_queue(text), sync_job_internal.find_trouble_of_queue(text),
    sync_job_internal.waiting_elsewhere(), sync_job_internal.in_the_way(), sync_job_internal.find_in_the_way(),
    sync_job_internal.preloaded(), sync_job_internal.has_level(text[]), sync_job_internal.may_read(regrole, regrole, regclass), sync_job_internal.next_cron_time(text, timestamptz) TO PUBLIC;
-- These have the rights of the caller.
GRANT EXECUTE ON FUNCTION sync_job_internal.act_on_jobs(text, bigint[], jsonb, text, boolean), sync_job_internal.write_type(text, jsonb),
    sync_job_internal.connect_node(integer, text), sync_job_internal.disconnect_node(integer, text), sync_job_internal.await_node(integer, text, double precision),
    sync_job_internal.call_node(integer, text), sync_job_internal.read_nodes(text, boolean), sync_job_internal.job_of_node(jsonb),
    sync_job_internal.take_setup(jsonb), sync_job_internal.this_node() TO PUBLIC;
-- A worker, whatever its role, runs its jobs through it; it accepts only the job that this worker has just started.
GRANT USAGE ON SCHEMA sync_job_internal TO PUBLIC;
GRANT EXECUTE ON PROCEDURE sync_job_internal.run_committing_job(bigint) TO PUBLIC;

-- A role sees the jobs that belong to it as long as it may read the documents they write (snapshots, diffs and errors are such
-- data). While no target is known, it sees jobs without such data. Errors and messages may quote the source, which then has to
-- be readable, too. Operators and viewers see all.
ALTER TABLE @extschema@.sync_job ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job FOR SELECT
    USING ((SELECT sync_job_internal.has_level('operator', 'viewer'))
           OR ((sync_job_internal.may_read(owner, run_as, target_document_type)
                OR (target_document_type IS NULL AND error_message IS NULL AND current_data IS NULL AND updated_data IS NULL
                    AND multiple_target_documents IS NULL AND pg_catalog.pg_has_role(owner, 'USAGE')))
               AND (source_document_type IS NULL OR (error_message IS NULL AND messages IS NULL AND coalesce(operation, '') OPERATOR(pg_catalog.<>) 'Compare')
                    OR sync_job_internal.may_read(owner, run_as, source_document_type))));
GRANT SELECT ON @extschema@.sync_job TO PUBLIC;

ALTER TABLE @extschema@.sync_job_error ENABLE ROW LEVEL SECURITY;
CREATE POLICY job ON @extschema@.sync_job_error FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job
                   AND (((j.target_document_type IS NOT NULL OR pg_catalog.pg_has_role(j.run_as, 'USAGE'))
                         AND (j.source_document_type IS NULL
                              OR sync_job_internal.may_read(j.owner, j.run_as, j.source_document_type)))
                        OR (SELECT sync_job_internal.has_level('operator', 'viewer')))));
GRANT SELECT ON @extschema@.sync_job_error TO PUBLIC;

-- What a set did to documents is target data, as in the row of a job.
ALTER TABLE @extschema@.sync_job_document ENABLE ROW LEVEL SECURITY;
CREATE POLICY job ON @extschema@.sync_job_document FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job
                   AND (j.target_document_type IS NOT NULL OR pg_catalog.pg_has_role(j.run_as, 'USAGE')
                        OR (SELECT sync_job_internal.has_level('operator', 'viewer')))));
GRANT SELECT ON @extschema@.sync_job_document, @extschema@.sync_job_document_history TO PUBLIC;

-- The trigger decides who may change types; roles that may become their run_as, and all levels, see them.
ALTER TABLE @extschema@.sync_job_type ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job_type FOR SELECT
    USING (pg_catalog.pg_has_role(run_as, 'MEMBER')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
CREATE POLICY make ON @extschema@.sync_job_type FOR INSERT WITH CHECK (true);
CREATE POLICY change ON @extschema@.sync_job_type FOR UPDATE USING (true);
CREATE POLICY remove ON @extschema@.sync_job_type FOR DELETE USING (true);
-- INSERT for everybody, so that the trigger says what is missing. UPDATE and DELETE include the right to LOCK TABLE, and so
-- to stop all jobs: grant_sync_job_access() gives them to managers.
GRANT SELECT, INSERT ON @extschema@.sync_job_type TO PUBLIC;

-- Whoever holds a grant, or sees the type, sees the grant.
ALTER TABLE sync_job_internal.type_grant ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON sync_job_internal.type_grant FOR SELECT
    USING (pg_catalog.pg_has_role(role, 'MEMBER')
           OR EXISTS (SELECT FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) sync_job_type));
GRANT SELECT ON sync_job_internal.type_grant TO PUBLIC;

-- Whoever saw the type sees its history.
ALTER TABLE @extschema@.sync_job_type_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job_type_change FOR SELECT
    USING (pg_catalog.pg_has_role(run_as, 'MEMBER')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
GRANT SELECT ON @extschema@.sync_job_type_change TO PUBLIC;

-- Whoever sees the type sees what is wrong with it.
ALTER TABLE @extschema@.sync_job_setup_error ENABLE ROW LEVEL SECURITY;
CREATE POLICY type ON @extschema@.sync_job_setup_error FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) sync_job_type));
GRANT SELECT ON @extschema@.sync_job_setup_error TO PUBLIC;

-- Whoever sees the type sees when it succeeded.
ALTER TABLE sync_job_internal.last_success ENABLE ROW LEVEL SECURITY;
CREATE POLICY type ON sync_job_internal.last_success FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) sync_job_type));
GRANT SELECT ON sync_job_internal.last_success TO PUBLIC;

-- The trigger and the policies say who may write. A lock on the table stops no job: the scheduler does not wait for it.
ALTER TABLE @extschema@.sync_job_alert ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON @extschema@.sync_job_alert FOR SELECT
    USING (pg_catalog.pg_has_role(owner, 'USAGE')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
CREATE POLICY make ON @extschema@.sync_job_alert FOR INSERT WITH CHECK (true);
CREATE POLICY change ON @extschema@.sync_job_alert FOR UPDATE USING ((SELECT sync_job_internal.has_level('operator')));
CREATE POLICY remove ON @extschema@.sync_job_alert FOR DELETE USING ((SELECT sync_job_internal.has_level('operator')));
GRANT SELECT, INSERT, UPDATE, DELETE ON @extschema@.sync_job_alert TO PUBLIC;
GRANT SELECT ON @extschema@.sync_job_freshness TO PUBLIC;

GRANT SELECT ON @extschema@.sync_job_queue TO PUBLIC;
GRANT SELECT ON @extschema@.sync_job_activity, @extschema@.sync_job_stats, @extschema@.sync_job_queue_status, @extschema@.sync_job_relay,
    @extschema@.sync_job_recent, @extschema@.sync_job_event, @extschema@.sync_job_schedules TO PUBLIC;

-- Closed even to roles with rights on all tables of the schema.
ALTER TABLE @extschema@.sync_job_deleted_document ENABLE ROW LEVEL SECURITY;
ALTER TABLE @extschema@.sync_job_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON @extschema@.sync_job_event FOR SELECT USING (true);

ALTER TABLE @extschema@.sync_job_schedule ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON @extschema@.sync_job_schedule FOR SELECT
    USING (pg_catalog.pg_has_role(owner, 'USAGE')
           OR (SELECT sync_job_internal.has_level('manager', 'operator', 'viewer')));
GRANT SELECT ON @extschema@.sync_job_schedule TO PUBLIC;
REVOKE EXECUTE ON FUNCTION @extschema@.set_sync_job_node(integer), @extschema@.adopt_sync_jobs(), @extschema@.clear_all_sync_jobs(),
    @extschema@.clear_old_sync_jobs(integer, integer), @extschema@.delete_sync_job(bigint), @extschema@.enable_sync_job_schedules(),
    @extschema@.disable_sync_job_schedules() FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE @extschema@.clear_sync_job_logs(integer) FROM PUBLIC;
