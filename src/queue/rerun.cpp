#include "queue/rerun.hpp"

#include "pg/error.hpp"
#include "queue/task.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::string name_of(const Job& job) { return "sync job " + std::to_string(job.id()); }

void require_ended(const Job& job) {
    bool is_retried = job.status() == Status::failed && !job.is_null(C::retry_after);
    if (has_ended(job.status()) && !is_retried) return;
    pg::Error error("55000", "cannot rerun " + name_of(job) + " with status " + std::string(to_text(job.status())));
    if (!is_retried) throw error.detail("The job must have ended.");
    throw error.detail("It is retried anyway.").hint("Use retry_sync_job(" + std::to_string(job.id()) + ") to have that done now.");
}

// A set that has ended no longer has its documents. And a job that applied or reverted others wrote recorded diffs, of jobs that may be
// gone.
void require_known_documents(const Job& job) {
    pg::Error error("55000", "cannot rerun " + name_of(job));
    if (!job.is_null(C::documents)) {
        throw error.detail("It was for a set of documents.").hint("Use enqueue_sync_jobs() with their names; see sync_job_document.");
    }
    if (auto task = task_of(job); task == Task::revert || task == Task::apply) {
        throw error.detail("It was about many documents.").hint(task == Task::revert ? "Use enqueue_revert()." : "Use enqueue_apply().");
    }
    if (job.text(C::relation) != relation::replay) return;
    std::string of = job.is_null(C::parent_sync_job) ? "several sync jobs" : "sync job " + std::to_string(job.int64(C::parent_sync_job));
    throw error.detail("It records that the changes of " + of + " were applied or reverted.").hint(job.is_null(C::parent_sync_job) ? "Revert this one." : "Rerun that job, or revert this one.");
}

// Whether the target was given to the job, and not found by an attempt: because the job has not ended well, has no source for which to
// ask the controller, or got its target from its parent's controller.
bool target_was_given(const Job& job) {
    if (job.is_null(C::operation)) return false;
    if (job.status() == Status::failed || job.status() == Status::canceled || job.is_null(C::source_document_name)) return true;
    return job.text(C::relation) == relation::relay;
}

template <class T>
void set_unless(std::optional<T>& argument, T value, T usual) {
    if (value != usual) argument = std::move(value);
}

std::optional<std::string> text_at(const Job& job, C column) {
    return job.is_null(column) ? std::nullopt : std::optional<std::string>(job.text(column));
}

void add_running(EnqueueRequest& request, const Job& job, const JobType& type) {
    auto queue = find_queue(std::string(job.text(C::queue)));
    set_unless(request.queue, std::string(job.text(C::queue)), type.queue);
    set_unless(request.priority, job.int32(C::priority), type.priority);
    std::int64_t usual = type.timeout.value_or(queue == nullptr ? 0 : queue->timeout);
    set_unless(request.timeout, job.microseconds(C::timeout), usual);
    set_unless(request.retry_delay, job.microseconds(C::retry_delay), type.retry_delay);
    set_unless(request.retry_backoff, std::string(job.text(C::retry_backoff)), type.retry_backoff);
    set_unless(request.max_retries, job.int32(C::max_retries), type.max_retries);
    set_unless(request.verbose_logging, job.flag(C::verbose_logging), type.verbose_logging);
}

void add_documents(EnqueueRequest& request, const Job& job, const JobType& type) {
    request.source_document_name = text_at(job, C::source_document_name);
    if (type.source == pg::no_oid) request.source_document_type = job.oid(C::source_document_type);
    if (target_was_given(job)) {
        request.operation = std::string(job.text(C::operation));
        request.target_document_name = text_at(job, C::target_document_name);
        if (type.target == pg::no_oid) request.target_document_type = job.oid(C::target_document_type);
    }
    request.triggered_by_document_type = job.oid(C::triggered_by_document_type);
    request.triggered_by_document_name = text_at(job, C::triggered_by_document_name);
    if (!job.is_null(C::trigger_document_timestamp)) request.trigger_document_timestamp = job.int64(C::trigger_document_timestamp);
}

void add_background(EnqueueRequest& request, const Job& job) {
    request.procedure = text_at(job, C::procedure);
    request.on_success = text_at(job, C::on_success);
    request.on_failure = text_at(job, C::on_failure);
    request.title = std::string(job.text(C::title));
    request.run_as = job.oid(C::run_as);
}

}  // namespace

EnqueueRequest request_again(const Job& job) {
    require_ended(job);
    require_known_documents(job);
    auto type = require_job_type(std::string(job.text(C::sync_job_type)));
    EnqueueRequest request;
    request.sync_job_type = type->name;
    request.rerun_of = job.id();
    request.relation = relation::rerun;
    if (!job.is_null(C::context)) request.context = {job.datum(C::context), false};
    request.task = task_of(job);
    if (request.task) request.title = std::string(job.text(C::title));
    else add_documents(request, job, *type);
    add_running(request, job, *type);
    request.dry_run = job.flag(C::dry_run);
    request.insert_enabled = job.flag(C::insert_enabled);
    request.update_enabled = job.flag(C::update_enabled);
    request.delete_enabled = job.flag(C::delete_enabled);
    request.update_without_changes_enabled = job.flag(C::update_without_changes_enabled);
    request.job_id = text_at(job, C::job_id);
    request.job_group = text_at(job, C::job_group);
    request.publish_event = job.flag(C::publish_event);
    if (*settings.traceparent == '\0') request.traceparent = text_at(job, C::traceparent);
    if (type->background) add_background(request, job);
    return request;
}

}  // namespace sync_job
