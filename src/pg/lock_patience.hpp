// A job that does little but wait for a lock gives up, so that its worker can do something else.
#pragma once

#include <csignal>
#include <cstdint>

namespace sync_job::pg {

// Looks twice, after half of `microseconds` (0: never) and after all of them. If this process waits for a lock of somebody
// else's both times, what runs in it is cancelled, as pg_cancel_backend() would. Whoever has got further by the first look is
// left alone: at most half of the time's work is lost. Not to be nested.
class LockPatience {
public:
    explicit LockPatience(std::int64_t microseconds);
    ~LockPatience();
    LockPatience(const LockPatience&) = delete;
    LockPatience& operator=(const LockPatience&) = delete;

    // Stops looking; a cancellation that nobody has noticed yet is taken back.
    void stop();
    bool gave_up() const { return looks_ == gave_up_mark; }

    // For the signal handler.
    void look() noexcept;

private:
    static constexpr std::sig_atomic_t gave_up_mark = 2;
    volatile std::sig_atomic_t looks_ = 0;  // that met a waiting process
    bool running_ = false;
};

}  // namespace sync_job::pg
