// Checks of the tables of the extension: what others have attached to them, and the state of their indexes.
#include "doctor/check.hpp"

namespace sync_job {

namespace {

/// On the tables of the extension, and the sources and targets of job types.
constexpr Check invalid_indexes{"indexes", R"(
    WITH tables (oid) AS (
        SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_sync_job'
        UNION SELECT unnest(ARRAY[t.source_document_type::oid, t.target_document_type::oid]) FROM @extschema@.sync_job_type AS t)
    SELECT 'warning' AS severity, i.indexrelid::regclass::text AS object, format('index %s of table %s is not valid', i.indexrelid::regclass, i.indrelid::regclass) AS message,
        format('REINDEX INDEX CONCURRENTLY %s, or drop it', i.indexrelid::regclass) AS hint
    FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid WHERE NOT i.indisvalid OR NOT i.indisready ORDER BY 2)"};

/// An index more than ten times as large as its rows would need, at a hundred bytes each.
constexpr Check bloat{"bloat", R"(
    WITH tables AS (
        SELECT c.oid, pg_stat_get_live_tuples(c.oid) AS live
        FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid JOIN pg_class AS c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_sync_job' AND c.relkind = 'r')
    SELECT 'warning' AS severity, i.indexrelid::regclass::text AS object,
        format('index %s has %s for %s rows', i.indexrelid::regclass, pg_size_pretty(pg_relation_size(i.indexrelid)), t.live) AS message,
        format('REINDEX INDEX CONCURRENTLY %s; and see whether something holds vacuum back.', i.indexrelid::regclass) AS hint
    FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid
    WHERE pg_relation_size(i.indexrelid) > $3::int8 AND pg_relation_size(i.indexrelid) > 1000 * t.live ORDER BY 2)"};

constexpr Check in_the_way{"in_the_way", R"(
    SELECT 'error' AS severity, NULL AS object, sync_job_internal.in_the_way() AS message, 'Drop it: no job begins as long as it is there.' AS hint
    WHERE sync_job_internal.in_the_way() IS NOT NULL)"};

/// Triggers, rules and foreign keys that do not belong to the extension; its own triggers call its own functions.
constexpr Check attached{"attached", R"(
    WITH tables (oid) AS (
        SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid JOIN pg_class AS c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_sync_job' AND c.relkind IN ('r', 'p'))
    SELECT 'warning' AS severity, t.oid::regclass::text AS object, format('somebody has made trigger "%s" on table %s', g.tgname, t.oid::regclass) AS message,
        format('DROP TRIGGER %I ON %s', g.tgname, t.oid::regclass) AS hint
    FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid
    WHERE NOT g.tgisinternal AND NOT EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = g.tgfoid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_sync_job')
    UNION ALL
    SELECT 'warning', t.oid::regclass::text, format('somebody has made rule "%s" on table %s', r.rulename, t.oid::regclass), format('DROP RULE %I ON %s', r.rulename, t.oid::regclass)
    FROM tables AS t JOIN pg_rewrite AS r ON r.ev_class = t.oid
    UNION ALL
    SELECT 'warning', k.conrelid::regclass::text, format('foreign key "%s" of table %s refers to table %s', k.conname, k.conrelid::regclass, t.oid::regclass),
        format('It can keep jobs from being cleared. ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
    FROM tables AS t JOIN pg_constraint AS k ON k.confrelid = t.oid AND k.contype = 'f' WHERE k.conrelid NOT IN (SELECT oid FROM tables)
    ORDER BY 2, 3)"};

/// Queues, types and alerts may be written by users with the rights; everything else only by the engine.
constexpr Check grants{"grants", R"(
    WITH tables (oid, written) AS (
        SELECT c.oid, c.relname IN ('sync_job_queue', 'sync_job_type', 'sync_job_alert')
        FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid JOIN pg_class AS c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_sync_job' AND c.relkind IN ('r', 'p'))
    SELECT 'warning' AS severity, t.oid::regclass::text AS object,
        format('role "%s" was granted %s on table %s', coalesce(r.rolname, 'PUBLIC'), string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type), t.oid::regclass) AS message,
        format('It can lock the table, and stop all jobs. REVOKE ALL ON %s FROM %s, then GRANT SELECT', t.oid::regclass, coalesce(quote_ident(r.rolname), 'PUBLIC')) AS hint
    FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid, aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE a.grantee <> c.relowner AND NOT coalesce(r.rolsuper, false) AND a.privilege_type <> 'SELECT'
        AND NOT (t.written AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))
    GROUP BY t.oid, r.rolname ORDER BY 2, 3)"};

}  // namespace

std::vector<Check> table_checks() {
    return {in_the_way, attached, grants, invalid_indexes, bloat};
}

}  // namespace sync_job
