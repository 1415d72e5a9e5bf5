#include "endpoint.hpp"

namespace sync_job::http {

namespace {

int64_t milliseconds_until(Clock::time_point then, Clock::time_point now) {
    return std::max<int64_t>(0, std::chrono::ceil<Milliseconds>(then - now).count());
}

}  // namespace

SyncJobHttpState Endpoint::state(Clock::time_point now, int room_in_all) const {
    SyncJobHttpState state{};
    const int waiting = static_cast<int>(waiting_.size());
    state.in_flight = in_flight_;
    state.waiting = waiting;
    state.paused_ms = milliseconds_until(paused_until_, now);
    int64_t room = std::min(settings_->max_in_flight - in_flight_, room_in_all);
    if (room <= waiting) {
        state.room_in_ms = -1;
        return state;
    }
    state.room_in_ms = milliseconds_until(opens(), now);
    if (interval_ > Clock::duration(0)) {
        const auto second_ends = now + std::chrono::seconds(1);
        room = std::min<int64_t>(room, opens() >= second_ends ? 0 : 1 + (second_ends - opens()) / interval_);
        state.room_in_ms = std::max(state.room_in_ms, milliseconds_until(opens() + interval_ * waiting - std::chrono::seconds(1), now));
    }
    state.room = state.paused_ms > 0 ? 0 : static_cast<int32_t>(std::max<int64_t>(0, room - waiting));
    if (state.room > 0) state.room_in_ms = 0;
    return state;
}

}  // namespace sync_job::http
