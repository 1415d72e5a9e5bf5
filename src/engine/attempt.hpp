// One attempt at a job, in a subtransaction with its own settings, time limit and error context. It never raises for
// what the job did wrong: that is an outcome. What it raises is trouble of the surrounding transaction, or of the server where
// the engine itself met it.
#pragma once

#include <cstdint>
#include <string_view>

#include "job/job_row.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

struct AttemptLimits {
    // A batch gives a job so long; it then runs alone. 0: no limit but the job's own.
    std::int64_t batch_microseconds = 0;
    // Deadlocks and serialization failures are tried again without counting while this holds.
    bool may_repeat = true;
    // It may be left in the queue, for a new process.
    bool may_leave = false;
    // Where a constraint says that the document is in the way of another one, or lacks one, the job may run again
    // together with others of its type.
    bool may_run_together = false;
    // A job that has waited this long for somebody else's lock, and done little else, is left in the queue. 0: it waits on.
    std::int64_t lock_patience_microseconds = 0;
};

Outcome attempt(const Job& job, const AttemptLimits& limits);

// The same for a job whose controller is a procedure that commits. Called in a procedure outside a transaction block,
// in an SpiScope that may commit, the job Started and committed. Returns in a new transaction.
Outcome attempt_committing(const Job& started);

// A serialization failure or a deadlock: nobody's fault.
inline bool is_repeatable(std::string_view sqlstate) { return sqlstate == "40001" || sqlstate == "40P01"; }

// Whether the job may share a transaction with others; a job whose type or controller cannot be found may: it fails at
// once.
bool is_batchable(const Job& job);
// Its controller is a procedure that commits.
bool needs_own_transactions(const Job& job);

}  // namespace sync_job
