// The time limit of a job, and the other ways to interrupt it.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

namespace sync_job::pg {

// Cancels what runs in this process when `microseconds` have passed since its construction (0: never), as
// pg_cancel_backend() would; and again every second, in case the job has swallowed that. A nested one leaves the outer
// one running.
class Deadline {
public:
    explicit Deadline(std::int64_t microseconds);
    ~Deadline();
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    // Stops the clock, and withdraws a cancellation that has not been processed yet.
    void stop();
    bool passed() const;
    // When it passed, the job was waiting for a lock that somebody else held.
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

// Where to write since when a deadline has passed to which the process has not reacted for a while; 0: all is well. It lives as long
// as the process.
void tell_of_unheeded(std::atomic<std::int64_t>* where);

// Raises where this process was canceled, is over a deadline, or has to end.
void check_interrupts();

}  // namespace sync_job::pg
