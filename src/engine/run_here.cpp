// Runs one given job: in a session, through execute_sync_job(), or anywhere if its controller commits.
#include <algorithm>

#include "engine/claim.hpp"
#include "engine/document_batch.hpp"
#include "engine/runner.hpp"
#include "job/job_store.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "queue/record.hpp"
#include "shared/document_locks.hpp"
#include "shared/metrics.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// A worker unlocks a document a moment after its commit, which others see at once. Whoever has waited for that commit expects the document
// to be free, so wait a little.
void require_document(const Job& job) {
    constexpr int most_pauses = 200;
    constexpr long pause_milliseconds = 5;
    for (int i = 0; i < most_pauses; i++) {
        if (may_have_document(job)) return;
        pg::pause(pause_milliseconds);
    }
    throw pg::Error("55006", "another job of the document of " + describe(job) + " is running")
        .hint("Try again, or leave it to a worker.");
}

}  // namespace

namespace {

// Makes a Pending or Failed job Queued, so that it can be run by hand; for a Failed one this is a retry.
Job queued_by_hand(const StoredJob& stored) {
    if (stored.job.status() == Status::queued) return stored.job;
    Job job = stored.job.copy();
    if (job.status() == Status::failed) {
        count_job(job, Counter::retries);
        job.set(C::retry_count, pg::int32_datum(job.int32(C::retry_count) + 1));
    }
    job.set_status(Status::queued);
    store_job({job, stored.partition});
    return lock_job(job.id())->job;
}

}  // namespace

namespace {

// Runs the set's documents that no other job has; the rest goes on waiting in the queue.
Job run_set_here(const StoredJob& stored) {
    Job queued = queued_by_hand(stored);
    std::vector<std::string> names = pg::datum_text_array(queued.datum(C::source_documents)), free, busy;
    std::vector<bool> had = lock_documents(document_keys(queued));
    for (std::size_t i = 0; i < names.size(); i++) (had[i] ? free : busy).push_back(names[i]);
    if (free.empty()) {
        throw pg::Error("55006", "other jobs of the documents of " + describe(queued) + " run right now")
            .hint("Try again, or leave it to a worker.");
    }
    SetProgress set{as_started(queued), {}};
    StatementSize size;
    set.done = run_documents(set.job, free, {{0, false}}, size);
    set.done.left.insert(set.done.left.end(), busy.begin(), busy.end());
    record_set(set);
    announce_ended_at_commit();
    pg::command_counter_increment();
    return find_job(queued.id())->job;
}

}  // namespace

void Runner::run_one(const StoredJob& stored) {
    pg::MemorySwitch memory(memory_);
    try {
        if (is_set(stored.job)) {
            run_set_here(stored);
            return transactions_.commit();
        }
        require_document(stored.job);
        run_alone(queued_by_hand(stored), 1);
        if (set_aside_.has(stored.job.id())) {
            throw pg::Error("55000", "the end of " + describe(stored.job) + " could not be recorded")
                .hint("The server's log says why.");
        }
    } catch (...) {
        transactions_.rollback();
        throw;
    }
}

Job run_here(const StoredJob& stored, bool raise) {
    if (is_set(stored.job)) return run_set_here(stored);
    require_document(stored.job);
    struct Forget {
        std::int64_t id;
        ~Forget() { clear_in_progress(id); }
    } forget{stored.job.id()};  // needed if the caller catches the error and goes on
    Job queued = queued_by_hand(stored);
    Outcome outcome;
    try {
        pg::Subtransaction subtransaction;
        outcome = attempt(queued, {0, false});
        if (raise && outcome.error != nullptr) throw pg::Error(std::make_shared<pg::ErrorReport>(*outcome.error));
        pg::command_counter_increment();
        record({outcome});
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (raise || !pg::is_specific(error)) throw;
        outcome = failed_outcome(as_started(queued), error, true);
        record_end(outcome);
    }
    announce_ended_at_commit();
    pg::command_counter_increment();
    auto ended = find_job(outcome.job.id());  // includes what the job itself has stored
    return ended ? ended->job : outcome.job;
}

namespace {
// The classid of these locks in pg_locks: not the OID of a catalog.
constexpr Oid job_lock_class = 9999;
}  // namespace

bool lock_job_number(std::int64_t id) { return pg::try_lock_number(job_lock_class, id); }
void unlock_job_number(std::int64_t id) noexcept { pg::unlock_number(job_lock_class, id); }

namespace {
std::int64_t expected_committing_job = 0;
}  // namespace

void expect_committing_job(std::int64_t id) { expected_committing_job = id; }

bool take_committing_job(std::int64_t id) { return std::exchange(expected_committing_job, 0) == id && id != 0; }

namespace {

// Stores a full sync that has stopped because somebody wanted that, or to let others go first; its checkpoint tells how far it has come.
void store_stopped(const StoredJob& stored, const Job& stopped) {
    Job job = stored.job.copy();
    job.set_status(stopped.status());
    job.set(C::result, pg::Value{stopped.datum(C::result), stopped.is_null(C::result)});
    job.clear(C::started_at);
    store_job({job, Partition::live});
    if (job.status() == Status::queued) wake_at_commit(job);
}

}  // namespace

void run_committing_here(std::int64_t id) {
    auto stored = find_job(id);
    if (!stored || stored->job.status() != Status::started || remove_if_ended(*stored)) return;
    Outcome outcome = attempt_committing(stored->job);
    auto locked = lock_job(id);
    if (!locked || locked->job.status() != Status::started) return;
    if (outcome.job.status() == Status::pending || outcome.job.status() == Status::queued) return store_stopped(*locked, outcome.job);
    outcome.job.place = locked->job.place;
    // Keep what the job itself has stored in the meantime.
    for (C column : {C::checkpoint}) {
        outcome.job.set(column, pg::Value{locked->job.datum(column), locked->job.is_null(column)});
    }
    record({outcome});
    announce_ended_at_commit();
    pg::command_counter_increment();
}

}  // namespace sync_job
