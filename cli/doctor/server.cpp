// Checks of the server and its settings: whether jobs can run at all.
#include "doctor/check.hpp"

namespace sync_job {

namespace {

constexpr Check preloaded{"preloaded", R"(
    SELECT 'error' AS severity, NULL AS object, 'pg_sync_job is not preloaded: no worker runs' AS message,
        'Add pg_sync_job to shared_preload_libraries, and restart the server.' AS hint
    WHERE NOT sync_job_internal.preloaded())"};

/// Which of the two is older: the library that the server has loaded, or the version in the catalog.
constexpr Check versions{"versions", R"(
    WITH v AS (
        SELECT e.extversion AS catalog, current_setting('sync_job.library_version', true) AS library, a.default_version AS files
        FROM pg_extension AS e LEFT JOIN pg_available_extensions AS a ON a.name = e.extname WHERE e.extname = 'pg_sync_job')
    SELECT 'error' AS severity, NULL AS object, format('the server has loaded version %s, and the database has %s', v.library, v.catalog) AS message,
        CASE WHEN string_to_array(v.library, '.')::int[] > string_to_array(v.catalog, '.')::int[]
             THEN 'Jobs wait until ALTER EXTENSION pg_sync_job UPDATE.' ELSE 'Restart the server, with the files of that version installed.' END AS hint
    FROM v WHERE v.library <> v.catalog
    UNION ALL
    SELECT 'warning', NULL, format('version %s is installed, and the server has loaded %s', v.files, v.library), 'Restart the server, then ALTER EXTENSION pg_sync_job UPDATE.'
    FROM v WHERE v.files <> v.library AND v.library = v.catalog
    UNION ALL
    SELECT 'warning', NULL, format('this command is of version %s, and the extension of version %s', $4, v.catalog), 'Install the command of the same version: make install-cli.'
    FROM v WHERE v.catalog <> $4 AND v.library = v.catalog)"};

constexpr Check adopted{"adopted", R"(
    SELECT 'error' AS severity, NULL AS object, 'this database was restored or copied, and its jobs wait' AS message,
        'If this is where they are to run: SELECT adopt_sync_jobs().' AS hint
    WHERE sync_job_internal.waiting_elsewhere())"};

constexpr Check enabled{"enabled", R"(
    SELECT 'error' AS severity, 'sync_job.enabled' AS object, 'sync_job.enabled is off: jobs are enqueued, and wait' AS message,
        'Set it to on in postgresql.conf, or ALTER DATABASE … RESET sync_job.enabled.' AS hint
    WHERE NOT current_setting('sync_job.enabled', true)::bool)"};

constexpr Check max_workers{"max_workers", R"(
    SELECT 'error' AS severity, 'sync_job.max_workers' AS object, 'sync_job.max_workers is 0: no worker runs' AS message,
        'Raise it in postgresql.conf, and reload.' AS hint
    WHERE current_setting('sync_job.max_workers', true) = '0'
    UNION ALL
    SELECT 'warning', 'queue ' || q.name, format('max_workers of queue "%s" is 0: its jobs wait', q.name),
        'Raise it: UPDATE sync_job_queue SET max_workers = …'
    FROM @extschema@.sync_job_queue AS q WHERE q.max_workers = 0)"};

/// Other users of background workers are counted as of now; those of parallel queries come and go.
constexpr Check worker_slots{"worker_slots", R"(
    WITH asked AS (
        SELECT current_setting('max_worker_processes')::int AS slots, current_setting('sync_job.max_workers', true)::int AS workers,
            greatest(1, count(*) FILTER (WHERE a.backend_type = 'sync job scheduler')) AS schedulers,
            count(*) FILTER (WHERE a.backend_type NOT LIKE 'sync job%' AND a.backend_type NOT IN ('client backend', 'parallel worker', 'autovacuum launcher',
                'autovacuum worker', 'archiver', 'background writer', 'checkpointer', 'logger', 'startup', 'walreceiver', 'walsender', 'walsummarizer',
                'walwriter', 'slotsync worker', 'io worker', 'standalone backend')) AS others
        FROM pg_stat_activity AS a)
    SELECT 'warning' AS severity, 'max_worker_processes' AS object,
        format('max_worker_processes is %s, and %s are asked for: the launcher, %s of schedulers, %s of workers, %s of others', slots,
            1 + schedulers + workers + others, schedulers, workers, others) AS message,
        'Raise max_worker_processes and restart, or lower sync_job.max_workers.' AS hint
    FROM asked WHERE slots < 1 + schedulers + workers + others)"};

/// What the processes of the extension report about themselves.
constexpr Check processes{"processes", R"(
    SELECT CASE WHEN n.part LIKE ANY (ARRAY['role %', 'jobs that wait for locks%']) THEN 'warning' ELSE 'error' END AS severity,
        'queue ' || string_agg(q.queue, ', ' ORDER BY q.queue) AS object, n.part AS message, 'The log of the server says more.' AS hint
    FROM @extschema@.sync_job_queue_status AS q, unnest(string_to_array(q.note, '; ')) AS n (part)
    WHERE n.part LIKE ANY (ARRAY['the launcher %', 'no background worker %', 'no scheduler:%', 'the scheduler %', 'process % keeps all others %',
        'role % waits for a worker:%', 'no worker can be started %', 'jobs that wait for locks %'])
    GROUP BY n.part)"};

constexpr Check paused{"paused", R"(
    SELECT 'warning' AS severity, 'queue ' || q.name AS object, format('queue "%s" is paused: none of its jobs is started', q.name) AS message,
        format('SELECT resume_sync_job_queue(%L)', q.name) AS hint
    FROM @extschema@.sync_job_queue AS q WHERE q.paused
    UNION ALL
    SELECT 'warning', t.name, format('job type "%s" is paused: none of its jobs is started', t.name), format('SELECT resume_sync_job_type(%L)', t.name)
    FROM @extschema@.sync_job_type AS t WHERE t.paused)"};

/// A worker connects as run_as, without a password: the roles as which it cannot.
constexpr Check roles{"roles", R"(
    WITH asked (role) AS (
        SELECT t.run_as::oid FROM @extschema@.sync_job_type AS t
        UNION SELECT j.run_as::oid FROM @extschema@.sync_job AS j WHERE j.status IN ('Pending', 'Queued')
        UNION SELECT s.owner::oid FROM @extschema@.sync_job_schedule AS s)
    SELECT 'error' AS severity, 'role ' || coalesce(quote_ident(r.rolname), a.role::text) AS object,
        CASE WHEN r.oid IS NULL THEN format('role %s, as which jobs run, does not exist', a.role)
             WHEN NOT r.rolcanlogin AND current_setting('server_version_num')::int < 170000 THEN format('role "%s", as which jobs run, may not log in', r.rolname)
             ELSE format('role "%s", as which jobs run, may not connect to database "%s"', r.rolname, current_database()) END AS message,
        CASE WHEN r.oid IS NULL THEN 'Change run_as of its types, and cancel its jobs.'
             WHEN NOT r.rolcanlogin AND current_setting('server_version_num')::int < 170000 THEN format('ALTER ROLE %I LOGIN; it needs no password.', r.rolname)
             ELSE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), r.rolname) END AS hint
    FROM asked AS a LEFT JOIN pg_roles AS r ON r.oid = a.role
    WHERE r.oid IS NULL OR NOT r.rolcanlogin AND current_setting('server_version_num')::int < 170000
        OR NOT has_database_privilege(r.oid, current_database(), 'CONNECT'))"};

constexpr Check pooler{"pooler", R"(
    SELECT 'warning' AS severity, NULL AS object, 'there is a pooler between this command and the server' AS message,
        'Jobs do not mind. LISTEN and what a session keeps need a connection of their own: connect to the server itself for these.' AS hint
    WHERE pg_backend_pid() <> $5::int)"};

/// Rows that have been moved to the history stay in the queue's table as long as an old snapshot could still see them there.
constexpr Check vacuum{"vacuum", R"(
    SELECT 'warning' AS severity, format('process %s', a.pid) AS object,
        format('a transaction of role "%s" (%s) has been open for %s', a.usename, a.state, date_trunc('second', now() - a.xact_start)) AS message,
        format('It keeps vacuum from removing rows. SELECT pg_terminate_backend(%s)', a.pid) AS hint
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.backend_type NOT LIKE 'sync job%' AND a.pid <> pg_backend_pid()
        AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND now() - a.xact_start > make_interval(secs => $2::float8)
    UNION ALL
    SELECT 'warning', format('prepared transaction %s', p.gid), format('transaction "%s" of role "%s" has been prepared for %s', p.gid, p.owner, date_trunc('second', now() - p.prepared)),
        format('It keeps vacuum from removing rows, and its locks. COMMIT PREPARED %L or ROLLBACK PREPARED %L', p.gid, p.gid)
    FROM pg_prepared_xacts AS p WHERE p.database = current_database() AND now() - p.prepared > make_interval(secs => $2::float8)
    UNION ALL
    SELECT 'warning', format('replication slot %s', s.slot_name), format('nobody uses replication slot "%s", and it keeps old rows%s', s.slot_name,
            CASE WHEN s.restart_lsn IS NOT NULL THEN ' and WAL' ELSE '' END),
        format('If nobody comes back for it: SELECT pg_drop_replication_slot(%L)', s.slot_name)
    FROM pg_replication_slots AS s WHERE NOT s.active AND (s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL OR s.wal_status IN ('unreserved', 'lost')))"};

constexpr Check retention{"retention", R"(
    SELECT 'warning' AS severity, 'sync_job.log_retention_days' AS object, 'jobs that have ended are kept for ever' AS message,
        'Set sync_job.log_retention_days to a number of days, or clear them by a job of your own.' AS hint
    WHERE current_setting('sync_job.log_retention_days', true)::int < 0)"};

}  // namespace

std::vector<Check> server_checks() {
    return {preloaded, versions, adopted, enabled, max_workers, worker_slots, processes, paused, roles, pooler, vacuum, retention};
}

}  // namespace sync_job
