// Requests that functions of several topics read: enqueue_sync_job(params jsonb), and full syncs.
#pragma once

#include "engine/full_sync_job.hpp"
#include "pg/function.hpp"
#include "queue/enqueue.hpp"

namespace sync_job {

// Raises 22023 for an unknown parameter or a value that does not fit. `sync_job_type` may be missing.
EnqueueRequest request_from_params(Datum jsonb);

// Reads queue, priority, timeout, scheduled_at and job_id from argument `i` on, and moves `i` past them.
void read_placement(pg::Arguments& args, int& i, EnqueueRequest& request);

// Reads the arguments of enqueue_full_sync() from condition to chunk_size, from argument `i` on, and moves `i` past them.
FullSyncRequest full_sync_arguments(pg::Arguments& args, int& i);
// Raises an error if something keeps the current user from it.
EnqueueRequest request_for_full_sync(const JobType& type, const FullSyncRequest& full_sync);

// Enqueues a comparison or a full sync again, with the arguments of `job`. Raises an error if something keeps the current user from it;
// returns the new id.
std::int64_t enqueue_task_again(const Job& job, const EnqueueRequest& request);

}  // namespace sync_job
