// One attempt at a job, in a subtransaction with its own settings, time limit and error context. It never raises for
// what the job did wrong: that is an outcome. What it raises is trouble of the surrounding transaction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/job_row.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class Verdict {
    ended,      // `job` is as it is to be stored: a final state, or Failed
    run_alone,  // not its fault, or too long for a batch: again, in a transaction of its own, not counted
};

struct Outcome {
    Verdict verdict = Verdict::ended;
    Job job;
    std::shared_ptr<const pg::ErrorReport> error;  // of a Failed one
    bool counted = true;                           // the failed attempt uses up a retry
    bool repeatable_error = false;                 // run_alone because of a deadlock or serialization failure
    bool too_long = false;                         // run_alone because it took longer than its batch may, and not for a lock
};

struct AttemptLimits {
    // A batch gives a job so long; it then runs alone. 0: no limit but the job's own.
    std::int64_t batch_microseconds = 0;
    // Deadlocks and serialization failures are tried again without counting while this holds.
    bool may_repeat = true;
};

Outcome attempt(const Job& job, const AttemptLimits& limits);

// The same for a job whose controller is a procedure that commits. Called in a procedure outside a transaction block,
// in an SpiScope that may commit, the job Started and committed. Returns in a new transaction.
Outcome attempt_committing(const Job& started);

// Whether the job may share a transaction with others; a job whose type or controller cannot be found may: it fails at
// once.
bool is_batchable(const Job& job);
// Its controller is a procedure that commits.
bool needs_own_transactions(const Job& job);

// The job as it is after an attempt that ended with this error: Failed, with the time of the next try.
Outcome failed_outcome(const Job& job, const pg::Error& error, bool counted);

}  // namespace sync_job
