// Errors in the set-up of a job type: they are no job's fault, and no number of retries helps. Each is kept in
// sync_job_setup_error, once per type and cause, as long as a job of the type fails with it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "job/job_row.hpp"
#include "job/job_store.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// failed_outcome() of an attempt that met such an error: it is not counted, and is news unless the last one failed with the same.
Outcome setup_failure(const Job& job, const pg::Error& error);
// Records the new ones among the set-up errors of these attempts, with a line in the log for each.
void note_setup_errors(const std::vector<Outcome>& outcomes);
// Whether the job waits for a retry, and its last attempt failed with a set-up error.
bool waits_for_setup(const Job& job);

// --- Types that are held: if a set-up error lasts too long, jobs that failed with it are not retried until something changes ---

// Keeps a job whose retry is due, but whose set-up error is held: its retry is put off for ever. False: it is not such a job.
bool keep_for_change(const StoredJob& stored);
// Whether retry_after says so.
bool waits_for_change(const Job& job);

// The scheduler's part, from time to time. Removes set-up errors with which no job fails any more. Holds those that are older than the
// limit (0: none). After a change of definitions one job for each held error is retried; if it does not fail that way, the others
// follow. The log says each of these.
void tend_setups(std::int64_t limit_microseconds);
// Retries some hundreds of the jobs that are no longer held; true: there may be more.
bool resume_released();

}  // namespace sync_job
