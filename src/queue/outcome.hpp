// What became of an attempt at a job, as it is to be recorded.
#pragma once

#include <memory>

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class Verdict {
    ended,      // `job` is as it is to be stored: a final state, or Failed
    run_alone,  // not its fault, or too long for a batch: runs again in a transaction of its own, not counted
    run_together,  // conflicts with another document, or ran before one that it needs: runs again with others of its type, not counted
};

struct Outcome {
    Verdict verdict = Verdict::ended;
    Job job;
    std::shared_ptr<const pg::ErrorReport> error;  // of a Failed job, or of one that runs again in a new process
    bool counted = true;                           // the failed attempt uses up a retry
    bool repeatable_error = false;                 // run_alone because of a deadlock or serialization failure
    bool waits_for_lock = false;                   // run_alone, later: somebody else holds a lock for a long time
    pg::Value fingerprint;                         // of the row that it inserted: for sync_job_document
    bool setup_error = false;                      // the failed attempt met a set-up error: not counted
    bool news = false;                             // the job has not failed with this set-up error before: its end is announced
    bool too_long = false;                         // run_alone because it took longer than a batch may, not counting waits for locks
};

// The job after an attempt that ended with this error just now: Failed, with the time of the next attempt, counted from
// its end.
Outcome failed_outcome(const Job& job, const pg::Error& error, bool counted);
// What is recorded of an error: if the type has secret columns, without what may quote their values.
std::shared_ptr<const pg::ErrorReport> recordable(const pg::Error& error, const JobType& type);
std::shared_ptr<const pg::ErrorReport> recordable(const pg::Error& error, const Job& job);
// For a job that somebody has asked to cancel.
Outcome canceled_outcome(const Job& original);

// The job as Started, without what an earlier attempt left.
Job as_started(const Job& job);
// Sets its end, to now or to the given time.
void stamp_end(Job& job);
void stamp_end(Job& job, pg::Timestamp now);

}  // namespace sync_job
