#include "engine/relay.hpp"

#include "core/text.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "shared/metrics.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// With the ids of the children, if these exist already: one for each target.
Datum as_json(const std::vector<Target>& targets, const Job& job, const std::vector<Job>& children = {}) {
    pg::JsonBuilder json;
    json.begin_array();
    for (std::size_t i = 0; i < targets.size(); i++) {
        const Target& target = targets[i];
        Oid type = target.document_type != pg::no_oid ? target.document_type : job.oid(C::target_document_type);
        json.begin_object();
        json.field("operation", to_text(target.operation));
        json.field("target_document_type", pg::quoted_relation_name(type));
        json.key("target_document_name");
        if (target.document_name) {
            json.string(*target.document_name);  // may be empty
        } else {
            json.null();
        }
        json.key("context");
        json.value(target.context.datum, target.context.null, pg::type::jsonb, false);
        if (!children.empty()) {
            json.key("sync_job");
            json.number(children[i].id());
        }
        json.end_object();
    }
    json.end_array();
    return json.finish();
}

// A child has the parent's settings, and the document, operation and context of its target.
Job child_of(const Job& parent, const JobType& type, const Target& target) {
    Job child = parent.copy();
    Oid relation = target.document_type != pg::no_oid ? target.document_type : parent.oid(C::target_document_type);
    auto documents =
        DocumentType::find(relation, relation == type.target ? type.target_key : std::vector<std::string>());
    child.set(C::id, pg::int64_datum(pg::next_sequence_value(schema_objects().id_sequence)));
    child.set_status(Status::queued);
    child.set(C::parent_sync_job, pg::int64_datum(parent.id()));
    child.set_text(C::relation, relation::relay);
    child.set_oid(C::target_document_type, relation);
    child.clear(C::target_document_name);
    if (target.document_name) child.set_text(C::target_document_name, documents->canonical_name(*target.document_name));
    child.set_text(C::operation, to_text(target.operation));
    if (!target.context.null) child.set(C::context, target.context);
    child.set_title(type.source_label, documents->label());
    child.set(C::retry_count, pg::int32_datum(0));
    child.set(C::created_at, pg::int64_datum(pg::transaction_start()));
    for (C column : {C::retry_after, C::scheduled_at, C::job_id, C::started_at, C::worker_pid, C::multiple_target_documents}) {
        child.clear(column);
    }
    return child;
}

Datum ids_of(const std::vector<Job>& jobs) {
    pg::JsonBuilder json;
    json.begin_array();
    for (const Job& job : jobs) json.number(job.id());
    json.end_array();
    return json.finish();
}

}  // namespace

std::vector<Target> filtered_by_hook(SyncContext& sync, const std::vector<Target>& targets) {
    const Controller& controller = *sync.controller;
    if (!controller.has(Hook::before_relay)) return targets;
    pg::Value list{as_json(targets, sync.job), false};
    pg::Value result = call_hook(sync, Hook::before_relay, list);
    if (result.null || controller.result_of(Hook::before_relay) != HookResult::json) return targets;
    return controller.targets_from_json(result.datum, sync.job);
}

void relay(SyncContext& sync, const JobType& type, const std::vector<Target>& targets) {
    if (is_part_of_set(sync.job)) {  // otherwise its children would be those of the set
        mark_leaves_set();
        throw pg::Error("0A000", "a document with several targets leaves its set job");
    }
    sync.status = Status::relayed;
    for (const Target& target : targets) {
        Job& child = sync.children.emplace_back(child_of(sync.job, type, target));
        for (Operation operation : sync.closed) child.set(Job::enabled_column(operation), pg::bool_datum(true));
    }
    sync.job.set(C::multiple_target_documents, as_json(targets, sync.job, sync.children));
    pg::Value ids{ids_of(sync.children), false};
    insert_children(sync);  // a dry run inserts them once more after its rollback; after_relay must find them in any case
    if (!sync.job.flag(C::dry_run)) sync.children.clear();
    pg::command_counter_increment();
    if (sync.controller->has(Hook::after_relay)) {
        call_hook(sync, Hook::after_relay, ids);
    }
}

void insert_children(SyncContext& sync) {
    for (const Job& child : sync.children) {
        insert_job(child);
        count_job(child, Counter::enqueued);
        wake_at_commit(child);
    }
}

}  // namespace sync_job
