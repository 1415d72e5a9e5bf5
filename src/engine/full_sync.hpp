// A full sync: a single job, the run, that brings all documents of a type in step.
//
// For a declarative type it compares whole tables, checks the number of writes against its limits, and then syncs the documents that
// differ, in chunks that are committed one by one. Documents in step are not touched. A run that was cut short or paused compares again.
// For a type with functions it goes through all sources in the order of their key.
#pragma once

#include "engine/sync.hpp"
#include "job/job_type.hpp"

namespace sync_job {

// Runs in transactions of its own when attempt_committing() calls it; a dry run may also run in one transaction.
void run_full_sync(SyncContext& sync, const JobType& type);

// Whether this is the job of a surplus target that could not be deleted within its full sync, and a source maps to the target by now.
bool is_no_surplus_any_more(const SyncContext& sync);

}  // namespace sync_job
