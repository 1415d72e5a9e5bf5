// One attempt at a job, in a subtransaction with its own settings, time limit and error context. An error of the job is never raised: it is
// an outcome. Raised are trouble of the surrounding transaction, and trouble of the server that the engine itself meets.
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
    // How long a job may take in a batch; if it takes longer, it runs alone. 0: only the job's own limit applies.
    std::int64_t batch_microseconds = 0;
    // Whether deadlocks and serialization failures are retried without being counted.
    bool may_repeat = true;
    // Whether the job may be left in the queue for a new process.
    bool may_leave = false;
    // If a constraint fails because the document conflicts with or depends on another one: whether the job may run again together with
    // others of its type.
    bool may_run_together = false;
    // A job that has waited this long for somebody else's lock, and done little else, is left in the queue. 0: it goes on waiting.
    std::int64_t lock_patience_microseconds = 0;
    // For a job of an HTTP push; only an HTTP worker attempts these.
    const PushStep* push = nullptr;
};

Outcome attempt(const Job& job, const AttemptLimits& limits);
// Sets sync_job.traceparent within the innermost SettingsScope to that of the job, for its code and for the jobs that its code enqueues.
// For a declarative type, which has no code and whose jobs may share a statement, it is empty.
void set_trace(const Job& job, const JobType& type);

// Runs documents of one set job one after the other in one subtransaction, which costs less than one for each.
struct SharedAttempt {
    std::vector<Outcome> outcomes;  // of the first documents, or of all; all of them succeeded
    bool rolled_back = false;       // the next document failed, and everything was undone
};
// Begins no more documents once `is_full` (if given) returns true. Nothing: these documents cannot share, because they are dry runs, have
// verbose logging, have a `finished` hook, or have no functions.
std::optional<SharedAttempt> attempt_sharing(const std::vector<Job>& jobs, const AttemptLimits& limits,
                                             const std::function<bool()>& is_full);

// Attempts a job whose controller is a procedure that commits. Must be called in a procedure outside a transaction block, in an SpiScope
// that may commit, when the job is already committed as Started. Returns in a new transaction.
Outcome attempt_committing(const Job& started);

// A serialization failure or a deadlock, which is nobody's fault.
inline bool is_repeatable(std::string_view sqlstate) { return sqlstate == "40001" || sqlstate == "40P01"; }

// Whether the job may share a transaction with others. A job whose type or controller cannot be found may, because it fails at once.
bool is_batchable(const Job& job);
// Whether its controller is a procedure that commits.
bool needs_own_transactions(const Job& job);

}  // namespace sync_job
