// Records what became of jobs: moves their rows to the partition of their state, and writes their errors to
// sync_job_error.
#pragma once

#include <vector>

#include "queue/outcome.hpp"

namespace sync_job {

// Records the outcomes of the current transaction, which has locked each job in the live partition. Jobs with a verdict
// other than `ended` stay as they are.
void record(const std::vector<Outcome>& outcomes);

// The same for one job. If what follows from its end fails, it is recorded without callback and event, and if need be
// without its row in sync_job_error. Each try is a subtransaction.
void record_end(const Outcome& outcome);
// Only that last resort.
void record_bare_end(const Outcome& outcome);

// Writes a failed attempt of the job to sync_job_error.
void record_error(const Job& job, const pg::ErrorReport& report, bool counted);
// Whether a crash has interrupted this attempt at the job or an earlier one.
bool cut_short_by_crash(std::int64_t id);

}  // namespace sync_job
