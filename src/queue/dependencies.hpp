// Jobs that lead to others: callbacks, dependencies, events.
#pragma once

#include <cstdint>
#include <vector>

#include "queue/outcome.hpp"

namespace sync_job {

// The new job stays Pending until the others have ended. Raises 42704 if one does not exist.
void wait_for_jobs(std::int64_t job, const std::vector<std::int64_t>& others);

// What follows from the end of a job, in the transaction that records it: its callback is enqueued, its event
// published. A callback that cannot be enqueued is a warning: the job has ended all the same.
void follow_up(const Outcome& outcome);

// Whether the job has ended for good, and how. A set job has ended only when the jobs of the documents that left it have, and it
// has ended badly if one of them has.
enum class Ended { no, well, badly };
Ended how_ended(const Job& job);

// Starts or cancels waiting jobs when those that they waited for have ended. Looks at some hundreds of waiting jobs,
// those after `after`: one role may have very many.
struct Release {
    int released = 0;
    bool some_wait = false;
    std::int64_t seen_up_to = 0;  // where to continue; 0: all were looked at
};
Release release_waiting_jobs(std::int64_t after);

// Whether the job waits for the other one, directly or through others.
bool waits_for(std::int64_t job, std::int64_t other);

}  // namespace sync_job
