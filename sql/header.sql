\echo Use "CREATE EXTENSION pg_sync_job" to load this file. \quit

-- Helpers, partitions and logs. CREATE SCHEMA fails if somebody has planted one before us.
CREATE SCHEMA sync_job_internal;
COMMENT ON SCHEMA sync_job_internal IS 'pg_sync_job: partitions, logs and helpers; read them through the views and functions of the extension';

