// Jobs that lead to others: callbacks, dependencies, events.
#pragma once

#include <cstdint>
#include <vector>

#include "queue/outcome.hpp"

namespace sync_job {

// The new job stays Pending until the others have ended. Raises 42704 for one there is not.
void wait_for_jobs(std::int64_t job, const std::vector<std::int64_t>& others);

// What follows from the end of a job, in the transaction that records it: its callback is enqueued, its event
// published. A callback that cannot be enqueued is a warning: the job has ended all the same.
void follow_up(const Outcome& outcome);

// Starts or cancels the jobs whose others have ended. Looks at some hundreds of those that wait, the ones after `after`: one
// role may have very many of them.
struct Release {
    int released = 0;
    bool some_wait = false;
    std::int64_t seen_up_to = 0;  // from where to look on; 0: at all
};
Release release_waiting_jobs(std::int64_t after);

// The job cannot run before the other one has ended: it waits for it, or for one that does.
bool waits_for(std::int64_t job, std::int64_t other);

}  // namespace sync_job
