// enqueue_sync_job(params jsonb): the object as a request.
#pragma once

#include "queue/enqueue.hpp"

namespace sync_job {

// Raises 22023 for an unknown parameter or a value that does not fit. `sync_job_type` may be missing.
EnqueueRequest request_from_params(Datum jsonb);

}  // namespace sync_job
