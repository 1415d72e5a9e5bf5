-- ---------------------------------------------------------------------------------------------------------------------
-- Triggers on source tables
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.sync_job_trigger() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_job_change_trigger';
COMMENT ON FUNCTION @extschema@.sync_job_trigger() IS 'AFTER INSERT OR UPDATE OR DELETE … FOR EACH ROW EXECUTE FUNCTION sync_job_trigger(''Job Type'' [, ''keep_deleted=false'']): enqueues a job for each changed row';

