// sync_job_trigger(): a job for each changed row of a source table.
#include "core/state.hpp"
#include "core/text.hpp"
#include "engine/deleted.hpp"
#include "engine/enqueue.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

using Event = pg::TriggerCall::Event;

struct Options {
    std::string sync_job_type;
    bool keep_deleted = true;
    bool deduplicate = false;
};

bool option_value(const std::string& trigger, const std::string& option, const std::string& text) {
    std::string value = lower(text);
    if (value == "true" || value == "on" || value == "yes") return true;
    if (value == "false" || value == "off" || value == "no") return false;
    throw pg::Error("22023",
                    "trigger " + quoted(trigger) + ": invalid value " + quoted(text) + " of option " + quoted(option))
        .hint("Use true or false.");
}

Options read_options(const pg::TriggerCall& call) {
    if (call.arguments.empty()) {
        throw pg::Error("22023", "trigger " + quoted(call.trigger_name) + " names no sync job type")
            .hint("CREATE TRIGGER … EXECUTE FUNCTION sync_job_trigger('SAP Customer Sync').");
    }
    Options options;
    options.sync_job_type = call.arguments[0];
    for (std::size_t i = 1; i < call.arguments.size(); i++) {
        const std::string& argument = call.arguments[i];
        std::size_t equals = argument.find('=');
        std::string name = argument.substr(0, equals);
        std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
        if (name == "keep_deleted") {
            options.keep_deleted = option_value(call.trigger_name, name, value);
        } else if (name == "deduplicate") {
            options.deduplicate = option_value(call.trigger_name, name, value);
        } else {
            throw pg::Error("22023", "trigger " + quoted(call.trigger_name) + ": unknown option " + quoted(argument))
                .hint("Options are: deduplicate=true|false, keep_deleted=true|false.");
        }
    }
    return options;
}

void check_call(const pg::TriggerCall& call) {
    if (call.before || !call.row_level || call.event == Event::truncate) {
        throw pg::Error(
            "39P01", "trigger " + quoted(call.trigger_name) + " must be AFTER INSERT, UPDATE or DELETE, FOR EACH ROW");
    }
}

pg::Value context_for(Operation operation) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("trigger_operation", to_text(operation));
    json.end_object();
    return {json.finish(), false};
}

void enqueue_change(const Options& options, const JobType& type, const pg::TriggerCall& call, Operation operation,
                    const std::string& name) {
    EnqueueRequest request;
    request.sync_job_type = options.sync_job_type;
    request.source_document_type = type.source == pg::no_oid ? call.relation : type.source;
    request.source_document_name = name;
    request.context = context_for(operation);
    request.trigger_type = "Document Hook";
    request.deduplicate = options.deduplicate;
    request.owner = pg::relation_owner(call.relation);
    enqueue(request);
}

void enqueue_delete(const Options& options, const JobType& type, const pg::TriggerCall& call, DocumentType& documents,
                    const std::string& name) {
    if (options.keep_deleted) keep_deleted_document(documents, name, call.relation, call.old_row.datum);
    enqueue_change(options, type, call, Operation::remove, name);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_row_trigger) {
    pg::TriggerCall call = pg::trigger_call(args, "sync_job_trigger");
    check_call(call);
    Options options = read_options(call);
    auto type = require_job_type(options.sync_job_type);
    if (type->disabled) return pg::trigger_suppress(args);
    // A partition's rows are documents of the type's own table.
    Oid relation = type->source == pg::no_oid ? call.relation : type->source;
    auto documents = DocumentType::find(relation, type->source_key);
    auto name_of = [&](pg::Value row) { return documents->name_of_row_of(call.relation, row.datum); };
    switch (call.event) {
        case Event::insert:
            enqueue_change(options, *type, call, Operation::insert, name_of(call.new_row));
            break;
        case Event::update: {
            std::string before = name_of(call.old_row), after = name_of(call.new_row);
            if (before != after) enqueue_delete(options, *type, call, *documents, before);
            enqueue_change(options, *type, call, before == after ? Operation::update : Operation::insert, after);
            break;
        }
        case Event::remove:
            enqueue_delete(options, *type, call, *documents, name_of(call.old_row));
            break;
        case Event::truncate:
            break;
    }
    return pg::trigger_suppress(args);  // the result of an AFTER trigger is not looked at
}
