// Notifies watchers, on the channel sync_job_changed, of the types and queues whose jobs have changed.
#pragma once

#include <chrono>
#include <optional>

#include "shared/slots.hpp"

namespace sync_job {

// Sends a digest at most twice a second, and none while nobody watches. It has names only, no data: it is a hint to ask again. Anybody who
// may connect can send such a notification, too, and can do no more harm with it than that.
class ChangeNotifier {
public:
    // How long until a digest may be sent again; nothing: there is none to send.
    std::optional<std::chrono::milliseconds> due(DatabaseSlot& database) const;
    // Sends the digest if it is due, in a transaction of its own. An error is logged once.
    void notify(DatabaseSlot& database);

private:
    std::chrono::steady_clock::time_point told_{};
    bool failed_ = false;
};

}  // namespace sync_job
