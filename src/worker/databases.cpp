#include "worker/databases.hpp"

#include "pg/error.hpp"
#include "pg/hooks.hpp"
#include "pg/shared.hpp"
#include "worker/shared.hpp"

namespace sync_job {

namespace {

// The server itself waits another five seconds before it gives up.
constexpr int most_waits = 500;
constexpr long wait_milliseconds = 10;

// Asks the database's processes to end; true when there are none.
bool stop_processes(DatabaseSlot& slot, Oid database) {
    bool gone = true;
    if (int pid = slot.scheduler_pid; pid != 0 && pg::process_exists(pid)) {
        pg::signal_terminate(pid);
        gone = false;
    }
    for (WorkerSlot& worker : shared()->workers) {
        if (worker.state == SlotState::free || worker.database != database) continue;
        pg::signal_terminate(worker.pid);
        gone = false;
    }
    return gone;
}

void before_command(Oid database) {
    DatabaseSlot* slot = shared() == nullptr ? nullptr : find_database_slot(database);
    if (slot == nullptr) return;
    slot->blocked_by = pg::my_pid();
    try {
        for (int i = 0; i < most_waits && !stop_processes(*slot, database); i++) {
            pg::pause(wait_milliseconds);
        }
    } catch (...) {
        slot->blocked_by = 0;
        throw;
    }
}

void after_command(Oid database) {
    DatabaseSlot* slot = shared() == nullptr ? nullptr : find_database_slot(database);
    if (slot == nullptr) return;
    slot->blocked_by = 0;
    slot->state = DatabaseState::stopped;  // it was us: no trouble
    pg::wake_process(shared()->launcher_process);
}

void after_create() {
    if (shared() != nullptr) pg::wake_process(shared()->launcher_process);
}

}  // namespace

void watch_database_commands() { pg::on_database_command({before_command, after_command, after_create}); }

}  // namespace sync_job
