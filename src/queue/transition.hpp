// The transitions of a job that somebody asks for: start, retry, cancel. The job is locked by the caller's transaction.
#pragma once

#include <string>

#include "job/job_store.hpp"
#include "pg/error.hpp"
#include "pg/value.hpp"

namespace sync_job {

// Raises 55000 if the job's state does not allow the action.
void require_allowed(const Job& job, Action action);

// Each writes the job and returns it as it is now.
Job start_job(StoredJob stored);
// `context`: replaces the job's when not null. `counted`: whether this uses up a retry.
Job retry_job(StoredJob stored, pg::Value context, bool counted);
Job cancel_job(StoredJob stored, const std::string& reason);

// Started → Queued or Failed, for a job whose runner has died. `charge`: the failure that it counts as; null: none.
// `pause_microseconds`: before it runs again.
Job recover_job(StoredJob stored, const pg::Error* charge, std::int64_t pause_microseconds);

// For a job that was held while its type was paused: it gets its old place back.
void release_job(StoredJob stored);

}  // namespace sync_job
