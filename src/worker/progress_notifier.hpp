// Tells listeners of the channel sync_job_progress how far running jobs are.
#pragma once

#include <chrono>
#include <optional>

#include "shared/slots.hpp"

namespace sync_job {

// A transaction's own NOTIFY would arrive at its end, so the scheduler sends it. Ids and numbers only, no data.
class ProgressNotifier {
public:
    // Until listeners may be told again. Nothing: there is no progress to tell.
    std::optional<std::chrono::milliseconds> due(const DatabaseSlot& database) const;
    // Where it is due: in a transaction of its own. An error is logged, once.
    void notify(DatabaseSlot& database);

private:
    std::chrono::steady_clock::time_point told_{};
    bool failed_ = false;
};

}  // namespace sync_job
