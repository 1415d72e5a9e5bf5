// Shared memory, its lock, and waking other processes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pg/types.hpp"

namespace sync_job::pg {

// The postmaster is loading the library from shared_preload_libraries. False in pg_upgrade, which starts the server to
// read and write catalogs: no worker may run then.
bool is_preloading();
// Asks for `bytes` of shared memory and one lock, before the server starts; `initialize` fills the memory when it is
// new (at start, and again after a crash).
void request_shared_memory(std::size_t bytes, void (*initialize)(void* memory));
// Null when the library was not preloaded.
void* shared_memory();

class SharedLock {
public:
    enum class Mode { read, write };
    explicit SharedLock(Mode mode) noexcept;
    ~SharedLock();
    SharedLock(const SharedLock&) = delete;
    SharedLock& operator=(const SharedLock&) = delete;
};

// Processes are identified by their number in the server's PGPROC array; a stale number wakes another process for
// nothing, which does no harm.
int my_process_number();
void wake_process(int process_number) noexcept;  // may be called from a commit callback
int my_pid();
void signal_cancel(int pid) noexcept;     // as pg_cancel_backend
// Drops a cancellation that was sent to this process and is no longer wanted.
void forget_cancel() noexcept;
void signal_terminate(int pid) noexcept;  // as pg_terminate_backend
bool process_exists(int pid) noexcept;
int max_background_processes();
// A client session, not a background process, is running something. Read without locks: as of a moment ago.
bool sessions_at_work() noexcept;

// A condition that sessions wait for and workers announce, kept in shared memory.
constexpr std::size_t condition_bytes = 32;
struct alignas(16) Condition {
    unsigned char bytes[condition_bytes];
};
void initialize_condition(Condition& condition);
void announce(Condition& condition);
// Prepares, then waits until announced or until `milliseconds` have passed. Interruptible.
class ConditionWait {
public:
    explicit ConditionWait(Condition& condition);
    ~ConditionWait();
    void wait(long milliseconds);

private:
    Condition& condition_;
};

// Waits for this process's latch, at most this long (-1: forever); handles interrupts and configuration reloads. The
// normal way to wait in this project. False when the time has passed.
bool wait_for_latch(long milliseconds);
// The same, also until the descriptor is readable.
void wait_for_latch_or(int descriptor, long milliseconds);
// Sleeps this long, ignoring the latch; interruptible. For the rare wait that nobody can end earlier.
void pause(long milliseconds);
void reset_latch();
bool latch_is_set();

// The control file says that the server was not shut down cleanly (valid only until recovery has ended: for the
// initializer of shared memory).
bool server_crashed();

}  // namespace sync_job::pg
