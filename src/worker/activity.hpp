// Reading what the workers do, and asking one to stop a job.
#pragma once

#include <string>

#include "worker/shared.hpp"

namespace sync_job {

Activity read_activity(const WorkerSlot& slot);

// Cancels the job if a worker of the database runs it right now; false when none does.
bool request_cancel(Oid database, std::int64_t job_id, const std::string& reason);
bool runs_now(Oid database, std::int64_t job_id);

}  // namespace sync_job
