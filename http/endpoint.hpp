// Whose turn it is at an endpoint: how many requests at a time and per second, and the pauses that its server has asked for.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>

#include "exchange.hpp"

namespace sync_job::http {

class Endpoint {
public:
    // Requests that were sent before keep their settings; only the new limits apply to all.
    void change(std::shared_ptr<const EndpointSettings> settings) {
        settings_ = std::move(settings);
        const double rate = settings_->requests_per_second;
        interval_ = rate > 0 ? std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate)) : Clock::duration(0);
        next_ = std::min(next_, Clock::now() + interval_);
    }
    const std::shared_ptr<const EndpointSettings>& settings() const { return settings_; }

    void wait(Exchange* exchange) { waiting_.push_back(exchange); }
    void drop(const Exchange* exchange) { std::erase(waiting_, exchange); }
    // The next one, if it may start now; its end is reported with ended().
    Exchange* start(Clock::time_point now) {
        if (waiting_.empty() || in_flight_ >= settings_->max_in_flight || opens() > now) return nullptr;
        Exchange* exchange = waiting_.front();
        waiting_.pop_front();
        in_flight_++;
        // Evenly spaced. Time lost to the clock and to the caller's rounds is caught up, but no more than that.
        next_ = std::max(next_, now - std::min<Clock::duration>(interval_, Milliseconds(10))) + interval_;
        return exchange;
    }
    void ended() { in_flight_--; }

    void pause(Clock::time_point until) { paused_until_ = until; }
    void pause_at_least(Clock::time_point until) { paused_until_ = std::max(paused_until_, until); }

    // When the next one may start, as far as only time matters.
    Clock::time_point opens() const { return std::max(next_, paused_until_); }
    bool has_turn() const { return !waiting_.empty() && in_flight_ < settings_->max_in_flight; }

    SyncJobHttpState state(Clock::time_point now, int room_in_all) const;

private:
    std::shared_ptr<const EndpointSettings> settings_;
    std::deque<Exchange*> waiting_;
    int in_flight_ = 0;
    Clock::duration interval_{};
    Clock::time_point next_{}, paused_until_{};
};

}  // namespace sync_job::http
