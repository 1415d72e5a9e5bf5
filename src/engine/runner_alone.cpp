// The part of the runner that runs jobs alone, each in transactions of its own, after it was committed as Started.
#include <algorithm>

#include "engine/claim.hpp"
#include "engine/interruption.hpp"
#include "engine/plan_invalidation.hpp"
#include "engine/runner.hpp"
#include "engine/together.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/events.hpp"
#include "queue/record.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"
#include "shared/activity.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/document_locks.hpp"
#include "shared/metrics.hpp"
#include "shared/settings.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;

constexpr int most_repeats = 3;
// A job that waits for somebody else's lock gives way to other jobs after the first of these times, next time after twice as long, and so
// on: when many jobs wait for one lock, it must get its turn.
constexpr auto first_lock_patience = std::chrono::seconds(2);
constexpr auto longest_lock_patience = std::chrono::seconds(16);
constexpr long repeat_pause_milliseconds = 10;  // before the first repeat; four times as long before each next one

}  // namespace

int Runner::run_next_of_alone() {
    std::int64_t id = alone_.front();
    alone_.pop_front();
    // The process it deadlocked with is about to wake up. If the job ran at once, it would get the same locks before that, and deadlock
    // again.
    if (auto met = repeats_.find(id); met != repeats_.end() && met->second > 0) {
        pg::pause(repeat_pause_milliseconds << 2 * (met->second - 1));
    }
    bool busy = false;
    auto stored = lock_job(id, false, &busy);
    bool ours = stored && stored->job.status() == Status::queued &&
                (runs_while_paused(stored->job.text(C::operation)) || !type_is_held(std::string(stored->job.text(C::sync_job_type)))) &&
                may_have_document(stored->job) &&
                !waits_for_children(stored->job) &&
                take_type_slot_for(std::string(stored->job.text(C::sync_job_type)));
    if (ours && !may_run_alone()) return 1;
    if (!ours) {  // canceled, run by somebody else, held, or behind another job of its document or type: if it is still to
                  // run, it is in the queue
        repeats_.erase(id);
        forget_lock_wait(id);
        transactions_.commit();
        return 1;
    }
    return run_alone(stored->job, 1);
}

// How many microseconds the job may wait for a lock while other jobs could run.
std::int64_t Runner::lock_patience(std::int64_t id) const {
    auto waited = lock_waits_.find(id);
    int times = waited == lock_waits_.end() ? 0 : waited->second.times;
    auto patience = std::min<std::chrono::microseconds>(first_lock_patience * (1 << std::min(times, 8)), longest_lock_patience);
    return patience.count();
}

void Runner::leave_out_for_lock(std::int64_t id) {
    constexpr int for_others = 4;  // it is left out for this many times as long as it waited
    std::chrono::microseconds pause(lock_patience(id) * for_others);
    LockWait& wait = lock_waits_[id];
    wait = {wait.times + 1, true, Clock::now() + pause};
    show_lock_waits(lock_waits_.size());
}

void Runner::forget_lock_wait(std::int64_t id) {
    if (lock_waits_.erase(id) > 0) show_lock_waits(lock_waits_.size());
}

bool Runner::some_wait_for_locks() const {
    return std::any_of(lock_waits_.begin(), lock_waits_.end(), [](const auto& entry) { return entry.second.left_out; });
}

// The job that has been left out for longest waits for its lock again when the queue has nothing else or its time has come.
void Runner::try_locks_again() {
    auto first = lock_waits_.end();
    for (auto it = lock_waits_.begin(); it != lock_waits_.end(); ++it) {
        if (it->second.left_out && (first == lock_waits_.end() || it->second.until < first->second.until)) first = it;
    }
    if (first == lock_waits_.end() || (!nothing_else_due_ && Clock::now() < first->second.until)) return;
    nothing_else_due_ = false;
    first->second.left_out = false;
    alone_.push_back(first->first);
}

void Runner::mark_started(const Job& claimed) {
    Job started = claimed.copy();
    started.set_status(Status::started);
    started.set(C::started_at, pg::int64_datum(pg::now()));
    started.set(C::worker_pid, pg::int32_datum(pg::my_pid()));
    store_job({started, Partition::live});
    note_change(started);
    publish_start(started);
}

namespace {

class NumberLock {
public:
    explicit NumberLock(std::int64_t id) : id_(id), outer_(show_alone(id)) {}
    ~NumberLock() {
        show_alone(outer_);
        unlock_job_number(id_);
    }
    NumberLock(const NumberLock&) = delete;
    NumberLock& operator=(const NumberLock&) = delete;

private:
    std::int64_t id_, outer_;  // a job that runs alone may itself run jobs
};

}  // namespace

// Whether the role's share leaves a place for one more of its jobs to run alone; if not, ends the transaction. Superusers, operators and
// managers may have all places.
bool Runner::may_run_alone() {
    auto queue = find_queue(queue_);
    bool may = take_place_alone(queue == nullptr ? 0 : queue->max_workers, settings.max_workers) ||
               ((has_level(run_as_, Level::operator_) || has_level(run_as_, Level::manager)) && take_place_alone(0, 0));
    if (may) return true;
    gives_way_ = true;
    transactions_.commit();
    return false;
}

namespace {

// A job that runs alone keeps its place while it runs other jobs in its process.
class LeavePlaceAlone {
public:
    LeavePlaceAlone() { depth_++; }
    ~LeavePlaceAlone() {
        if (--depth_ == 0) leave_place_alone();
    }
    LeavePlaceAlone(const LeavePlaceAlone&) = delete;
    LeavePlaceAlone& operator=(const LeavePlaceAlone&) = delete;

private:
    static inline int depth_ = 0;
};

}  // namespace

// Marks the job as Started; the next commit makes that visible.
Runner::Alone Runner::begin_alone(const Job& claimed) {
    std::int64_t id = claimed.id();
    if (isolated_jobs_ > 0) isolated_jobs_--;
    if (!lock_job_number(id)) {
        throw pg::Error("55006", "the number of " + describe(claimed) + " is locked by another session");
    }
    try {
        Alone alone{id, needs_own_transactions(claimed), document_key(claimed),
                    type_key(std::string(claimed.text(C::sync_job_type)))};
        mark_started(claimed);
        return alone;
    } catch (...) {
        unlock_job_number(id);
        throw;
    }
}

// Marks the job as Started and commits that. Nothing: that failed, and with it the job.
std::optional<Runner::Alone> Runner::commit_as_started(const Job& claimed) {
    std::optional<Alone> alone;
    std::int64_t outer = 0;
    try {
        alone = begin_alone(claimed);
        outer = show_alone(alone->id);
        transactions_.commit();
        show_alone(outer);
        return alone;
    } catch (const pg::Error& error) {
        bool locked = error.sqlstate() == "55006";  // the scheduler has locked the job's number for a moment
        transactions_.rollback();
        if (alone) {
            show_alone(outer);
            unlock_job_number(alone->id);
        }
        if (locked || !pg::is_specific(error)) throw;
        fail(claimed.id(), error);
        return std::nullopt;
    }
}

// If the next job must run alone, too, the commit that ends one job starts the next.
int Runner::run_alone(const Job& claimed, int most) {
    auto until = Clock::now() + std::chrono::milliseconds(limits_.batch_milliseconds);
    HoldLocksAcrossTransactions keep;
    LeavePlaceAlone leave_place;
    int ended = 0;
    for (auto current = commit_as_started(claimed); current; current = next_) {
        NumberLock lock(current->id);
        if (ended > 0) keep.release_all_but(current->document, current->type);
        if (resume_) set_claim_start(*std::exchange(resume_, std::nullopt));
        ended++;
        next_.reset();
        may_start_next_ = ended < most && Clock::now() < until;
        run_one_alone(*current);
    }
    return std::max(ended, 1);
}

// Runs the job in a transaction of its own, or in several.
void Runner::run_one_alone(const Alone& job) {
    std::int64_t id = job.id;
    try {
        if (job.committing) {
            transactions_.run_committing_job(id);
        } else {
            transactions_.begin();
            run_started(id);
        }
    } catch (const pg::Error& error) {
        // The commit failed (a deferred constraint), or something outside the job: in both cases the attempt has failed.
        transactions_.rollback();
        if (!cancel_requested(id)) note_interruption(error);
        if (next_) unlock_job_number(next_->id);
        next_.reset();
        resume_.reset();
        if (may_help_together(error.sqlstate()) && queue_for_together(id)) return;
        counts_alone_.erase(id);
        fail(id, error);
    }
}

namespace {

Outcome outcome_of_error(const Job& job, const pg::Error& error) {
    if (error.sqlstate() == "57014" && cancel_requested(job.id())) return canceled_outcome(job);
    return failed_outcome(job, error, !pg::is_server_trouble(error));
}

}  // namespace

// The attempt ended with an error of the engine's own and was rolled back. If the failure cannot be recorded with everything that follows
// from it, it is recorded without that. If even this fails, the job is set aside for a while and left to recovery. After that, trouble of
// the server is raised.
void Runner::fail(std::int64_t id, const pg::Error& error) {
    forget_lock_wait(id);
    for (bool bare : {false, true}) {
        try {
            transactions_.begin();
            auto stored = lock_job(id);
            if (stored && stored->partition == Partition::live && stored->job.status() != Status::pending) {
                Outcome outcome = outcome_of_error(stored->job, error);
                bare ? record_bare_end(outcome) : record({outcome});
                announce_ended_at_commit();
            }
            transactions_.commit();
            set_aside_.remove(id);
            break;
        } catch (const pg::Error& another) {
            transactions_.rollback();
            if (!pg::is_specific(another)) throw;
            if (bare) {
                set_aside_.add(id, another);
            } else {
                pg::log_error("the end of sync job " + std::to_string(id) + " is recorded without what follows from it", another);
            }
        }
    }
    if (pg::is_server_trouble(error)) throw error;
}

// Marks the next job in the queue as Started if it, too, runs alone: the commit that ends the current job starts it.
void Runner::start_next() {
    if (!may_start_next_ || is_interrupted() || !alone_.empty() || isolated_jobs_ > 0) return;
    auto queue = find_queue(queue_);
    if (queue == nullptr || queue->paused) return;
    try {  // an error here must not fail the job that has ended
        pg::Subtransaction subtransaction;
        std::optional<Job> job;
        {
            Claim claim(queue_, run_as_, begin_claim(), sweep_, false, [this](std::int64_t id) { return is_left_out(id); });
            job = claim.next();
            claim.end();
            bool alone = job && !is_set(*job) && !suits_batch(*job);
            if (job && !alone) claim.leave(*job);
            if (alone) resume_ = claim.resume();
        }
        if (resume_) next_ = begin_alone(*job);
        subtransaction.commit();
    } catch (const pg::Error&) {
        if (next_) unlock_job_number(next_->id);
        next_.reset();
        resume_.reset();
        sweep_ = {};
    }
}

// The job is Started, and nothing else runs in this transaction.
void Runner::run_started(std::int64_t id) {
    auto stored = lock_job(id);
    if (!stored || stored->job.status() != Status::started || remove_if_ended(*stored)) {
        transactions_.commit();
        return;
    }
    bool in_worker = transactions_.ends_with_process();
    Outcome outcome = attempt(stored->job, {0, repeats_[id] < most_repeats, in_worker, may_run_together(stored->job),
                                            in_worker ? lock_patience(id) : 0});
    pg::command_counter_increment();
    if (outcome.verdict != Verdict::ended) {
        queue_again(stored->job);
        record({outcome});
        transactions_.commit();
        if (outcome.waits_for_lock) {
            leave_out_for_lock(id);
        } else if (outcome.verdict == Verdict::run_alone) {
            run_alone_next(id, outcome.repeatable_error);
        } else {
            run_together_later(std::string(stored->job.text(C::sync_job_type)), id);
        }
        return;
    }
    repeats_.erase(id);
    forget_lock_wait(id);
    count_fast(outcome.job);
    record({outcome});
    announce_ended_at_commit();
    if (!wants_new_process()) start_next();
    transactions_.commit();
    counts_alone_.erase(id);
}

}  // namespace sync_job
