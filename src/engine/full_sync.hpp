// A full sync: one job, the run, that brings all documents of a type in step.
//
// Of a declarative type it compares whole tables, counts what it would write against its limits, and then syncs the documents that
// differ, in chunks that are committed one by one. Documents in step are not touched. A run that was cut short, or paused, compares
// again. Of a type with functions it goes through all sources, in the order of their key.
#pragma once

#include "engine/sync.hpp"
#include "job/job_type.hpp"

namespace sync_job {

// In transactions of its own, as attempt_committing() calls it; a dry run also in one.
void run_full_sync(SyncContext& sync, const JobType& type);

// Of a job, whether it is that of a surplus target that could not be deleted within its full sync, and a source maps to it by now.
bool is_no_surplus_any_more(const SyncContext& sync);

}  // namespace sync_job
