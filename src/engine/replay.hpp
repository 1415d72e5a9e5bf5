// Applying a reviewed dry run, and undoing a finished job: from the recorded diff, value by value, without a
// controller.
#pragma once

#include <cstdint>

#include "job/job_row.hpp"

namespace sync_job {

// Both run with the rights of the current user, who must be the role of the job, within his transaction; both record a
// job of their own, Finished, whose parent is the first one, and return its id. Nothing is written when one of the
// fields is not what the diff says it was: 40001 would invite a blind repetition, so the error is 55000.
std::int64_t apply_dry_run(const Job& job);
std::int64_t revert_job(const Job& job);

}  // namespace sync_job
