// Applies a reviewed dry run, or undoes a finished job: from the recorded diff, value by value, without a controller.
#pragma once

#include <cstdint>

#include "job/job_row.hpp"

namespace sync_job {

// Both run in the current transaction with the rights of the current user, who must be the job's role. Both record a Finished job of their
// own, whose parent is the replayed job, and return its id. If a field is not as the diff says, nothing is written, and the error is 55000:
// 40001 would invite blind retries.
std::int64_t apply_dry_run(const Job& job);
std::int64_t revert_job(const Job& job);

}  // namespace sync_job
