// One attempt at a job, in a subtransaction with its own settings, time limit and error context. An error of
// the job is an outcome and is never raised. Trouble of the surrounding transaction is raised, and trouble of the server
// that the engine itself meets.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "job/job_row.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

struct PushStep;

struct AttemptLimits {
    // In a batch a job may take this long; if it takes longer, it runs alone. 0: only the job's own limit.
    std::int64_t batch_microseconds = 0;
    // Deadlocks and serialization failures are retried without counting.
    bool may_repeat = true;
    // The job may be left in the queue for a new process.
    bool may_leave = false;
    // If a constraint says that the document conflicts with another one, or needs one, the job may run again together
    // with others of its type.
    bool may_run_together = false;
    // A job that has waited this long for somebody else's lock, and done little else, is left in the queue. 0: it waits on.
    std::int64_t lock_patience_microseconds = 0;
    // Of a job of an HTTP push, which only an HTTP worker attempts.
    const PushStep* push = nullptr;
};

Outcome attempt(const Job& job, const AttemptLimits& limits);
// Within the innermost SettingsScope: sync_job.traceparent is the job's own, for its code and for the jobs that this enqueues. A
// declarative type has no code, and its jobs may share a statement: there it is empty.
void set_trace(const Job& job, const JobType& type);

// Documents of one set job, one after the other in one subtransaction, which costs less than one each.
struct SharedAttempt {
    std::vector<Outcome> outcomes;  // all have ended well: of the first documents, or of all
    bool rolled_back = false;       // the next one has failed, and all of it is undone
};
// No more are begun when `is_full` says so, if given. Nothing: such documents do not share, as they are dry runs, keep what they
// say, have a `finished` hook or no functions.
std::optional<SharedAttempt> attempt_sharing(const std::vector<Job>& jobs, const AttemptLimits& limits,
                                             const std::function<bool()>& is_full);

// The same for a job whose controller is a procedure that commits. Called in a procedure outside a transaction block,
// in an SpiScope that may commit; that the job is Started is committed. Returns in a new transaction.
Outcome attempt_committing(const Job& started);

// A serialization failure or a deadlock: nobody's fault.
inline bool is_repeatable(std::string_view sqlstate) { return sqlstate == "40001" || sqlstate == "40P01"; }

// Whether the job may share a transaction with others. A job whose type or controller cannot be found may, as it fails
// at once.
bool is_batchable(const Job& job);
// Its controller is a procedure that commits.
bool needs_own_transactions(const Job& job);

}  // namespace sync_job
