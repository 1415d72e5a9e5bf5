// Makes a job that does little except wait for a lock give up, so that its worker can do something else.
#pragma once

#include <csignal>
#include <cstdint>

namespace sync_job::pg {

// Looks twice: after half of `microseconds` (0: never) and after all of them. If this process is waiting for somebody else's lock both
// times, what runs in it is cancelled, as pg_cancel_backend() would. A job that has got further by the first look is left alone, so at most
// half of the time's work is lost. Must not be nested.
class LockPatience {
public:
    explicit LockPatience(std::int64_t microseconds);
    ~LockPatience();
    LockPatience(const LockPatience&) = delete;
    LockPatience& operator=(const LockPatience&) = delete;

    // Stops looking, and withdraws a cancellation that has not been processed yet.
    void stop();
    bool gave_up() const { return looks_ == gave_up_mark; }

    // Called by the signal handler.
    void look() noexcept;

private:
    static constexpr std::sig_atomic_t gave_up_mark = 2;
    volatile std::sig_atomic_t looks_ = 0;  // how many looks found the process waiting
    bool running_ = false;
};

}  // namespace sync_job::pg
