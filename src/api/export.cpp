// A job type as a script that creates it again: export_sync_job_type().
#include <algorithm>
#include <string>
#include <vector>

#include "core/text.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "job/source_triggers.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

// The values of a row's columns that differ from their defaults, as texts: an INSERT of them creates the row again.
class Insert {
public:
    explicit Insert(std::string table) : table_(std::move(table)) {}
    void add(const std::string& column, const std::string& value) {
        columns_.push_back(pg::quoted_identifier(column));
        values_.push_back(value);
    }
    std::string text() const {
        return "INSERT INTO " + table_ + " (" + join(columns_, ", ") + ")\nVALUES (" + join(values_, ",\n        ") + ");\n";
    }

private:
    std::string table_;
    std::vector<std::string> columns_, values_;
};

// Names of relations come with their schema, as search_path is pinned.
Insert insert_of(const std::string& table, Oid relation, const std::string& name) {
    pg::OwnerScope owner(schema_objects().owner);
    pg::CanonicalOutput canonical;
    pg::SpiScope spi;
    Insert insert(table);
    pg::Statement defaults(
        "SELECT a.attname::text, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d"
        " ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped"
        " AND a.attname NOT IN ('created_at', 'modified_at') ORDER BY a.attnum", {pg::type::oid});
    pg::Rows columns = defaults.execute({{pg::oid_datum(relation), false}});
    for (std::uint64_t i = 0; i < columns.size(); i++) {
        std::string column = columns.text(i, 0), quoted_column = pg::quoted_identifier(column), otherwise = columns.text(i, 1);
        if (otherwise.empty()) otherwise = "NULL";
        pg::Statement value("SELECT " + quoted_column + "::text FROM " + schema_objects().in_schema(table.c_str()) + " WHERE name = $1 AND " +
                                quoted_column + "::text IS DISTINCT FROM (" + otherwise + ")::text", {pg::type::text});
        pg::Rows rows = value.execute({{pg::text_datum(name), false}});
        if (rows.empty()) continue;
        insert.add(column, rows.at(0, 0).null ? "NULL" : pg::quoted_literal(rows.text(0, 0)));
    }
    return insert;
}

// Writes nothing if the queue exists, as not everybody may write to the table of queues.
std::string queue_text(const std::string& name) {
    if (name == "short" || name == "default" || name == "long") return {};
    std::string insert = insert_of("sync_job_queue", schema_objects().queue_table, name).text();
    std::string block = "BEGIN\nIF NOT EXISTS (SELECT FROM sync_job_queue WHERE name = " + pg::quoted_literal(name) + ") THEN\n" + insert +
                        "END IF;\nEND";
    return "DO " + pg::quoted_literal(block) + ";\n";
}

// The function in the trigger loses its schema, which is another one if the extension is installed elsewhere.
std::string without_schema(std::string trigger) {
    const std::string called = " EXECUTE FUNCTION ", own = schema_objects().schema + ".";
    std::size_t at = trigger.rfind(called + own + "sync_job_trigger(");
    if (at != std::string::npos) trigger.erase(at + called.size(), own.size());
    return trigger;
}

std::string trigger_texts(const std::string& name) {
    std::string texts;
    for (const SourceTrigger& trigger : source_triggers(name)) {
        texts += without_schema(trigger.definition) + ";\n";
        if (trigger.enabled == "O") continue;
        texts += "ALTER TABLE " + pg::quoted_relation_name(trigger.relation) +
                 (trigger.enabled == "D" ? " DISABLE TRIGGER " : trigger.enabled == "A" ? " ENABLE ALWAYS TRIGGER " : " ENABLE REPLICA TRIGGER ") +
                 pg::quoted_identifier(trigger.name) + ";\n";
    }
    return texts;
}

std::string grant_texts(const JobType& type) {
    std::vector<std::string> roles;
    for (Oid role : type.granted_to) {
        if (pg::role_exists(role)) roles.push_back(pg::role_name(role));
    }
    std::sort(roles.begin(), roles.end());
    std::string texts;
    for (const std::string& role : roles) {
        texts += "SELECT grant_sync_job_type(" + pg::quoted_literal(type.name) + ", " + pg::quoted_literal(pg::quoted_identifier(role)) + ");\n";
    }
    return texts;
}

std::string export_text(const JobType& type) {
    std::string about = "-- Sync job type " + pg::quoted_literal(type.name) + ".";
    for (char& c : about) c = c == '\n' || c == '\r' ? ' ' : c;
    if (!type.declarative() && !type.is_push()) {
        about += "\n-- The functions of its controller are not in this script: pg_dump --schema-only --schema=... copies a schema.";
    }
    return about +
           "\nBEGIN;\n"
           "SELECT set_config('search_path', quote_ident(n.nspname), true) FROM pg_extension AS e JOIN pg_namespace AS n\n"
           "    ON n.oid = e.extnamespace WHERE e.extname = 'pg_sync_job';\n" +
           queue_text(type.queue) + insert_of("sync_job_type", schema_objects().type_table, type.name).text() + trigger_texts(type.name) +
           grant_texts(type) + "COMMIT;\n";
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_export_type) {
    if (args.is_null(0)) throw pg::Error("22004", "name must not be null");
    auto type = require_job_type(*args.text(0));
    require_may_see_row(*type);
    if (type->background) throw pg::Error("22023", "sync job type " + quoted(type->name) + " is built in: every database has it");
    return pg::text_datum(export_text(*type));
}
