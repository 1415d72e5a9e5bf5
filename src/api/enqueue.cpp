// enqueue_sync_job() in its three forms.
#include "queue/enqueue.hpp"

#include <unordered_set>

#include "api/params.hpp"

#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

std::string required_type(pg::Arguments& args) {
    if (args.is_null(0)) throw pg::Error("22004", "sync_job_type must not be null");
    return *args.text(0);
}

pg::Value value_at(pg::Arguments& args, int index) {
    if (args.is_null(index)) return {};
    return {args.datum(index), false};
}

std::optional<std::int64_t> interval_at(pg::Arguments& args, int index) {
    if (args.is_null(index)) return std::nullopt;
    return pg::interval_microseconds(args.datum(index));
}

// The arguments that both long forms share, from the third on; sql/enqueue.sql has the same order.
void read_common(pg::Arguments& args, EnqueueRequest& request) {
    int i = 2;
    request.context = value_at(args, i++);
    request.operation = args.text(i++);
    request.source_document_type = args.oid(i++).value_or(pg::no_oid);
    request.target_document_type = args.oid(i++).value_or(pg::no_oid);
    request.target_document_name = args.text(i++);
    request.parent_sync_job = args.int64(i++);
    request.queue = args.text(i++);
    request.priority = args.int32(i++);
    request.timeout = interval_at(args, i++);
    request.retry_delay = interval_at(args, i++);
    request.max_retries = args.int32(i++);
    request.scheduled_at = args.timestamp(i++);
    request.trigger_type = args.text(i++);
    request.triggered_by_document_type = args.oid(i++).value_or(pg::no_oid);
    request.triggered_by_document_name = args.text(i++);
    request.trigger_document_timestamp = args.timestamp(i++);
    request.queue_on_insert = args.boolean(i++);
    request.dry_run = args.boolean(i++);
    request.insert_enabled = args.boolean(i++);
    request.update_enabled = args.boolean(i++);
    request.delete_enabled = args.boolean(i++);
    request.update_without_changes_enabled = args.boolean(i++);
    request.verbose_logging = args.boolean(i++);
    request.job_id = args.text(i++);
    request.deduplicate = args.boolean(i++).value_or(false);
    request.target_doc = value_at(args, i++);
    request.triggered_by_doc = value_at(args, i++);
}

// A row is the document, a scalar its name.
void read_source_document(pg::Arguments& args, EnqueueRequest& request) {
    if (args.is_null(1)) return;
    Oid type = args.type(1);
    if (pg::is_composite(type)) {
        request.source_doc = {args.datum(1), false};
    } else {
        pg::CanonicalOutput canonical;  // as names are read, whatever the session's date style and time zone
        request.source_document_name = pg::value_to_text(args.datum(1), type);
    }
}

// --- enqueue_sync_job(params jsonb) ---

template <class T>
T read_as(const pg::JsonField& field, Oid type, T (*convert)(Datum)) {
    try {
        return convert(pg::text_to_value(field.text, type));
    } catch (const pg::Error& error) {
        constexpr int most_characters = 140;
        throw pg::Error("22023", "invalid value for parameter " + quoted(field.key) + ": " +
                                     quoted(pg::clipped(field.text, most_characters)))
            .detail(pg::clipped(error.report().message, 2 * most_characters) + ".");
    }
}

std::int64_t interval_from(const pg::JsonField& field) {
    if (field.kind != pg::JsonKind::number)
        return read_as<std::int64_t>(field, pg::type::interval, pg::interval_microseconds);
    pg::JsonField seconds = field;
    seconds.text += " seconds";
    return read_as<std::int64_t>(seconds, pg::type::interval, pg::interval_microseconds);
}

std::string text_from(const pg::JsonField& field) {
    if (field.kind == pg::JsonKind::array || field.kind == pg::JsonKind::object) {
        throw pg::Error("22023", "parameter " + quoted(field.key) + " must be a text: " + pg::clipped(field.text, 60));
    }
    return field.text;
}

// The name of a document with several key columns is an array, which may be given as such.
std::string name_from(const pg::JsonField& field) {
    return field.kind == pg::JsonKind::array ? field.text : text_from(field);
}

Oid relation_from(const pg::JsonField& field) { return read_as<Oid>(field, pg::type::regclass, pg::datum_oid); }
bool boolean_from(const pg::JsonField& field) { return read_as<bool>(field, pg::type::boolean, pg::datum_bool); }
int integer_from(const pg::JsonField& field) { return read_as<std::int32_t>(field, pg::type::int4, pg::datum_int32); }
std::int64_t bigint_from(const pg::JsonField& field) {
    return read_as<std::int64_t>(field, pg::type::int8, pg::datum_int64);
}
std::int64_t time_from(const pg::JsonField& field) {
    return read_as<std::int64_t>(field, pg::type::timestamptz, pg::datum_int64);
}

using Reader = void (*)(EnqueueRequest&, const pg::JsonField&);
struct Parameter {
    const char* name;
    Reader read;
};

constexpr Parameter parameters[] = {
    {"sync_job_type", [](auto& r, auto& f) { r.sync_job_type = text_from(f); }},
    {"source_document_name", [](auto& r, auto& f) { r.source_document_name = name_from(f); }},
    {"context",
     [](auto& r, auto& f) {
         r.context = {f.value, false};
     }},
    {"operation", [](auto& r, auto& f) { r.operation = text_from(f); }},
    {"source_document_type", [](auto& r, auto& f) { r.source_document_type = relation_from(f); }},
    {"target_document_type", [](auto& r, auto& f) { r.target_document_type = relation_from(f); }},
    {"target_document_name", [](auto& r, auto& f) { r.target_document_name = name_from(f); }},
    {"parent_sync_job", [](auto& r, auto& f) { r.parent_sync_job = bigint_from(f); }},
    {"queue", [](auto& r, auto& f) { r.queue = text_from(f); }},
    {"priority", [](auto& r, auto& f) { r.priority = integer_from(f); }},
    {"timeout", [](auto& r, auto& f) { r.timeout = interval_from(f); }},
    {"retry_delay", [](auto& r, auto& f) { r.retry_delay = interval_from(f); }},
    {"max_retries", [](auto& r, auto& f) { r.max_retries = integer_from(f); }},
    {"scheduled_at", [](auto& r, auto& f) { r.scheduled_at = time_from(f); }},
    {"trigger_type", [](auto& r, auto& f) { r.trigger_type = text_from(f); }},
    {"triggered_by_document_type", [](auto& r, auto& f) { r.triggered_by_document_type = relation_from(f); }},
    {"triggered_by_document_name", [](auto& r, auto& f) { r.triggered_by_document_name = name_from(f); }},
    {"trigger_document_timestamp", [](auto& r, auto& f) { r.trigger_document_timestamp = time_from(f); }},
    {"queue_on_insert", [](auto& r, auto& f) { r.queue_on_insert = boolean_from(f); }},
    {"dry_run", [](auto& r, auto& f) { r.dry_run = boolean_from(f); }},
    {"insert_enabled", [](auto& r, auto& f) { r.insert_enabled = boolean_from(f); }},
    {"update_enabled", [](auto& r, auto& f) { r.update_enabled = boolean_from(f); }},
    {"delete_enabled", [](auto& r, auto& f) { r.delete_enabled = boolean_from(f); }},
    {"update_without_changes_enabled", [](auto& r, auto& f) { r.update_without_changes_enabled = boolean_from(f); }},
    {"verbose_logging", [](auto& r, auto& f) { r.verbose_logging = boolean_from(f); }},
    {"job_id", [](auto& r, auto& f) { r.job_id = text_from(f); }},
    {"deduplicate", [](auto& r, auto& f) { r.deduplicate = boolean_from(f); }},
    {"job_group", [](auto& r, auto& f) { r.job_group = text_from(f); }},
};

void read_parameter(EnqueueRequest& request, const pg::JsonField& field) {
    for (const Parameter& parameter : parameters) {
        if (field.key != parameter.name) continue;
        if (field.kind != pg::JsonKind::null) parameter.read(request, field);
        return;
    }
    std::vector<std::string> known;
    for (const Parameter& parameter : parameters) known.emplace_back(parameter.name);
    throw pg::Error("22023", "unknown parameter " + quoted(field.key) + " of enqueue_sync_job()")
        .hint("Parameters are: " + join(known, ", ") + ".");
}

}  // namespace

EnqueueRequest request_from_params(Datum jsonb) {
    EnqueueRequest request;
    for (const pg::JsonField& field : pg::json_fields(jsonb)) read_parameter(request, field);
    return request;
}

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_enqueue_by_name) {
    EnqueueRequest request;
    request.sync_job_type = required_type(args);
    request.source_document_name = args.text(1);
    read_common(args, request);
    return pg::int64_datum(enqueue(request));
}

SYNC_JOB_FUNCTION(sync_job_enqueue_by_document) {
    EnqueueRequest request;
    request.sync_job_type = required_type(args);
    read_source_document(args, request);
    read_common(args, request);
    return pg::int64_datum(enqueue(request));
}

// enqueue_sync_jobs(): many documents of one type; what they share is checked once.
SYNC_JOB_FUNCTION(sync_job_enqueue_many) {
    EnqueueRequest request;
    request.sync_job_type = required_type(args);
    read_common(args, request);
    constexpr int job_group = 29;  // missing in a database of version 0.1.0
    if (args.count() > job_group) request.job_group = args.text(job_group);
    request.many = true;
    if (args.is_null(1)) throw pg::Error("22004", "source_document_names must not be null");
    Enqueuer enqueuer(request);
    if (enqueuer.source_documents() == nullptr) {
        throw pg::Error("22023", "sync job type " + quoted(request.sync_job_type) + " has no source document type")
            .hint("Give source_document_type too.");
    }
    std::int64_t count = 0;
    std::unordered_set<std::string> added;  // absorb() does not see what this very command enqueues
    for (const std::string& given : args.text_array(1)) {
        std::string name = enqueuer.source_documents()->canonical_name(given);
        if (!request.deduplicate || added.insert(name).second) enqueuer.add(name);
        count++;
    }
    enqueuer.finish();
    return pg::int64_datum(count);
}

SYNC_JOB_FUNCTION(sync_job_enqueue_by_params) {
    if (args.is_null(0)) throw pg::Error("22004", "params must not be null");
    if (pg::json_kind(args.datum(0)) != pg::JsonKind::object) {
        throw pg::Error("22023", "params must be a JSON object")
            .hint(
                "For example: enqueue_sync_job('{\"sync_job_type\": \"...\", \"source_document_name\": \"...\"}'::jsonb).");
    }
    EnqueueRequest request = request_from_params(args.datum(0));
    if (request.sync_job_type.empty()) {
        throw pg::Error("22023", "params of enqueue_sync_job() must name a sync_job_type");
    }
    return pg::int64_datum(enqueue(request));
}
