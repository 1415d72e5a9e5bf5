#include "engine/full_sync_job.hpp"

#include <algorithm>

#include "controller/controller.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "queue/set_record.hpp"
#include "queue/task.hpp"

namespace sync_job {

using C = JobColumn;

namespace {

// The classid of these locks in pg_locks: not the OID of a catalog, nor the class of the locks on jobs.
constexpr Oid full_sync_lock_class = 9998;

}  // namespace

static_assert(FullSyncCount::all == count_names.size() + 1);

const char* const full_sync_count_names[] = {"inserted",  "updated", "deleted",     "skipped",
                                             "no_target", "failed",  "handed_over", "gone"};

pg::Value full_sync_context(const FullSyncRequest& request) {
    pg::JsonBuilder json;
    auto limit = [&](const char* key, std::optional<std::int64_t> value) {
        json.key(key);
        value ? json.number(*value) : json.null();
    };
    auto percent = [&](const char* key, double value) {
        json.key(key);
        json.value(pg::json_from_text(std::to_string(value)), false, pg::type::jsonb, false);
    };
    json.begin_object();
    json.field("condition", request.condition);
    json.key("delete_surplus");
    json.boolean(request.delete_surplus);
    percent("max_change_percent", request.max_change_percent);
    percent("max_delete_percent", request.max_delete_percent);
    limit("max_changes", request.max_changes);
    limit("documents_per_second", request.documents_per_second);
    limit("chunk_size", request.chunk_size);
    json.key("check_first");
    json.boolean(request.check_first);
    json.key("adopt");
    json.boolean(request.adopt);
    json.end_object();
    return {json.finish(), false};
}

FullSyncRequest full_sync_request_from(Datum context) {
    FullSyncRequest request;
    for (const pg::JsonField& field : pg::json_fields(context)) {
        bool given = field.kind != pg::JsonKind::null;
        if (field.key == "condition") request.condition = field.text;
        if (field.key == "delete_surplus") request.delete_surplus = field.text == "true";
        if (field.key == "check_first") request.check_first = field.text == "true";
        if (field.key == "adopt") request.adopt = field.text == "true";
        if (field.key == "max_change_percent" && given) request.max_change_percent = task_percent(field);
        if (field.key == "max_delete_percent" && given) request.max_delete_percent = task_percent(field);
        if (field.key == "max_changes" && given) request.max_changes = task_number(field, 0, INT64_MAX);
        if (field.key == "documents_per_second" && given) request.documents_per_second = static_cast<int>(task_number(field, 1, INT32_MAX));
        if (field.key == "chunk_size" && given) request.chunk_size = static_cast<int>(task_number(field, 1, most_in_chunk));
    }
    if (request.documents_per_second) request.chunk_size = std::min(request.chunk_size, *request.documents_per_second);
    return request;
}

FullSyncRequest full_sync_request_of(const Job& run) {
    FullSyncRequest request = full_sync_request_from(run.datum(C::context));
    request.dry_run = run.flag(C::dry_run);
    return request;
}

void require_full_sync(const JobType& type, const FullSyncRequest& request) {
    auto cannot = [&](const char* why, const char* hint) {
        throw pg::Error("0A000", "documents of sync job type " + quoted(type.name) + " cannot be synced by a full sync")
            .detail(why)
            .hint(hint);
    };
    if (type.is_push()) cannot("It is an HTTP push, which is sent by jobs of its own.", "Enqueue its documents with enqueue_sync_jobs().");
    if (controller_kind(type).bypass)
        cannot("Its controller is a function execute, which does all by itself.", "Enqueue its documents with enqueue_sync_jobs().");
    if (!request.delete_surplus) return;
    if (!type.declarative()) {
        cannot("Its controller tells which target belongs to a source, and not which belongs to none: with delete_surplus it takes match and field_map.",
               "Leave out delete_surplus.");
    }
    for (Oid relation : {type.source, type.target}) {
        if (pg::row_security_applies(relation, type.run_as)) {
            cannot("With delete_surplus run_as must see all documents, and row-level security applies to it.",
                   "Leave out delete_surplus.");
        }
    }
    if (!type.surplus_condition.empty()) return;
    static auto& select =
        *new InternalStatement("SELECT FROM {}.sync_job_type WHERE target_document_type = $1 AND name <> $2 LIMIT 1",
                               {pg::type::regclass, pg::type::text});
    if (!select.run({{pg::oid_datum(type.target), false}, {pg::text_datum(type.name), false}}).empty()) {
        cannot(
            "With delete_surplus the targets must all be its own, and another sync job type has the same target "
            "document type.",
            "Say in surplus_condition which of them are its own, or leave out delete_surplus.");
    }
}

void lock_full_syncs(const std::string& sync_job_type) {
    pg::lock_number(full_sync_lock_class, pg::datum_int64(pg::text_hash(pg::text_datum(sync_job_type))));
}

std::optional<std::int64_t> other_full_sync(const std::string& sync_job_type, std::int64_t id, bool only_started) {
    static auto& select = *new InternalStatement(
        "SELECT min(id) FROM sync_job_internal.sync_job_live WHERE sync_job_type = $1 AND operation = $2 AND id <> $3"
        " AND (status = 'Started' OR NOT $4)",
        {pg::type::text, pg::type::text, pg::type::int8, pg::type::boolean});
    auto rows = select.run({{pg::text_datum(sync_job_type), false},
                            {pg::text_datum(to_text(Task::full_sync)), false},
                            {pg::int64_datum(id), false},
                            {pg::bool_datum(only_started), false}});
    if (rows[0][0].null) return std::nullopt;
    return pg::datum_int64(rows[0][0].datum);
}

std::int64_t definition_of(const JobType& type) {
    std::string text = join({type.module, type.match, type.field_map, type.source_condition, type.surplus_condition, std::to_string(type.source), std::to_string(type.target),
                             join(type.source_key, ","), join(type.target_key, ",")},
                            "\n");
    return pg::datum_int64(pg::text_hash(pg::text_datum(text)));
}

std::int64_t code_of(const JobType& type) {
    static auto& select = *new InternalStatement(
        "SELECT coalesce(hashtextextended(string_agg(ROW(oid, prolang, prosrc, probin, prosqlbody, prosecdef, proconfig)::text, ',' ORDER BY oid), 0), 0)"
        " FROM pg_catalog.pg_proc WHERE pronamespace = $1 AND proname = ANY ($2::name[])",
        {pg::type::oid, pg::type::text_array});
    Datum names = pg::text_array_datum({"get_target_document", "get_multiple_target_documents", "update_target_doc"});
    return pg::datum_int64(select.run({{pg::oid_datum(pg::schema_oid(type.module)), false}, {names, false}})[0][0].datum);
}

FullSyncCheckpoint full_sync_checkpoint_of(const Job& run) {
    FullSyncCheckpoint checkpoint;
    if (task_of(run) != Task::full_sync || run.is_null(C::checkpoint)) return checkpoint;
    for (const pg::JsonField& field : pg::json_fields(run.datum(C::checkpoint))) {
        for (int i = 0; i < FullSyncCount::all; i++) {
            if (field.key == full_sync_count_names[i]) checkpoint.done[i] = task_number(field, INT64_MIN, INT64_MAX, "checkpoint");
        }
        if (field.key == "definition") checkpoint.definition = task_number(field, INT64_MIN, INT64_MAX, "checkpoint");
        if (field.key == "code") checkpoint.code = task_number(field, INT64_MIN, INT64_MAX, "checkpoint");
        if (field.key == "moved") checkpoint.moved = field.text == "true";
        if (field.key == "pause") checkpoint.pause = field.text == "true";
        if (field.key == "attempt") checkpoint.attempt = task_number(field, INT64_MIN, INT64_MAX, "checkpoint");
        if (field.key == "after") checkpoint.after = field.text;
    }
    return checkpoint;
}

Datum as_json(const FullSyncCheckpoint& checkpoint) {
    pg::JsonBuilder json;
    auto add = [&](const char* key, std::int64_t value) {
        json.key(key);
        json.number(value);
    };
    json.begin_object();
    add("version", 1);
    add("definition", checkpoint.definition);
    add("code", checkpoint.code);
    for (int i = 0; i < FullSyncCount::all; i++) add(full_sync_count_names[i], checkpoint.done[i]);
    json.key("moved");
    json.boolean(checkpoint.moved);
    json.key("pause");
    json.boolean(checkpoint.pause);
    add("attempt", checkpoint.attempt);
    if (!checkpoint.after.empty()) json.field("after", checkpoint.after);
    json.end_object();
    return json.finish();
}

}  // namespace sync_job
