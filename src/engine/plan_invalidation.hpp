// Cached plans and growing tables. A worker lives long; a plan that was made while a table was small, by the engine or by
// PL/pgSQL in a controller, may scan all of it for each job when it has grown. So all plans of the process are made anew
// whenever a document table is twice as large as it was, or half: rarely, and always before it matters.
//
// Plans and changed definitions. PL/pgSQL keeps plans and types of variables that no invalidation reaches: the plan of
// `target_doc.a := source_doc.a` knows the type of the column, but does not depend on the table. Where such a thing may be
// why a job has failed, it runs again, first with all plans and caches made anew, then in a new process.
#pragma once

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"

namespace sync_job {

// Looks at the tables of the type. Within the transaction of a batch, now and then.
void invalidate_outgrown_plans(const JobType& type);

// The error may come of what this process has kept of definitions that have changed since. Everything kept is then
// dropped, and the job worth a second look. False where nothing has changed since the last time.
bool dropped_stale_plans(const pg::Error& error);

// The error is still there, in a worker that is older than some change: the worker is to end, and the job, where that
// `may_run_again` uncounted, to run again in a new one. Once for each attempt that counts; not while that helps nobody.
bool runs_again_in_new_process(const Job& job, const pg::Error& error, bool may_run_again);
// The worker should end after its round.
bool wants_new_process();

}  // namespace sync_job
