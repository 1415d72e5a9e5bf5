// The time limit of a job, and the other ways to interrupt it.
#pragma once

#include <cstdint>

namespace sync_job::pg {

// From its construction, cancels what runs in this process once `microseconds` have passed (0: never), as
// pg_cancel_backend() would; and again every second, should the job have swallowed that. Not nested.
class Deadline {
public:
    explicit Deadline(std::int64_t microseconds);
    ~Deadline();
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    // Stops the clock; a cancellation it has sent and nobody has noticed yet is taken back.
    void stop();
    bool passed() const;

private:
    bool running_ = false;
};

}  // namespace sync_job::pg
