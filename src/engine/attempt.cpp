#include "engine/attempt.hpp"

#include <random>

#include "controller/background_call.hpp"
#include "controller/search_path.hpp"
#include "core/retry.hpp"
#include "core/text.hpp"
#include "engine/interruption.hpp"
#include "engine/plan_invalidation.hpp"
#include "engine/relay.hpp"
#include "engine/sync.hpp"
#include "engine/together.hpp"
#include "job/schema_objects.hpp"
#include "pg/deadline.hpp"
#include "pg/hooks.hpp"
#include "pg/json.hpp"
#include "pg/lock_patience.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "queue/task.hpp"
#include "queue/setup_error.hpp"
#include "shared/activity.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::string title_label(Oid relation) { return relation == pg::no_oid ? std::string() : pg::relation_name(relation); }

// Keeps snapshots of the target, with verbose_logging or after a failure. If its type cannot print a value, the snapshot is lost, but the
// job does not fail.
void record_snapshots(Job& job, const SyncContext& sync) {
    const auto& type = sync.documents.target_type;
    if (type == nullptr || (sync.before.null && sync.wanted.null)) return;
    try {
        pg::Subtransaction subtransaction;
        if (!sync.before.null) job.set(C::current_data, type->snapshot(sync.before.datum, sync.secret));
        if (!sync.wanted.null) job.set(C::updated_data, type->snapshot(sync.wanted.datum, sync.secret));
        subtransaction.commit();
    } catch (const pg::Error& error) {
        pg::warning("could not keep the snapshot of " + describe(job) + ": " + recordable(error, job)->message);
    }
}

// The job with everything that a successful attempt found out.
Job finished_job(const Job& original, const SyncContext& sync) {
    Job job = original.copy();
    const Job& found = sync.job;
    for (C column : {C::source_document_type, C::target_document_type, C::target_document_name, C::operation, C::multiple_target_documents}) {
        job.set(column, pg::Value{found.datum(column), found.is_null(column)});
    }
    if (!sync.context.null) job.set(C::context, sync.context);
    if (job.is_null(C::procedure) && !task_of(job)) {
        job.set_title(title_label(job.oid(C::source_document_type)), title_label(job.oid(C::target_document_type)));
    }
    job.set(C::diff_summary, sync.diff);
    job.set(C::result, sync.result);
    if (!is_part_of_set(job)) job.set(C::fingerprint, sync.fingerprint);
    for (C column : {C::error_message, C::retry_after, C::messages, C::current_data, C::updated_data})
        job.clear(column);
    if (job.flag(C::verbose_logging)) record_snapshots(job, sync);
    job.set_status(sync.status);
    return job;
}

pg::Error timeout_error(const Job& job) {
    std::string limit = pg::value_to_text(job.datum(C::timeout), pg::type::interval);
    return pg::Error("57014", "canceled because of its timeout of " + limit)
        .hint("Raise timeout of the sync job type or the queue, or have the job do less.");
}

// An object with the fields of sync_job_error.
Datum error_as_json(const Outcome& outcome) {
    const pg::ErrorReport& report = *outcome.error;
    pg::JsonBuilder json;
    json.begin_object();
    json.key("sync_job");
    json.number(outcome.job.id());
    json.key("attempt");
    json.number(outcome.job.int32(C::retry_count) + 1);
    json.key("occurred_at");
    json.value(outcome.job.datum(C::ended_at), false, pg::type::timestamptz, false);
    json.field("sqlstate", report.sqlstate);
    json.field("message", report.message);
    json.field("detail", report.detail);
    json.field("hint", report.hint);
    json.field("context", report.context);
    json.key("counted");
    json.boolean(outcome.counted);
    json.end_object();
    return json.finish();
}

struct Limit {
    std::int64_t microseconds;
    bool of_batch;
};

Limit limit_for(const Job& job, const AttemptLimits& limits) {
    std::int64_t timeout = job.microseconds(C::timeout);
    std::int64_t batch = limits.batch_microseconds;
    if (batch > 0 && (timeout == 0 || batch < timeout)) return {batch, true};
    return {timeout, false};
}

// Whether the deferred constraints hold before the job runs: an earlier violation is not the job's fault.
bool deferred_constraints_hold() {
    try {
        pg::Subtransaction subtransaction;
        pg::fire_deferred_triggers();
        subtransaction.rollback();
        return true;
    } catch (const pg::Error&) {
        return false;
    }
}

// An exception of C++ itself counts as an error of the job, too: it must not end the worker.
template <class F>
void with_errors_of_its_own(F&& act) {
    try {
        act();
    } catch (const pg::Error&) {
        throw;
    } catch (const std::exception& error) {
        throw pg::Error("XX000", std::string("unexpected error: ") + error.what());
    }
}

// Called within the subtransaction of the attempt.
void run_until_deadline(SyncContext& sync, const JobType& type, pg::Deadline& deadline, const Limit& limit, bool check_deferred) {
    {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        run_sync(sync, type);
        if (check_deferred) pg::fire_deferred_triggers();
    }
    deadline.stop();
    // The job caught its cancellation and went on: it has still exceeded its time.
    if (deadline.passed() && !limit.of_batch) throw timeout_error(sync.job);
    if (leaves_set()) throw pg::Error("0A000", "the document leaves its set job");  // it caught the error that told it to
}

// Runs the job in a subtransaction, which it commits; after a dry run it rolls it back.
void run_in_subtransaction(SyncContext& sync, const JobType& type, pg::Deadline& deadline, const Limit& limit,
                           bool check_deferred) {
    pg::Subtransaction subtransaction;
    run_until_deadline(sync, type, deadline, limit, check_deferred);
    if (sync.job.flag(C::dry_run)) {
        subtransaction.rollback();
    } else {
        subtransaction.commit();
    }
}

Outcome ended_well(const Job& original, const SyncContext& sync) {
    Outcome outcome;
    outcome.job = finished_job(original, sync);
    outcome.fingerprint = sync.fingerprint;
    stamp_end(outcome.job);
    return outcome;
}

Outcome judge_failure(const Job& original, SyncContext& sync, const pg::Error& error, const AttemptLimits& limits,
                      const Limit& limit, const pg::Deadline& deadline, bool gave_up_waiting) {
    bool deadline_passed = deadline.passed();
    Outcome outcome;
    outcome.job = original.copy();
    // Whatever the error is: procedural languages, and code that catches and raises errors, turn a cancellation into an error of their own.
    if (cancel_requested(original.id())) return canceled_outcome(original);
    if (leaves_set()) {
        outcome.verdict = Verdict::run_alone;
        return outcome;
    }
    if (deadline_passed && limit.of_batch) {
        outcome.verdict = Verdict::run_alone;
        outcome.too_long = !deadline.passed_waiting();
        return outcome;
    }
    if (deadline_passed) {
        auto report = std::make_shared<pg::ErrorReport>(timeout_error(original).report());
        auto last = recordable(error, original);
        if (error.sqlstate() != "57014") report->detail = "It ended with: " + last->message + ".";
        report->context = last->context;
        outcome = failed_outcome(original, pg::Error(report), true);
        record_snapshots(outcome.job, sync);
        return outcome;
    }
    if (gave_up_waiting) {
        outcome.verdict = Verdict::run_alone;
        outcome.waits_for_lock = true;
        return outcome;
    }
    if (is_repeatable(error.sqlstate()) && limits.may_repeat) {
        outcome.verdict = Verdict::run_alone;
        outcome.repeatable_error = true;
        return outcome;
    }
    if (sync.engine_at_work && pg::is_server_trouble(error)) {
        if (sync.own_transactions) return failed_outcome(original, error, false);  // the session must be restored first
        throw error;
    }
    if (runs_again_in_new_process(original, error, limits.may_leave)) {
        outcome.verdict = Verdict::run_alone;
        outcome.error = recordable(error, original);
        outcome.counted = false;
        return outcome;
    }
    note_interruption(error);
    bool counted = dynamic_cast<const SetupError*>(&error) == nullptr;
    outcome = counted ? failed_outcome(original, error, true) : setup_failure(original, error);
    if (counted && limits.may_run_together && depends_on_other_documents(error.sqlstate())) {
        outcome.verdict = Verdict::run_together;
        outcome.error = nullptr;
        return outcome;
    }
    record_snapshots(outcome.job, sync);
    return outcome;
}

// Whatever was not found may be in a schema that was left out of the search_path.
void tell_of_left_out_schemas(pg::Error& error, const JobType& type) {
    const std::string sqlstate = error.sqlstate();
    if (sqlstate != "42P01" && sqlstate != "42883" && sqlstate != "42704") return;
    std::vector<std::string> schemas;
    for (const LeftOut& left_out : left_out_of_search_path(type)) schemas.push_back(quoted(left_out.schema));
    if (schemas.empty()) return;
    std::string hint = error.report().hint.empty() ? "" : error.report().hint + " ";
    error.hint(hint + "Not on the search_path of the job: " + join(schemas, ", ") +
               ", where others may create objects; see validate_sync_job_type().");
}

// An error in the set-up is reported to the hook only once: each retry meets it again.
void call_failed_hook(SyncContext& sync, const JobType& type, const Outcome& outcome) {
    if (outcome.verdict != Verdict::ended || outcome.error == nullptr) return;
    if (outcome.setup_error && !outcome.news) return;
    if (sync.controller == nullptr && sync.trusted) sync.controller = find_failed_hook(type);
    sync.job = outcome.job;  // as it is about to be stored
    call_quietly(Hook::failed, sync, {error_as_json(outcome), false});
}

// Somebody else has inserted the target, or this process's caches of tables and functions are out of date.
bool deserves_second_look(const SyncContext& sync, const pg::Error& error) {
    return (error.sqlstate() == "23505" && sync.inserting) || dropped_stale_plans(error);
}

// One pass: finds the targets, syncs, judges the result. `look_again` is null in the second pass.
Outcome pass(const Job& original, const JobType& type, const AttemptLimits& limits, bool* look_again) {
    SyncContext sync;
    sync.job = original.copy();
    sync.second_look = look_again == nullptr;
    sync.push = limits.push;
    Limit limit = limit_for(original, limits);
    bool check_deferred = original.flag(C::dry_run) && deferred_constraints_hold();
    if (original.flag(C::dry_run) && !check_deferred && limits.batch_microseconds > 0) {
        Outcome outcome;
        outcome.job = original.copy();
        outcome.verdict = Verdict::run_alone;
        return outcome;
    }
    pg::LockPatience patience(limits.lock_patience_microseconds);
    pg::Deadline deadline(limit.microseconds);
    try {
        with_errors_of_its_own([&] { run_in_subtransaction(sync, type, deadline, limit, check_deferred); });
        patience.stop();
    } catch (pg::Error& error) {
        deadline.stop();
        patience.stop();
        if (look_again != nullptr && deserves_second_look(sync, error)) {
            *look_again = true;
            return {};
        }
        tell_of_left_out_schemas(error, type);
        Outcome outcome = judge_failure(original, sync, error, limits, limit, deadline, patience.gave_up());
        call_failed_hook(sync, type, outcome);
        return outcome;
    }
    insert_children(sync);
    Outcome outcome = ended_well(original, sync);
    sync.job = outcome.job;  // as it is about to be stored
    if (sync.status != Status::no_target) call_quietly(Hook::finished, sync, {});
    return outcome;
}

std::shared_ptr<const JobType> type_of(const Job& job) {
    return find_job_type(std::string(job.text(C::sync_job_type)));
}

}  // namespace

void set_trace(const Job& job, const JobType& type) {
    std::string trace(type.declarative() ? "" : job.text(C::traceparent));
    if (trace != settings.traceparent) pg::set_local("sync_job.traceparent", trace);
}

Outcome attempt(const Job& job, const AttemptLimits& limits) {
    Job started = as_started(job);
    std::string subject = describe(job);
    pg::ErrorContext context("sync " + subject);
    CurrentJobScope current(started, subject, depth_of(started));
    auto type = type_of(job);
    if (type == nullptr) {
        return failed_outcome(
            started, pg::Error("42704", "sync job type " + quoted(job.text(C::sync_job_type)) + " does not exist"),
            true);
    }
    Outcome outcome;
    {
        pg::SettingsScope settings;
        set_search_path(*type);
        set_trace(job, *type);
        pg::MessageCapture messages(job.flag(C::verbose_logging));
        bool look_again = false;
        outcome = pass(started, *type, limits, &look_again);
        if (look_again) {
            pg::command_counter_increment();
            outcome = pass(started, *type, limits, nullptr);
        }
        if (outcome.verdict == Verdict::ended && !messages.text().empty()) {
            outcome.job.set_text(C::messages, messages.text());
        }
    }
    // A failed job keeps its end time: the time of the next retry is counted from it, and the hook has already seen it.
    if (outcome.verdict == Verdict::ended && outcome.error == nullptr) stamp_end(outcome.job);
    return outcome;
}

namespace {

// Called within the subtransaction that the job shares with others. Raises the job's error.
Outcome attempt_within(const Job& job, const JobType& type, const AttemptLimits& limits) {
    Job started = as_started(job);
    std::string subject = describe(job);
    pg::ErrorContext context("sync " + subject);
    CurrentJobScope current(started, subject, depth_of(started));
    pg::SettingsScope settings;
    set_search_path(type);
    set_trace(job, type);
    SyncContext sync;
    sync.job = started.copy();
    Limit limit = limit_for(started, limits);
    pg::Deadline deadline(limit.microseconds);
    run_until_deadline(sync, type, deadline, limit, false);
    return ended_well(started, sync);
}

bool shares(const Job& job, const JobType& type) {
    return is_part_of_set(job) && !job.flag(C::dry_run) && !job.flag(C::verbose_logging) && !type.declarative();
}

}  // namespace

std::optional<SharedAttempt> attempt_sharing(const std::vector<Job>& jobs, const AttemptLimits& limits,
                                             const std::function<bool()>& is_full) {
    SharedAttempt shared;
    auto type = type_of(jobs[0]);
    if (type == nullptr || !shares(jobs[0], *type)) return std::nullopt;
    try {
        bool has_late_hook = false;
        with_errors_of_its_own([&] {
            pg::Subtransaction subtransaction;
            has_late_hook = find_controller(*type)->has(Hook::finished);
            for (const Job& job : jobs) {
                if (has_late_hook || (!shared.outcomes.empty() && is_full && is_full())) break;
                shared.outcomes.push_back(attempt_within(job, *type, limits));
                pg::command_counter_increment();
            }
            subtransaction.commit();
        });
        if (has_late_hook) return std::nullopt;
    } catch (const pg::Error&) {
        shared.rolled_back = true;
    }
    return shared;
}

Outcome attempt_committing(const Job& started) {
    std::string subject = describe(started);
    pg::ErrorContext context("sync " + subject);
    CurrentJobScope current(started, subject, depth_of(started));
    auto type = require_job_type(std::string(started.text(C::sync_job_type)));
    std::string path_before = pg::get_setting("search_path");
    const std::string& path = search_path_of(*type);
    std::string trace_before = settings.traceparent;
    if (!path.empty()) pg::set_session("search_path", path);
    pg::set_session("sync_job.traceparent", std::string(started.text(C::traceparent)));
    pg::spi_commit();  // so that a rollback in the job does not undo the setting
    pg::ensure_portal_snapshot();
    SyncContext sync;
    sync.job = started.copy();
    sync.own_transactions = true;
    Limit limit = limit_for(started, {});
    if (task_of(started)) limit.microseconds = 0;  // the time limit applies to each chunk
    Outcome outcome;
    {
        pg::Deadline deadline(limit.microseconds);
        try {
            with_errors_of_its_own([&] { run_sync(sync, *type); });
            deadline.stop();
            outcome.job = finished_job(started, sync);
        } catch (const pg::Error& error) {
            deadline.stop();
            pg::spi_rollback();
            pg::ensure_portal_snapshot();
            dropped_stale_plans(error);  // helps the next attempt: this one may have committed something
            outcome = judge_failure(started, sync, error, {0, false}, limit, deadline, false);
        }
    }
    pg::set_session("search_path", path_before);
    pg::set_session("sync_job.traceparent", trace_before);
    if (outcome.error != nullptr) {
        call_failed_hook(sync, *type, outcome);
        return outcome;
    }
    stamp_end(outcome.job);
    if (outcome.job.status() == Status::finished) {
        sync.job = outcome.job;
        call_quietly(Hook::finished, sync, {});
    }
    return outcome;
}

bool is_batchable(const Job& job) {
    if (task_of(job)) return false;
    auto type = type_of(job);
    if (type == nullptr) return true;
    ControllerKind kind = controller_kind(*type);
    return !kind.commits && type->batchable.value_or(!kind.bypass);
}

bool needs_own_transactions(const Job& job) {
    auto type = type_of(job);
    if (type == nullptr || job.flag(C::dry_run)) return false;
    if (task_of(job)) return task_of(job) == Task::full_sync;
    if (!type->background) return controller_kind(*type).commits;
    try {
        pg::Subtransaction subtransaction;
        bool procedure = calls_procedure(job);
        subtransaction.commit();
        return procedure;
    } catch (const pg::Error&) {
        return false;  // it is gone; the attempt will report that
    }
}

}  // namespace sync_job
