// Mistakes in the set-up of a job type: they are no job's fault, and no number of retries mends them. Each is kept in
// sync_job_setup_error, once for a type and its cause, as long as any of its jobs fails by one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "job/job_row.hpp"
#include "job/job_store.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// failed_outcome() of an attempt that met such a mistake: it is not counted, and news unless the last one failed by the same.
Outcome setup_failure(const Job& job, const pg::Error& error);
// Keeps what is new among the mistakes that these attempts have met, with a line in the log for each.
void note_setup_errors(const std::vector<Outcome>& outcomes);
// The job waits for its next try, and its last one failed by a mistake in the set-up.
bool waits_for_setup(const Job& job);

// --- Types that are held: jobs that have failed by a mistake which is there for too long are not retried before something changes ---

// A job whose retry is due, and whose mistake is held: it is kept, with a retry at no time. False: it is another one.
bool keep_for_change(const StoredJob& stored);
// retry_after of such a job.
bool waits_for_change(const Job& job);

// The scheduler's part, now and then. Forgets mistakes by which no job fails any more. Holds those that are older than so much
// (0: none). After a change of definitions one job for each held mistake is tried; if it does not fail that way, the others
// follow. Each of it is said in the log.
void tend_setups(std::int64_t limit_microseconds);
// Some hundreds of the jobs that are held by nothing any more get their retry; true: there may be more.
bool resume_released();

}  // namespace sync_job
