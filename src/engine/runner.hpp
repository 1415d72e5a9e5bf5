// Runs the due jobs of one role in one queue: in batches that share a transaction, or alone.
//
// A round is one batch, or a few jobs alone, one after the other. In a batch, a job goes from Queued to its end in one commit. A job that
// runs alone is first committed as Started, so that everybody sees it and a crash can be blamed on it; a session-level lock on its number
// shows that its runner is alive. The commit that ends one such job starts the next.

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/claim_position.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/document_batch.hpp"
#include "engine/together.hpp"
#include "job/job_store.hpp"
#include "pg/memory.hpp"
#include "queue/outcome.hpp"
#include "queue/set_aside.hpp"

namespace sync_job {

// How transactions begin and end, depending on where the runner runs.
class Transactions {
public:
    virtual ~Transactions() = default;
    virtual void begin() = 0;
    virtual void commit() = 0;
    virtual void rollback() noexcept = 0;
    // Called between two transactions: sets the search_path that the next job most likely needs, for the session.
    virtual void keep_search_path(const std::string&) {}
    // Whether the caller ends the process on wants_new_process(), so that another one serves the queue.
    virtual bool ends_with_process() const { return false; }
    // Runs a job whose controller commits. That the job is Started has been committed. A worker calls this outside a transaction.
    virtual void run_committing_job(std::int64_t id) = 0;
};

struct RunnerLimits {
    int batch_milliseconds = 100;
    int batch_jobs = 500;
};

class Runner {
public:
    Runner(std::string queue, Oid run_as, Transactions& transactions, const RunnerLimits& limits);

    // Ends up to `most` jobs (0: as many as the limits allow). Returns how many it ended; 0: nothing was due. Raises errors that are no
    // job's fault, after a rollback. An error of one job, even one that the engine itself meets while ending it, fails only that job: it is
    // recorded as far as possible, and the other jobs go on.
    int run_round(int most);

    // Runs this job alone, whatever its queue is. The current transaction must have locked it.
    void run_one(const StoredJob& stored);

    // Runs the next `jobs` jobs alone: after a crash, that shows which one caused it.
    void isolate(int jobs) { isolated_jobs_ = jobs; }
    bool isolates() const { return isolated_jobs_ > 0; }
    // Whether the last batch ended because it was full, not because nothing was left.
    bool left_work() const { return left_work_; }
    // Whether the role has used up its share of the places for jobs that run alone: the caller should give up its place.
    bool gives_way() const { return gives_way_; }

private:
    // One transaction, and the outcomes of the jobs in it.
    struct Batch {
        std::vector<Outcome> outcomes;
        std::vector<SetProgress> sets;  // set jobs
        std::size_t documents = 0;      // documents of these
        std::optional<Job> single;  // claimed first, and must run alone: nothing else ran
        ClaimPosition resume;       // where the next claim may begin

        std::size_t jobs() const { return outcomes.size() + sets.size(); }
    };
    int run_batch(int most);
    void claim_and_run(Batch& batch, int batch_jobs);
    void commit_batch(const Batch& batch);
    void run_again_apart(const Batch& batch, const pg::Error& error);
    // Set jobs.
    void run_set_job(const Job& job, const std::vector<bool>& had_documents, Batch& batch);
    void follow_set(const SetProgress& set);
    // When the set is claimed again, each of its documents gets a job of its own.
    void break_up(std::int64_t set) { to_break_up_.insert(set); }
    ClaimPosition begin_claim();
    bool may_run_alone();
    // A Started job that runs in a transaction of its own.
    struct Alone {
        std::int64_t id;
        bool committing;
        std::uint64_t document, type;  // keys that are locked for it
    };
    Alone begin_alone(const Job& claimed);
    std::optional<Alone> commit_as_started(const Job& claimed);
    void fail(std::int64_t id, const pg::Error& error);
    int run_alone(const Job& claimed, int most);
    void run_one_alone(const Alone& job);
    void start_next();
    int run_next_of_alone();
    // Jobs that depend on documents of other jobs of their type.
    void run_together_later(const std::string& type, std::int64_t id);
    void run_alone_to_end(std::int64_t id);
    bool queue_for_together(std::int64_t id);
    bool may_run_together(const Job& job) const;
    static void queue_again(const Job& started);
    bool together_is_due() const;
    // Whether the job stays in the queue for now: it will run together with others later, it waits for a lock, or its end cannot be
    // recorded.
    bool is_left_out(std::int64_t id) const {
        if (together_.count(id) > 0 || set_aside_.has(id)) return true;
        auto waiting = lock_waits_.find(id);
        return waiting != lock_waits_.end() && waiting->second.left_out;
    }
    std::int64_t lock_patience(std::int64_t id) const;
    void leave_out_for_lock(std::int64_t id);
    void forget_lock_wait(std::int64_t id);
    bool some_wait_for_locks() const;
    void try_locks_again();
    int run_waiting_together();
    void follow_round(const std::string& type, const TogetherRound& round);
    void run_set(std::vector<Job> jobs, std::vector<Outcome>& outcomes);
    void run_by_itself(const Job& job, std::vector<Outcome>& outcomes);
    void check_growth(const Job& job);
    void mark_started(const Job& claimed);
    void run_started(std::int64_t id);
    void run_alone_next(std::int64_t id, bool repeatable_error);
    bool suits_batch(const Job& job);
    bool batch_is_full() const;
    bool takes_no_more(const std::vector<Outcome>& outcomes) const;
    void remember_slow_type(const Job& job);
    void count_fast(const Job& job);
    void show_slow_types() const;

    std::string queue_;
    Oid run_as_;
    Transactions& transactions_;
    const RunnerLimits& limits_;
    pg::Memory memory_;
    int isolated_jobs_ = 0;
    bool left_work_ = false, gives_way_ = false;
    Sweep sweep_;  // over jobs that cannot be taken now
    std::chrono::steady_clock::time_point batch_end_;
    int since_growth_check_ = 0;  // jobs since the tables were checked
    bool may_start_next_ = false;
    std::optional<Alone> next_;  // Started by the commit that ended the previous job
    std::optional<ClaimPosition> resume_;  // where claims begin once the job has been committed as Started
    std::vector<Job> returned_;  // claimed by the batch, but left in the queue
    std::unordered_set<std::uint64_t> left_documents_;  // documents of jobs of the batch that did not end with it
    StatementSize statement_size_;
    std::unordered_set<std::int64_t> to_break_up_;  // sets that could not be committed, or whose documents take too long
    // Jobs that left a batch and run alone next; and how often each met an error that was nobody's fault.
    std::deque<std::int64_t> alone_;
    std::unordered_map<std::int64_t, int> repeats_;
    std::int64_t attempted_ = 0;  // the job of the batch that is being attempted
    bool attempted_is_set_ = false;
    SetAside set_aside_{"recorded as Failed"};
    // Types that have jobs which depend on documents of others; those jobs; and since when there are any.
    std::map<std::string, std::vector<std::int64_t>> together_types_;
    std::unordered_set<std::int64_t> together_;
    std::chrono::steady_clock::time_point together_since_;
    std::unordered_set<std::int64_t> counts_alone_;  // jobs that were not helped by running together
    // Jobs that waited in vain for somebody else's lock. They are left out until the queue has nothing else, or for a certain time.
    struct LockWait {
        int times = 0;
        bool left_out = false;
        std::chrono::steady_clock::time_point until{};
    };
    std::unordered_map<std::int64_t, LockWait> lock_waits_;
    bool nothing_else_due_ = false;
    int waits_for_others_ = 0;  // consecutive rounds in which jobs were in progress elsewhere
    // Types that took too long for a batch: their jobs run alone.
    struct SlowType {
        std::chrono::steady_clock::time_point until;
        std::uint64_t definitions;  // definitions() at that time
        int fast;                   // consecutive fast jobs since then
    };
    std::unordered_map<std::string, SlowType> slow_types_;
};

// Runs one job in the caller's transaction and records it, for execute_sync_job(). The job is locked. `raise`: raises the job's error.
Job run_here(const StoredJob& stored, bool raise = false);

// This lock shows that the job's runner is alive.
bool lock_job_number(std::int64_t id);
void unlock_job_number(std::int64_t id) noexcept;

// The job that this worker is about to run with `CALL sync_job_internal.run_committing_job(id)`. Everybody may call that, so only the
// worker's own call is accepted, and only once.
void expect_committing_job(std::int64_t id);
bool take_committing_job(std::int64_t id);

// Within `CALL sync_job_internal.run_committing_job(id)` or `CALL execute_sync_job(id, NULL)`: runs a Started job.
void run_committing_here(std::int64_t id);

}  // namespace sync_job
