-- ---------------------------------------------------------------------------------------------------------------------
-- Triggers on source tables
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.sync_job_trigger() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_change_trigger';
COMMENT ON FUNCTION @extschema@.sync_job_trigger() IS 'AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW EXECUTE FUNCTION sync_job_trigger(''Job Type'' [, ''keep_deleted=false'']): enqueues a job for each changed row';

CREATE FUNCTION @extschema@.attach_sync_job_triggers(sync_job_type text, source regclass, level text DEFAULT 'row',
        deduplicate boolean DEFAULT true, keep_deleted boolean DEFAULT true, columns text[] DEFAULT NULL, OUT trigger_name text) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_attach_triggers';
COMMENT ON FUNCTION @extschema@.attach_sync_job_triggers(text, regclass, text, boolean, boolean, text[]) IS 'creates the triggers that enqueue jobs of the type for every change of the table; level: row, or statement (one insert of jobs, however many rows); columns: for a type with code, an update enqueues a job only if one of these changed; returns their names; for the owner of the table';
CREATE FUNCTION @extschema@.detach_sync_job_triggers(sync_job_type text, source regclass, OUT trigger_name text) RETURNS SETOF text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_detach_triggers';
COMMENT ON FUNCTION @extschema@.detach_sync_job_triggers(text, regclass) IS 'drops all triggers on the table that enqueue jobs of the type; returns their names';

