// Tells whoever watches, on the channel sync_job_changed, the types and queues whose jobs have changed.
#pragma once

#include <chrono>
#include <optional>

#include "shared/slots.hpp"

namespace sync_job {

// A digest at most twice a second, and none while nobody watches. Names only, no data: it is a hint to ask again. Whoever may
// connect can send such a notification as well, and does no more harm than that.
class ChangeNotifier {
public:
    // Until a digest may be sent again. Nothing: there is none to send.
    std::optional<std::chrono::milliseconds> due(DatabaseSlot& database) const;
    // Where it is due: in a transaction of its own. An error is logged, once.
    void notify(DatabaseSlot& database);

private:
    std::chrono::steady_clock::time_point told_{};
    bool failed_ = false;
};

}  // namespace sync_job
