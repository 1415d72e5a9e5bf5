// Building blocks for the coroutines of the server. Everything runs in one thread, so nothing changes between two points where a
// coroutine waits (co_await).
#pragma once

#include <utility>  // Boost 1.74's awaitable.hpp needs it, but does not include it

#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <list>

namespace sync_job::serve {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;

template <class T>
using Async = asio::awaitable<T>;

inline Async<void> sleep_until(Clock::time_point when) {
    asio::steady_timer timer(co_await asio::this_coro::executor, when);
    ErrorCode ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

// Coroutines wait for it; code that changes what they wait for calls happened(). It must outlive the waiting coroutines, which may be
// destroyed while they wait when the program ends.
class Event {
public:
    void happened() {
        for (asio::steady_timer* timer : waiting_) timer->cancel();
    }

    // Returns when it has happened, or at that time. The caller must check again what it waits for.
    Async<void> wait_until(Clock::time_point limit) {
        asio::steady_timer timer(co_await asio::this_coro::executor, limit);
        const Waiting waiting(waiting_, timer);
        ErrorCode ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    Async<void> wait() { return wait_until(Clock::time_point::max()); }

private:
    using Timers = std::list<asio::steady_timer*>;

    class Waiting {
    public:
        Waiting(Timers& timers, asio::steady_timer& timer) : timers_(timers), place_(timers.insert(timers.end(), &timer)) {}
        Waiting(const Waiting&) = delete;
        ~Waiting() { timers_.erase(place_); }

    private:
        Timers& timers_;
        const Timers::iterator place_;
    };

    Timers waiting_;
};

}  // namespace sync_job::serve
