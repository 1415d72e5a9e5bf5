// Making and dropping the triggers of a source table, as its owner would by hand.
#include "controller/validation.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "job/source_triggers.hpp"
#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/value.hpp"

namespace sync_job {

namespace {

constexpr int name_limit = 63;

// "sync_job_sap_customer_sync", with a suffix if a type has several.
std::string trigger_name(const std::string& type, const std::string& suffix) {
    std::string name = "sync_job_" + scrubbed(type);
    return pg::clipped_to_bytes(name, name_limit - static_cast<int>(suffix.size())) + suffix;
}

struct Trigger {
    std::string name, event, referencing;
};

std::vector<Trigger> triggers_for(const std::string& type, bool statement_level) {
    if (!statement_level) return {{trigger_name(type, ""), "INSERT OR UPDATE OR DELETE", ""}};
    // PostgreSQL allows only one event per trigger with transition tables.
    return {{trigger_name(type, "_insert"), "INSERT", "REFERENCING NEW TABLE AS new_rows"},
            {trigger_name(type, "_update"), "UPDATE", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"},
            {trigger_name(type, "_delete"), "DELETE", "REFERENCING OLD TABLE AS old_rows"}};
}

bool is_statement_level(const std::string& text) {
    std::string level = lower(text);
    if (level == "row") return false;
    if (level == "statement") return true;
    throw pg::Error("22023", "invalid level " + quoted(text)).hint("Valid levels are: row, statement.");
}

void check_source(const JobType& type, Oid source) {
    bool fits = type.source == pg::no_oid || type.source == source || pg::is_partition_of(source, type.source);
    if (fits) return;
    throw pg::Error("22023", quoted(pg::relation_name(source)) + " is not the source document type of sync job type " +
                                 quoted(type.name))
        .detail("The sync job type syncs from " + quoted(type.source_label) + ".");
}

// The columns that a type with code reads, as JSON.
std::string column_list(const JobType& type, Oid source, const std::vector<std::string>& names) {
    if (type.declarative()) {
        throw pg::Error("22023", "sync job type " + quoted(type.name) + " is declarative: its triggers look at the columns that it reads")
            .hint("Leave out columns.");
    }
    if (names.empty()) throw pg::Error("22023", "columns must name at least one column");
    auto relation = pg::read_relation(source);
    pg::JsonBuilder json;
    json.begin_array();
    for (const std::string& name : names) {
        if (relation->column(name) == nullptr) {
            throw pg::Error("42703", "column " + quoted(name) + " of " + quoted(pg::relation_name(source)) + " does not exist");
        }
        json.string(name);
    }
    json.end_array();
    return pg::json_to_text(json.finish());
}

void add_names(pg::Arguments& args, const std::vector<std::string>& names) {
    args.begin_rows();
    for (const std::string& name : names) {
        Datum value = pg::text_datum(name);
        bool is_null = false;
        args.add_row(&value, &is_null);
    }
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_attach_triggers) {
    // Returning no row would look as if there were nothing to do, and changes would be lost.
    constexpr int columns = 5;
    for (int i = 0; i < columns; i++) {
        if (args.is_null(i)) throw pg::Error("22004", "no argument of attach_sync_job_triggers() may be null");
    }
    auto type = require_job_type(*args.text(0));
    Oid source = *args.oid(1);
    check_source(*type, source);
    refuse_as_source(source);
    DocumentType::find(source, source == type->source ? type->source_key : std::vector<std::string>());
    bool statement_level = is_statement_level(*args.text(2));
    std::string arguments = pg::quoted_literal(type->name);
    if (*args.boolean(3)) arguments += ", 'deduplicate=true'";
    if (!*args.boolean(4)) arguments += ", 'keep_deleted=false'";
    bool has_columns = args.count() > columns && !args.is_null(columns);
    if (has_columns) arguments += ", " + pg::quoted_literal("columns=" + column_list(*type, source, args.text_array(columns)));
    std::vector<std::string> names;
    pg::SpiScope spi;
    pg::SettingsScope settings;
    if (pg::citus::is_distributed(source)) pg::set_local("citus.enable_unsafe_triggers", "on");  // ours write on the shard's node only
    for (const Trigger& trigger : triggers_for(type->name, statement_level)) {
        pg::execute_sql("CREATE TRIGGER " + pg::quoted_identifier(trigger.name) + " AFTER " + trigger.event + " ON " +
                        pg::quoted_relation_name(source) + " " + trigger.referencing +
                        (statement_level ? " FOR EACH STATEMENT" : " FOR EACH ROW") + " EXECUTE FUNCTION " +
                        schema_objects().in_schema("sync_job_trigger") + "(" + arguments + ")");
        names.push_back(trigger.name);
    }
    add_names(args, names);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_detach_triggers) {
    std::string type = *args.text(0);
    Oid source = *args.oid(1);
    pg::SpiScope spi;
    std::vector<std::string> names;
    for (const SourceTrigger& trigger : source_triggers(type, source)) {
        pg::execute_sql("DROP TRIGGER " + pg::quoted_identifier(trigger.name) + " ON " + pg::quoted_relation_name(source));
        names.push_back(trigger.name);
    }
    add_names(args, names);
    return args.null_result();
}
