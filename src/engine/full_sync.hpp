// A full sync: one job, the run, that brings all documents of a declarative type in step.
//
// It compares whole tables, counts what it would write against its limits, and then syncs the documents that differ, in
// chunks that are committed one by one. Documents in step are not touched. A run that was cut short, or paused,
// compares again.
#pragma once

#include "engine/sync.hpp"
#include "job/job_type.hpp"

namespace sync_job {

// In transactions of its own, as attempt_committing() calls it; a dry run also in one.
void run_full_sync(SyncContext& sync, const JobType& type);

}  // namespace sync_job
