// Runs an ended job again, as a new job.
#pragma once

#include "queue/enqueue.hpp"

namespace sync_job {

// The request for it: what the job was given, not what its attempts have found. Only what differs from its type, so that a grant of
// the type is enough if it was enough for the job. Raises 55000 for a job that has not ended, or that no controller ran.
EnqueueRequest request_again(const Job& job);

}  // namespace sync_job
