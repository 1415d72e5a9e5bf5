// Tells listeners on the channel sync_job_progress how far running jobs are.
#pragma once

#include <chrono>
#include <optional>

#include "shared/slots.hpp"

namespace sync_job {

// The scheduler sends these, because a job's own NOTIFY would arrive only when its transaction ends. Ids and numbers only, no data.
class ProgressNotifier {
public:
    // How long until listeners may be notified again; nothing: there is no progress to report.
    std::optional<std::chrono::milliseconds> due(const DatabaseSlot& database) const;
    // Notifies listeners if it is due, in a transaction of its own. An error is logged once.
    void notify(DatabaseSlot& database);

private:
    std::chrono::steady_clock::time_point told_{};
    bool failed_ = false;
};

}  // namespace sync_job
