-- ---------------------------------------------------------------------------------------------------------------------
-- Rights: nothing for PUBLIC but what checks for itself
-- ---------------------------------------------------------------------------------------------------------------------

REVOKE ALL ON SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync_job_internal FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA sync_job_internal FROM PUBLIC;

-- A role sees the jobs that belong to it, while it may read the documents they write.
ALTER TABLE @extschema@.sync_job ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON @extschema@.sync_job FOR SELECT
    USING (pg_catalog.pg_has_role(owner, 'USAGE')
           AND (target_document_type IS NULL
                OR pg_catalog.has_table_privilege(target_document_type, 'SELECT') IS NOT FALSE));
GRANT SELECT ON @extschema@.sync_job TO PUBLIC;

ALTER TABLE @extschema@.sync_job_error ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON @extschema@.sync_job_error FOR SELECT
    USING (EXISTS (SELECT FROM @extschema@.sync_job AS j WHERE j.id OPERATOR(pg_catalog.=) sync_job));
GRANT SELECT ON @extschema@.sync_job_error TO PUBLIC;

GRANT SELECT ON @extschema@.sync_job_queue TO PUBLIC;
REVOKE EXECUTE ON FUNCTION @extschema@.adopt_sync_jobs() FROM PUBLIC;
