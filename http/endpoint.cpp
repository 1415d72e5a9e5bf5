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
    const auto second = std::chrono::seconds(1);
    const auto next = std::max(next_, now);
    if (interval_ > Clock::duration(0)) {
        room = std::min<int64_t>(room, next > now + second ? 0 : 1 + (now + second - next) / interval_);
        state.room_in_ms = milliseconds_until(next + interval_ * waiting - second, now);
    }
    if (state.paused_ms > 0) room = 0;
    state.room = static_cast<int32_t>(std::max<int64_t>(0, room - waiting));
    state.room_in_ms = state.room > 0 ? 0 : std::max(state.room_in_ms, state.paused_ms);
    return state;
}

}  // namespace sync_job::http
