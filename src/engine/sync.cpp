#include "engine/sync.hpp"

#include "controller/background_call.hpp"
#include "core/text.hpp"
#include "engine/compare.hpp"
#include "engine/full_sync.hpp"
#include "engine/relay.hpp"
#include "engine/replay_many.hpp"
#include "pg/deadline.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "queue/outcome.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// Replaces document types that were dropped since the job was enqueued with those that the job type now names.
void replace_dropped_document_types(Job& job, const JobType& type) {
    auto replace = [&](C column, Oid now) {
        Oid then = job.oid(column);
        if (then != now && then != pg::no_oid && now != pg::no_oid && !pg::relation_exists(then)) job.set_oid(column, now);
    };
    replace(C::source_document_type, type.source);
    replace(C::target_document_type, type.target);
}

// The targets: given by the job, or found by the controller.
std::vector<Target> discover(SyncContext& sync) {
    const Job& job = sync.job;
    auto operation = job.operation();
    bool named = !job.is_null(C::target_document_name);
    if (operation && (named || *operation == Operation::insert)) {
        Target target;
        target.operation = *operation;
        if (named) target.document_name = std::string(job.text(C::target_document_name));
        return {target};
    }
    if (sync.controller->match() != nullptr) return sync.controller->targets(job, sync.documents);
    return by_controller(sync, [&] { return sync.controller->targets(job, sync.documents); });
}

// A gate that the type has closed is also closed for the job as its controller sees it. Not for its children: they check when they run.
void close_gates(SyncContext& sync, const JobType& type) {
    for (Operation operation : {Operation::insert, Operation::update, Operation::remove}) {
        if (type.enables(operation) || !sync.job.enables(operation)) continue;
        sync.job.set(Job::enabled_column(operation), pg::bool_datum(false));
        sync.closed.push_back(operation);
    }
}

void run_bypass(SyncContext& sync) {
    BypassResult result = by_controller(sync, [&] { return sync.controller->execute(sync.job, sync.documents); });
    Job& job = sync.job;
    if (result.document_type != pg::no_oid) job.set_oid(C::target_document_type, result.document_type);
    if (result.document_name) job.set_text(C::target_document_name, *result.document_name);
    if (result.operation) job.set_text(C::operation, to_text(*result.operation));
    if (!result.diff.null) sync.diff = {without_secrets(result.diff.datum, sync.secret), false};
    if (result.status) sync.status = *result.status;
    if (!result.result.null) sync.result = result.result;
}

// Only an HTTP worker can run such a job. The type has changed since the job was claimed, so it is claimed again.
void require_same_kind(const SyncContext& sync, const JobType& type) {
    if (type.is_push() == (sync.push != nullptr)) return;
    throw pg::Error("40001", "sync job type " + quoted(type.name) + (type.is_push() ? " has become an HTTP push" : " is no HTTP push any more"));
}

void run_document_sync(SyncContext& sync, const JobType& type) {
    require_trusted_type(type, sync.job);
    sync.trusted = true;
    sync.secret = type.secret_columns;
    replace_dropped_document_types(sync.job, type);
    close_gates(sync, type);
    require_same_kind(sync, type);
    sync.controller = find_controller(type);
    if (sync.push != nullptr && sync.push->reply != nullptr) return write_answer(sync, type);
    load_source(sync, type);
    if (sync.was_not_there || is_no_surplus_any_more(sync)) {
        sync.status = Status::no_target;
        return;
    }
    if (sync.controller->has(Hook::after_start)) {
        call_hook(sync, Hook::after_start);
    }
    if (sync.controller->bypass()) return run_bypass(sync);
    std::vector<Target> targets = discover(sync);
    if (targets.size() > 1) targets = filtered_by_hook(sync, targets);
    if (targets.empty()) {
        sync.status = Status::no_target;
    } else if (targets.size() == 1) {
        sync_target(sync, type, targets[0]);
        remove_left_behind(sync, type, targets[0].left_behind);
    } else {
        relay(sync, type, targets);
    }
}

}  // namespace

pg::Value call_hook(SyncContext& sync, Hook hook, pg::Value extra) {
    return by_controller(sync, [&] { return sync.controller->call_hook(hook, sync.job, sync.documents, extra); });
}

void run_sync(SyncContext& sync, const JobType& type) {
    if (type.background) {
        BackgroundCall call = prepare_call(std::string(sync.job.text(C::procedure)),
                                           {sync.job.datum(C::context), sync.job.is_null(C::context)});
        sync.result = by_controller(sync, [&] { return make_call(call, sync.own_transactions); });
        return;
    }
    if (auto task = task_of(sync.job)) {
        sync.engine_at_work = false;  // it concerns all documents: if they exceed the server's resources, that is the job's fault
        if (task == Task::full_sync) return run_full_sync(sync, type);
        require_trusted_type(type, sync.job);
        sync.result = task == Task::compare ? run_comparison(sync.job, type) : run_replay(sync.job, type);
        return;
    }
    run_document_sync(sync, type);
    if (sync.push == nullptr) forget_kept(sync);  // a push is not sent yet, and its request may be made anew
}

void call_quietly(Hook hook, SyncContext& sync, pg::Value extra) {
    if (sync.controller == nullptr || !sync.controller->has(hook)) return;
    pg::Deadline deadline(sync.job.microseconds(C::timeout));
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            call_hook(sync, hook, extra);
        }
        if (sync.job.flag(C::dry_run)) {
            subtransaction.rollback();
        } else {
            subtransaction.commit();
        }
    } catch (const pg::Error& error) {
        std::string name = hook == Hook::finished ? "finished" : "failed";
        pg::warning("hook " + name + " of sync " + describe(sync.job) + " failed: " + recordable(error, sync.job)->message);
    }
}

}  // namespace sync_job
