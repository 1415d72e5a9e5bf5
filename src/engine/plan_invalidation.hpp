// Cached plans and growing tables. A worker lives long. A plan that was made while a table was small, by the engine or by PL/pgSQL in a
// controller, may scan the whole table for each job once it has grown. So all plans of the process are made anew whenever a document table
// has doubled or halved in size: that is rare, and always happens before it matters.
//
// Plans and changed definitions. PL/pgSQL keeps plans and types of variables that no invalidation reaches: the plan of `target_doc.a :=
// source_doc.a` knows the type of the column, but does not depend on the table. If a job may have failed because of that, it runs again:
// first with all plans and caches made anew, then in a new process.
#pragma once

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"

namespace sync_job {

// Checks the tables of the type. Called now and then, inside the transaction of a batch.
void invalidate_outgrown_plans(const JobType& type);

// True if the error may come from cached definitions that have since changed. Everything cached is then dropped, and the job deserves a
// second pass. False if nothing has changed since the last time.
bool dropped_stale_plans(const pg::Error& error);

// For an error that persists in a worker that is older than some change of definitions: whether the worker should end and the job, if it
// `may_run_again` uncounted, run again in a new one. Once per counted attempt, and not while that helps nobody.
bool runs_again_in_new_process(const Job& job, const pg::Error& error, bool may_run_again);
// Whether the worker should end after its round.
bool wants_new_process();

}  // namespace sync_job
