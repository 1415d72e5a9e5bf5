// The time limit of a job, and the other ways to interrupt it.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

namespace sync_job::pg {

// Cancels what runs in this process `microseconds` after its construction (0: never), as pg_cancel_backend() would; and again every second,
// in case the job has swallowed the cancellation. The outer ones of nested deadlines keep running.
class Deadline {
public:
    explicit Deadline(std::int64_t microseconds);
    ~Deadline();
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    // Stops the clock, and withdraws a cancellation that has not been processed yet.
    void stop();
    bool passed() const;
    // Whether the job was waiting for somebody else's lock when the deadline passed.
    bool passed_waiting() const;

    // Called by the signal handler.
    static void fire() noexcept;

private:
    void start_timer() const noexcept;

    volatile std::sig_atomic_t fired_ = 0, waited_ = 0;
    std::int64_t at_ = 0;  // 0: never
    Deadline* outer_ = nullptr;
    bool running_ = false;
};

// Sets where to store since when the process has failed to react to a deadline that passed; 0: all is well. `where` must live as long as
// the process.
void tell_of_unheeded(std::atomic<std::int64_t>* where);

// Raises if this process was canceled, has exceeded a deadline, or has to end.
void check_interrupts();

}  // namespace sync_job::pg
