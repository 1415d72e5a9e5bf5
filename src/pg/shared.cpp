#include "pg/server.hpp"

#include <csignal>

#include "pg/error.hpp"
#include "pg/settings.hpp"
#include "pg/shared.hpp"

namespace sync_job::pg {

namespace {

constexpr const char* segment_name = "pg_sync_job";

std::size_t requested_bytes = 0;
void (*initializer)(void*) = nullptr;
void* memory = nullptr;
LWLock* lock = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

void on_request() {
    if (previous_request_hook != nullptr) previous_request_hook();
    RequestAddinShmemSpace(MAXALIGN(requested_bytes));
    RequestNamedLWLockTranche(segment_name, 1);
}

// Runs again after a crash, when the same postmaster creates the segment again.
void on_startup() {
    if (previous_startup_hook != nullptr) previous_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found;
    memory = ShmemInitStruct(segment_name, requested_bytes, &found);
    if (!found) initializer(memory);
    lock = &GetNamedLWLockTranche(segment_name)->lock;
    LWLockRelease(AddinShmemInitLock);
}

static_assert(sizeof(ConditionVariable) <= condition_bytes);

ConditionVariable* variable(Condition& condition) { return reinterpret_cast<ConditionVariable*>(condition.bytes); }

}  // namespace

bool is_preloading() { return process_shared_preload_libraries_in_progress && !IsBinaryUpgrade; }

void request_shared_memory(std::size_t bytes, void (*initialize)(void*)) {
    requested_bytes = bytes;
    initializer = initialize;
    previous_request_hook = shmem_request_hook;
    shmem_request_hook = on_request;
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = on_startup;
}

void* shared_memory() { return memory; }

SharedLock::SharedLock(Mode mode) noexcept { LWLockAcquire(lock, mode == Mode::read ? LW_SHARED : LW_EXCLUSIVE); }

SharedLock::~SharedLock() {
    if (LWLockHeldByMe(lock)) LWLockRelease(lock);
}

int my_process_number() {
#if PG_VERSION_NUM >= 170000
    return MyProcNumber;
#else
    return MyProc->pgprocno;
#endif
}

void wake_process(int number) noexcept {
    if (number >= 0 && static_cast<uint32>(number) < ProcGlobal->allProcCount) {
        SetLatch(&ProcGlobal->allProcs[number].procLatch);
    }
}

int my_pid() { return MyProcPid; }

bool sessions_at_work() noexcept {
    for (uint32 i = 0; i < ProcGlobal->allProcCount; i++) {
        const PGPROC& process = ProcGlobal->allProcs[i];
#if PG_VERSION_NUM >= 190000
        bool session = process.backendType == B_BACKEND;
#elif PG_VERSION_NUM >= 180000
        bool session = process.isRegularBackend;
#else
        bool session = !process.isBackgroundWorker;
#endif
        if (process.pid == 0 || !session || process.databaseId == InvalidOid) continue;
        if ((process.statusFlags & PROC_IS_AUTOVACUUM) != 0) continue;
        bool in_statement = TransactionIdIsValid(process.xid) || TransactionIdIsValid(process.xmin);
        // Do not count one that waits for its client, for a lock or in a sleep.
        uint32 waits_for = process.wait_event_info & 0xFF000000U;
        bool at_work = process.wait_event_info == 0 || waits_for == PG_WAIT_LWLOCK || waits_for == PG_WAIT_IO;
        if (in_statement && at_work) return true;
    }
    return false;
}
void signal_cancel(int pid) noexcept {
    if (pid > 0) kill(pid, SIGINT);
}
void forget_cancel() noexcept {
    getppid();  // a signal that was sent arrives by the end of a system call
    QueryCancelPending = false;
}
void signal_terminate(int pid) noexcept {
    if (pid > 0) kill(pid, SIGTERM);
}
bool process_exists(int pid) noexcept { return pid > 0 && kill(pid, 0) == 0; }
int max_background_processes() { return max_worker_processes; }

void initialize_condition(Condition& condition) { ConditionVariableInit(variable(condition)); }
void announce(Condition& condition) {
    guarded([&] { ConditionVariableBroadcast(variable(condition)); });
}

ConditionWait::ConditionWait(Condition& condition) : condition_(condition) {
    guarded([&] { ConditionVariablePrepareToSleep(variable(condition_)); });
}

ConditionWait::~ConditionWait() {
    guarded_cleanup([] { ConditionVariableCancelSleep(); });
}

void ConditionWait::wait(long milliseconds) {
    guarded([&] { ConditionVariableTimedSleep(variable(condition_), milliseconds, PG_WAIT_EXTENSION); });
}

namespace {
// When the server raises an error for one of several interrupts, it forgets that others are pending. A process that waits would then never
// process these, and everybody may be waiting for that: DROP DATABASE, for example, waits for each process to close its files.
void check_all_interrupts() {
    InterruptPending = true;
    CHECK_FOR_INTERRUPTS();
}
}  // namespace

bool wait_for_latch(long milliseconds) {
    bool woken = guarded([&] {
        int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (milliseconds >= 0 ? WL_TIMEOUT : 0),
                               milliseconds, PG_WAIT_EXTENSION);
        // A worker that was asked to stop while it waited exits by itself, without a FATAL in the log.
        if (!ShutdownRequestPending) check_all_interrupts();
        return (events & WL_LATCH_SET) != 0;
    });
    reload_settings_if_asked();
    return woken;
}

void wait_for_latch_or(int descriptor, long milliseconds) {
    guarded([&] {
        WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, descriptor, milliseconds, PG_WAIT_EXTENSION);
        if (!ShutdownRequestPending) check_all_interrupts();
    });
    reload_settings_if_asked();
}

void pause(long milliseconds) {
    guarded([&] {
        WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
        check_all_interrupts();
    });
}

void reset_latch() { ResetLatch(MyLatch); }
bool latch_is_set() { return MyLatch->is_set; }

// Uses plain stdio, because this runs in the postmaster, before the server's own file access is set up. True when in doubt.
bool server_crashed() {
    ControlFileData control;
    std::string path = std::string(DataDir) + "/global/pg_control";
    FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) return true;
    bool complete = std::fread(&control, sizeof(control), 1, file) == 1;
    std::fclose(file);
    return !complete || (control.state != DB_SHUTDOWNED && control.state != DB_SHUTDOWNED_IN_RECOVERY);
}

}  // namespace sync_job::pg
