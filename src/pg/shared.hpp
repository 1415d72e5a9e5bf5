// Shared memory, its lock, and waking other processes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pg/types.hpp"

namespace sync_job::pg {

// Whether the postmaster is loading the library from shared_preload_libraries. False in pg_upgrade, which starts the server to read and
// write catalogs: no worker may run then.
bool is_preloading();
// Requests `bytes` of shared memory and one lock, before the server starts. `initialize` fills the memory when it is new (at start, and
// again after a crash).
void request_shared_memory(std::size_t bytes, void (*initialize)(void* memory));
// Null if the library was not preloaded.
void* shared_memory();

class SharedLock {
public:
    enum class Mode { read, write };
    explicit SharedLock(Mode mode) noexcept;
    ~SharedLock();
    SharedLock(const SharedLock&) = delete;
    SharedLock& operator=(const SharedLock&) = delete;
};

// Processes are identified by their number in the server's PGPROC array. A stale number wakes the wrong process, which does no harm.
int my_process_number();
void wake_process(int process_number) noexcept;  // may be called from a commit callback
int my_pid();
void signal_cancel(int pid) noexcept;     // as pg_cancel_backend
// Drops a cancellation that was sent to this process and is no longer wanted.
void forget_cancel() noexcept;
void signal_terminate(int pid) noexcept;  // as pg_terminate_backend
bool process_exists(int pid) noexcept;
int max_background_processes();
// Whether a client session, not a background process, is running something. Read without locks, so it may be a moment old.
bool sessions_at_work() noexcept;

// A condition that sessions wait for and workers announce, kept in shared memory.
constexpr std::size_t condition_bytes = 32;
struct alignas(16) Condition {
    unsigned char bytes[condition_bytes];
};
void initialize_condition(Condition& condition);
void announce(Condition& condition);
// Prepares to wait, then waits until the condition is announced or `milliseconds` have passed. Interruptible.
class ConditionWait {
public:
    explicit ConditionWait(Condition& condition);
    ~ConditionWait();
    void wait(long milliseconds);

private:
    Condition& condition_;
};

// Waits for this process's latch, at most this long (-1: forever), and handles interrupts and configuration reloads. The normal way to wait
// in this project. False: the time has passed.
bool wait_for_latch(long milliseconds);
// The same, but also ends when the descriptor is readable.
void wait_for_latch_or(int descriptor, long milliseconds);
// Sleeps this long, ignoring the latch; interruptible. For the rare wait that nobody can end early.
void pause(long milliseconds);
void reset_latch();
bool latch_is_set();

// Whether the control file says that the server was not shut down cleanly. Valid only until recovery has ended: for the initializer of
// shared memory.
bool server_crashed();

}  // namespace sync_job::pg
