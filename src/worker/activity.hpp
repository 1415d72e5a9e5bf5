// Reading what the workers do, and asking one to stop a job.
#pragma once

#include <string>

#include "worker/shared.hpp"

namespace sync_job {

Activity read_activity(const WorkerSlot& slot);

// Cancels the job if a worker of the database runs it right now; false when none does.
bool request_cancel(Oid database, std::int64_t job_id, const std::string& reason);
// A worker that has more to do than it can do at once says so, once until it has rested: its group may need another
// worker.
void tell_scheduler_busy();
void forget_scheduler_told();

bool has_workers();  // the library was preloaded
bool runs_now(Oid database, std::int64_t job_id);
bool session_runs(Oid database, std::int64_t job_id);  // and no worker

}  // namespace sync_job
