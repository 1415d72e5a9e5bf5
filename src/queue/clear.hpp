// Deletes jobs that ended long ago, and other old records.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/types.hpp"

namespace sync_job {

// Jobs that cannot be deleted because of something of a user's, such as a trigger.
struct KeptJobs {
    std::int64_t count = 0;
    std::string reason;  // of the first of them
    std::string message() const { return std::to_string(count) + " sync jobs could not be cleared"; }
    std::string detail() const { return "Of the first of them: " + reason; }
};
// What to do with jobs that others wait for (a deleted one counts as ended well), dry runs that can still be applied, and jobs to be
// replayed.
enum class Needed { stay, go };
struct ClearRequest {
    pg::Timestamp before;  // what has ended by then
    Needed needed;
    std::vector<std::int64_t> replayed;  // the jobs that waiting jobs will apply or revert
    bool in_parts;  // a job with many documents takes several calls
    int documents_at_a_time;
};

// Deletes jobs that ended before the given time, with their errors and the records of their documents; and kept deleted documents, events
// and changes of types that are as old; at most `most` of each. Jobs that will be retried stay. Does not wait for row locks.
// Returns the number of jobs.
std::int64_t clear_jobs(pg::Timestamp before, int most, KeptJobs& kept);

// The scheduler's part: clears by sync_job.log_retention_days, for some milliseconds; true: there is more. What is needed stays. Clears
// nothing in a database that was updated from a version that did not clear by itself, until the setting is set.
bool clear_by_retention();

}  // namespace sync_job
