// What has ended long ago is deleted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/types.hpp"

namespace sync_job {

// Jobs that something of a user's, such as a trigger, holds.
struct KeptJobs {
    std::int64_t count = 0;
    std::string reason;  // of the first of them
    std::string message() const { return std::to_string(count) + " sync jobs could not be cleared"; }
    std::string detail() const { return "Of the first of them: " + reason; }
};
// Jobs that others wait for (one that goes counts as ended well), dry runs that can still be applied, and what is to be replayed.
enum class Needed { stay, go };
struct ClearRequest {
    pg::Timestamp before;  // what has ended by then
    Needed needed;
    std::vector<std::int64_t> replayed;  // the jobs that waiting jobs will apply or revert
    bool in_parts;  // a job with many documents takes several calls
    int documents_at_a_time;
};

// Deletes jobs that ended before the given time, with their errors and what is recorded of their documents, and kept deleted documents,
// events and changes of types that are as old; at most `most` of each. Jobs that will be retried stay. Waits for no lock on a row.
// Returns the number of jobs.
std::int64_t clear_jobs(pg::Timestamp before, int most, KeptJobs& kept);

// The scheduler's part: as sync_job.log_retention_days says, for some milliseconds; true: there is more. What is needed stays. Nothing in a database that was
// updated from a version which cleared nothing by itself, until the setting is set.
bool clear_by_retention();

}  // namespace sync_job
