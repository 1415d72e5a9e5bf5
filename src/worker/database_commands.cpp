#include "worker/database_commands.hpp"

#include "pg/hooks.hpp"
#include "pg/shared.hpp"
#include "shared/slots.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

// Processes are asked to end, and terminated after half a second; after that the server itself waits another five seconds.
constexpr int most_waits = 500;
constexpr int polite_waits = 50;
constexpr long wait_milliseconds = 10;

// Asks the database's processes to end; true when there are none.
bool stop_processes(DatabaseSlot& slot, Oid database, bool politely) {
    bool gone = true;
    if (int pid = slot.scheduler_pid; pid != 0 && pg::process_exists(pid)) {
        politely ? pg::wake_process(slot.scheduler_process) : pg::signal_terminate(pid);
        gone = false;
    }
    for (WorkerSlot& worker : shared()->workers) {
        bool ours = worker.state == SlotState::starting || worker.state == SlotState::running;
        if (!ours || worker.database != database) continue;
        worker.stop = true;
        politely ? pg::wake_process(worker.process_number) : pg::signal_terminate(worker.pid);
        gone = false;
    }
    return gone;
}

void after_create() {
    if (shared() != nullptr) pg::wake_process(shared()->launcher_process);
}

}  // namespace

// The block ends with the transaction, whether that commits or not: until then others see the database as it was.
void stop_processes_of(Oid database) {
    DatabaseSlot* slot = shared() == nullptr ? nullptr : find_database_slot(database);
    if (slot == nullptr) return;
    slot->blocked_by = pg::my_pid();
    unblock_databases_at_transaction_end();
    for (int i = 0; i < most_waits && !stop_processes(*slot, database, i < polite_waits); i++) {
        pg::pause(wait_milliseconds);
    }
}

void register_database_commands() { pg::on_database_command({stop_processes_of, after_create}); }

}  // namespace sync_job
