// Checks of job types: whether their jobs end well, and in time.
#include "doctor/check.hpp"

namespace sync_job {

namespace {

constexpr Check set_up{"set_up", R"(
    SELECT 'error' AS severity, e.sync_job_type AS object,
        format('jobs of type "%s" fail since %s: %s%s', e.sync_job_type, date_trunc('second', e.since), e.message,
            CASE WHEN e.held_since IS NOT NULL THEN '; they are held' ELSE '' END) AS message,
        concat_ws(' ', e.hint, format('sync-job validate %L says more.', e.sync_job_type)) AS hint
    FROM @extschema@.sync_job_setup_error AS e ORDER BY e.sync_job_type)"};

constexpr Check valid{"valid", R"(
    SELECT f.severity, concat_ws(', ', t.name, f.field) AS object, f.message,
        coalesce(nullif(concat_ws(' ', f.detail, f.hint), ''), format('Change the row of sync_job_type whose name is %L.', t.name)) AS hint
    FROM @extschema@.sync_job_type AS t, @extschema@.validate_sync_job_type(t.name) AS f ORDER BY t.name, f.severity)"};

constexpr Check failed{"failed", R"(
    SELECT 'warning' AS severity, f.sync_job_type AS object, format('%s jobs of type "%s" have failed, and are not tried again', f.failed, f.sync_job_type) AS message,
        format('sync-job list --status failed --type %L; then retry or cancel them.', f.sync_job_type) AS hint
    FROM @extschema@.sync_job_freshness AS f WHERE f.failed > 0 ORDER BY f.sync_job_type)"};

constexpr Check behind{"behind", R"(
    SELECT 'warning' AS severity, f.sync_job_type AS object,
        format('the oldest change for type "%s" has waited for %s', f.sync_job_type, date_trunc('second', now() - f.oldest_change)) AS message,
        'sync-job status says what is in the way; more workers, or a set_size above 1, may help.' AS hint
    FROM @extschema@.sync_job_freshness AS f WHERE now() - f.oldest_change > make_interval(secs => $1::float8) ORDER BY f.sync_job_type)"};

constexpr Check alerts{"alerts", R"(
    SELECT 'warning' AS severity, a.name AS object, format('alert "%s" fires since %s: %s is %s', a.name, date_trunc('second', a.since), a.measure, a.value) AS message,
        NULL AS hint
    FROM @extschema@.sync_job_alert AS a WHERE a.state = 'firing' ORDER BY a.name)"};

/// Triggers that call sync_job_trigger(), on any table.
constexpr Check triggers{"triggers", R"(
    SELECT 'warning' AS severity, g.tgrelid::regclass::text AS object,
        CASE WHEN g.tgenabled = 'D' THEN format('trigger "%s" of table %s is disabled: what changes there enqueues nothing', g.tgname, g.tgrelid::regclass)
             WHEN g.tgenabled = 'R' THEN format('trigger "%s" of table %s fires only for what replication writes', g.tgname, g.tgrelid::regclass)
             ELSE format('trigger "%s" of table %s is deferrable: its jobs come at the end of the transaction, where an error makes all of it fail', g.tgname, g.tgrelid::regclass)
             END AS message,
        CASE WHEN g.tgenabled IN ('D', 'R') THEN format('ALTER TABLE %s ENABLE TRIGGER %I; then sync-job full-sync for what has changed meanwhile.', g.tgrelid::regclass, g.tgname)
             ELSE 'Make it again with attach_sync_job_triggers().' END AS hint
    FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid JOIN pg_extension AS e ON e.extnamespace = p.pronamespace
    WHERE e.extname = 'pg_sync_job' AND p.proname = 'sync_job_trigger' AND (g.tgenabled IN ('D', 'R') OR g.tgdeferrable) ORDER BY 2, 3)"};

/// Schedules need pg_cron, here or in another database.
constexpr Check schedules{"pg_cron", R"(
    WITH here AS (
        SELECT current_setting('cron.database_name', true) AS database, EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AS installed,
            (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = 'cron') AS schema
        WHERE EXISTS (SELECT FROM @extschema@.sync_job_schedule))
    SELECT 'error' AS severity, NULL AS object, 'there are schedules, and pg_cron is not loaded: they enqueue nothing' AS message,
        'Add pg_cron to shared_preload_libraries, and restart the server.' AS hint
    FROM here AS h WHERE h.database IS NULL
    UNION ALL
    SELECT 'error', NULL, 'there are schedules, and this database does not have pg_cron any more', 'CREATE EXTENSION pg_cron, and make the schedules again.'
    FROM here AS h WHERE h.database = current_database() AND NOT h.installed
    UNION ALL
    SELECT 'warning', s.name, format('role "%s", whose schedule "%s" is, has no right to use pg_cron', s.owner, s.name), format('GRANT USAGE ON SCHEMA cron TO %s', s.owner)
    FROM here AS h, @extschema@.sync_job_schedule AS s
    WHERE h.database = current_database() AND h.installed AND NOT has_schema_privilege(s.owner, h.schema, 'USAGE'))"};

}  // namespace

std::vector<Check> type_checks() {
    return {set_up, valid, failed, behind, alerts, triggers, schedules};
}

}  // namespace sync_job
