// What forms offer while the user types.
#include "serve/api/routes.hpp"

namespace sync_job::serve {

namespace {

// Relations that the user may read, by a part of the name; with the columns and the primary key.
constexpr std::string_view tables = R"(
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.name), '[]'))
FROM (SELECT format('%I.%I', c.nspname, c.relname) AS name,
          (SELECT coalesce(json_agg(a.attname ORDER BY k.n), '[]') FROM pg_catalog.pg_index AS i
           CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, n)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
           WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts) AS key,
          (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'nullable', NOT a.attnotnull)
                      ORDER BY a.attnum), '[]')
           FROM pg_catalog.pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')) AS columns
      FROM (SELECT c.oid, c.relname, n.nspname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'sync_job_internal')
                AND n.nspname NOT LIKE 'pg\_%'
                AND strpos(lower(format('%I.%I', n.nspname, c.relname)), lower(coalesce($1, ''))) > 0
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
                AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
            ORDER BY n.nspname = 'public' DESC, n.nspname, c.relname LIMIT 20) AS c) AS r)";

constexpr std::string_view suggest = R"(
SELECT json_build_object('rows', coalesce(json_agg(s.name ORDER BY s.name), '[]'))
FROM (SELECT s.name FROM (
          SELECT t.name FROM @extschema@.sync_job_type AS t WHERE $1 = 'type'
          UNION SELECT 'Background Job' WHERE $1 = 'type'
          UNION SELECT q.name FROM @extschema@.sync_job_queue AS q WHERE $1 = 'queue'
          UNION SELECT w FROM unnest(ARRAY['Manual', 'Scheduler', 'Webhook', 'API', 'Document Hook']) AS w WHERE $1 = 'trigger'
          UNION SELECT r.rolname::text FROM pg_catalog.pg_roles AS r WHERE $1 = 'role' AND r.rolname NOT LIKE 'pg\_%') AS s
      WHERE strpos(lower(s.name), lower(coalesce($2, ''))) > 0 ORDER BY s.name LIMIT 20) AS s)";

}  // namespace

std::span<const Route> forms_routes() {
    static const std::vector<Route> routes = {
        {Method::get, "/api/tables", false, tables, {"like"}},
        {Method::get, "/api/suggest", false, suggest, {"field", "like"}},
    };
    return routes;
}

}  // namespace sync_job::serve
