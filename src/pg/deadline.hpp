// The time limit of a job, and the other ways to interrupt it.
#pragma once

#include <csignal>
#include <cstdint>

namespace sync_job::pg {

// From its construction, cancels what runs in this process once `microseconds` have passed (0: never), as
// pg_cancel_backend() would; and again every second, should the job have swallowed that. One within the scope of another
// leaves the outer one running.
class Deadline {
public:
    explicit Deadline(std::int64_t microseconds);
    ~Deadline();
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    // Stops the clock; a cancellation it has sent and nobody has noticed yet is taken back.
    void stop();
    bool passed() const;
    // When it passed, the job waited for a lock of somebody else's.
    bool passed_waiting() const;

    // For the signal handler.
    static void fire() noexcept;

private:
    void start_timer() const noexcept;

    volatile std::sig_atomic_t fired_ = 0, waited_ = 0;
    std::int64_t at_ = 0;  // 0: never
    Deadline* outer_ = nullptr;
    bool running_ = false;
};

}  // namespace sync_job::pg
