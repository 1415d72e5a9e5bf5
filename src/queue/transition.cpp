#include "queue/transition.hpp"

#include "core/text.hpp"
#include "queue/outcome.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "queue/events.hpp"
#include "queue/push.hpp"
#include "queue/record.hpp"
#include "shared/metrics.hpp"
#include "shared/wake.hpp"

namespace sync_job {

using C = JobColumn;

void require_allowed(const Job& job, Action action) {
    if (allows(job.status(), action)) return;
    pg::Error error("55000", "cannot " + std::string(to_text(action)) + " sync job " + std::to_string(job.id()) +
                                 " with status " + std::string(to_text(job.status())));
    error.detail("The job must be " + std::string(allowed_states(action)) + ".");
    if (action == Action::cancel && job.status() == Status::started) {
        error.hint("Use cancel_sync_job(" + std::to_string(job.id()) + ", running => true) to stop it.");
    }
    throw error;
}

namespace {

Job queue_again(StoredJob& stored) {
    Job job = stored.job.copy();
    job.set_status(Status::queued);
    for (C column : {C::started_at, C::ended_at, C::time_taken, C::retry_after, C::worker_pid}) job.clear(column);
    hold_push(job);
    store_job({job, stored.partition});
    wake_at_commit(job);
    return job;
}

}  // namespace

Job start_job(StoredJob stored) {
    require_allowed(stored.job, Action::start);
    return queue_again(stored);
}

Job retry_job(StoredJob stored, pg::Value context, bool counted) {
    require_allowed(stored.job, Action::retry);
    stored.job = stored.job.copy();
    stored.job.clear(C::error_message);
    stored.job.clear(C::scheduled_at);
    count_job(stored.job, Counter::retries);
    if (counted) stored.job.set(C::retry_count, pg::int32_datum(stored.job.int32(C::retry_count) + 1));
    if (!context.null) stored.job.set(C::context, context);
    return queue_again(stored);
}

Job cancel_job(StoredJob stored, const std::string& reason) {
    require_allowed(stored.job, Action::cancel);
    Job job = stored.job.copy();
    job.set_status(Status::canceled);
    if (!reason.empty()) job.set_text(C::cancel_reason, reason);
    job.clear(C::retry_after);
    job.clear(C::source_documents);
    job.set(C::ended_at, pg::int64_datum(pg::now()));
    store_job({job, stored.partition});
    count_end(job);
    publish_end(job);
    announce_ended_at_commit();
    if (!job.is_null(C::parent_sync_job)) wake_blocked_at_commit();
    return job;
}

void release_job(StoredJob stored) {
    stored.job = stored.job.copy();
    stored.job.clear(C::held);
    store_job(stored);
    wake_at_commit(stored.job);
}

Job recover_job(StoredJob stored, const pg::Error* charge, std::int64_t pause_microseconds) {
    if (charge == nullptr) {
        stored.job = stored.job.copy();
        if (pause_microseconds > 0) stored.job.set(C::scheduled_at, pg::int64_datum(pg::now() + pause_microseconds));
        return queue_again(stored);
    }
    Outcome outcome = failed_outcome(stored.job, *charge, true);
    record_end(outcome);
    announce_ended_at_commit();
    return outcome.job;
}

}  // namespace sync_job
