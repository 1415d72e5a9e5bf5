// What became of an attempt at a job, as it is to be recorded.
#pragma once

#include <memory>

#include "job/job_row.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class Verdict {
    ended,      // `job` is as it is to be stored: a final state, or Failed
    run_alone,  // not its fault, or too long for a batch: again, in a transaction of its own, not counted
    run_together,  // in the way of another document, or before one that it needs: again, with others of its type, not counted
};

struct Outcome {
    Verdict verdict = Verdict::ended;
    Job job;
    std::shared_ptr<const pg::ErrorReport> error;  // of a Failed one; of one that runs again in a new process
    bool counted = true;                           // the failed attempt uses up a retry
    bool repeatable_error = false;                 // run_alone because of a deadlock or serialization failure
    bool waits_for_lock = false;                   // run_alone, later: somebody else has a lock for long
    bool too_long = false;                         // run_alone because it took longer than its batch may, and not for a lock
};

// The job as it is after an attempt that ended with this error, now: Failed, with the time of the next try, which counts from
// its end.
Outcome failed_outcome(const Job& job, const pg::Error& error, bool counted);
// Of a job that somebody has asked to cancel.
Outcome canceled_outcome(const Job& original);

// The job as Started, without what an earlier attempt left.
Job as_started(const Job& job);
// Its end is now, or then.
void stamp_end(Job& job);
void stamp_end(Job& job, pg::Timestamp now);

}  // namespace sync_job
