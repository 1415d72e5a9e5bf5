// Undoes many jobs at once, or applies many dry runs: with set-based statements, changes merged per document, in one transaction.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "queue/enqueue.hpp"

namespace sync_job {

struct ReplayRequest {
    std::vector<std::int64_t> jobs;
    bool backwards = true;
    bool skip_conflicts = false;  // if false, the first conflict raises 55000, and nothing is done
};

// What became of one document. Documents that are already as they should be are not reported.
struct ReplayedDocument {
    std::int64_t sync_job = 0;  // the newest job that changed it
    std::string source, target;
    Oid target_type = 0;
    bool done = false;
    std::vector<std::string> fields;  // fields that have changed since
    std::string detail;               // otherwise, why it is a conflict
    std::int64_t recorded_by = 0;
};

struct ReplayCounts {
    std::int64_t done = 0, conflicts = 0;
    std::vector<std::int64_t> records;  // the jobs that record the replay
};

// Runs in the current transaction with the rights of the current user, who must be the role of the jobs. Recorded by `own`, the job that
// replays; without one, or if that is about other documents, by jobs that are inserted as Finished.
ReplayCounts replay_jobs(const ReplayRequest& request, const Job* own, const std::function<void(const ReplayedDocument&)>& tell);

// For jobs that replay: the request is in their context; the result has the counts and the conflicts.
EnqueueRequest request_for_replay(const ReplayRequest& request);
pg::Value run_replay(const Job& job, const JobType& type);

}  // namespace sync_job
