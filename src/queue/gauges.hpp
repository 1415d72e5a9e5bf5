// The state of the jobs of this database, measured in its tables: what sync_job_metrics() shows in addition to the counters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/types.hpp"

namespace sync_job {

// The jobs of one type in one queue that have not ended well.
struct Backlog {
    std::string queue, type;
    std::int64_t waiting = 0;    // due
    std::int64_t scheduled = 0;  // their time has not come
    std::int64_t held = 0;       // their type is paused
    std::int64_t pending = 0;    // wait for other jobs, or to be started
    std::int64_t retrying = 0, failed = 0;
    std::optional<pg::Timestamp> oldest;  // time of the oldest change that is not in step yet
};

// Exact for up to ten thousand jobs that wait, and as many that have failed. If there are more, a sample of the pages of their table
// is counted, and the oldest change is looked for among the oldest jobs.
std::vector<Backlog> read_backlog();

}  // namespace sync_job
