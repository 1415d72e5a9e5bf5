// Why jobs that are due do not run, as far as launcher, scheduler and workers know: they note it in shared memory, and the
// view sync_job_queue_status shows it.
#pragma once

#include <string>
#include <vector>

#include "shared/slots.hpp"

namespace sync_job {

// --- The scheduler ---

struct Lacking {
    std::string queue;
    Oid role;
    Lack lack;
};
// The groups of its database that lack a worker now.
void show_lacking(DatabaseSlot& slot, const std::vector<Lacking>& groups);
// The error of its last round; empty: the round went well.
void show_failed_round(DatabaseSlot& slot, const std::string& message);

// For a worker whose job goes on as if it had not been asked to stop: native code, perhaps.
std::string unheeded_time_limit(const WorkerSlot& slot);

// --- Any session ---

// The reasons why jobs of the queue wait that have to do with processes, and the types that run alone; empty: none. `sees_all`: the caller
// may see the types of all roles, else only of those whose rights the current user has.
std::vector<std::string> trouble_of_queue(const std::string& queue, bool sees_all);

}  // namespace sync_job
