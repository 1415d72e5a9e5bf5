-- ---------------------------------------------------------------------------------------------------------------------
-- Monitoring
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION @extschema@.sync_job_metrics(names text[] DEFAULT NULL, OUT name text, OUT type text, OUT help text, OUT labels jsonb, OUT value double precision)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_metrics';
COMMENT ON FUNCTION @extschema@.sync_job_metrics(text[]) IS 'the metrics of this database''s jobs under their Prometheus names, those of one name together; names: only these metrics, and only what they need is read; null: all; for viewers and operators';
CREATE FUNCTION @extschema@.watch_sync_jobs() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_watch';
COMMENT ON FUNCTION @extschema@.watch_sync_jobs() IS 'for the next minute, the scheduler announces on channel sync_job_changed which types and queues have changed; false: it cannot, for example on a standby; for all levels';
