-- The extension installs, documents itself, and goes without a trace.
CREATE EXTENSION pg_sync_job;
SELECT e.extname, e.extversion, e.extnamespace::regnamespace, obj_description(e.oid, 'pg_extension')
FROM pg_extension AS e WHERE e.extname = 'pg_sync_job';

-- Everything a user meets has a comment: schemas, tables, views, types, functions, procedures, columns.
CREATE VIEW members AS
    SELECT d.classid, d.objid, i.type, i.identity
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
    WHERE e.extname = 'pg_sync_job';

SELECT type, identity FROM members AS m
WHERE type IN ('schema', 'table', 'view', 'composite type', 'function', 'procedure')
    AND obj_description(m.objid, m.classid::regclass::name) IS NULL
ORDER BY type, identity COLLATE "C";

SELECT a.attrelid::regclass AS relation, a.attname AS column
FROM members AS m
JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'f') AND NOT c.relispartition
    AND c.relnamespace <> 'sync_job_internal'::regnamespace
    AND col_description(c.oid, a.attnum) IS NULL
ORDER BY c.relname COLLATE "C", a.attnum;

-- What users touch is in the schema the extension was made in, all else in one of its own.
SELECT i.schema, count(*) > 0 AS has_members
FROM members AS m
CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) AS i
WHERE i.schema IS NOT NULL
GROUP BY i.schema
ORDER BY i.schema COLLATE "C";
DROP VIEW members;

-- The queues that are there from the start.
SELECT name, max_workers, timeout, paused FROM sync_job_queue ORDER BY name;

-- It may be dropped, and made again, also within one transaction, and in another schema.
DROP EXTENSION pg_sync_job;
SELECT nspname FROM pg_namespace WHERE nspname ~ 'sync_job';
SELECT oid::regprocedure FROM pg_proc WHERE proname ~ 'sync_job';
BEGIN;
CREATE EXTENSION pg_sync_job;
DROP EXTENSION pg_sync_job;
CREATE EXTENSION pg_sync_job;
ROLLBACK;
CREATE SCHEMA jobs;
CREATE EXTENSION pg_sync_job SCHEMA jobs;
SELECT count(*) FROM jobs.sync_job;
DROP EXTENSION pg_sync_job;
