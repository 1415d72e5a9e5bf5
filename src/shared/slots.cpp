#include "shared/slots.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "pg/xact.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/endpoints.hpp"

namespace sync_job {

namespace {
WorkerSlot* my_slot = nullptr;
}

Shared* shared() { return static_cast<Shared*>(pg::shared_memory()); }

std::size_t shared_bytes() { return sizeof(Shared) + sizeof(SharedRequests); }

void initialize_shared(void* memory) {
    std::memset(memory, 0, sizeof(Shared));
    auto* s = new (memory) Shared;
    s->launcher_process = -1;
    s->launcher_pid = 0;
    s->request_all = false;
    s->waiting_sessions = s->slots_used = 0;
    s->crashed = pg::server_crashed();
    s->made_at = pg::now();
    for (auto& request : s->requests) request = pg::no_oid;
    for (DatabaseSlot& database : s->databases) {
        database.database = pg::no_oid;
        database.scheduler_process = -1;
        database.scheduler_pid = 0;
        database.state = DatabaseState::unknown;
        database.blocked_by = 0;
        database.due_at = never;
        database.settled = false;
        database.renew_after = 0;
        database.has_dependencies = true;  // until the scheduler has looked
        database.orphans_possible = database.dependents_possible = true;
        database.progress_pending = false;
        database.watched_until = 0;
        database.change_pending = database.any_change = database.series_lacking = false;
        database.no_process = database.scheduler_fails = false;
    }
    for (WorkerSlot& worker : s->workers) {
        worker.state = SlotState::free;
        worker.change = 0;
        clear_slot(worker);
    }
    initialize_requests();
    pg::initialize_condition(s->ended);
}

// Clears everything except `state` and `change`.
void clear_slot(WorkerSlot& slot) {
    slot.process_number = -1;
    slot.pid = 0;
    slot.queue[0] = '\0';
    slot.queue_hash = 0;
    slot.idle = slot.stop = slot.blocked = slot.progress_changed = false;
    slot.isolate = 0;
    slot.http = false;
    clear_requests(slot);
    slot.in_place_alone = slot.gave_way = slot.cut_short = false;
    slot.lock_waits = 0;
    slot.unheeded_since = slot.unheeded_told = 0;
    slot.types_alone[0] = '\0';
    slot.activity.job = 0;
    slot.alone_job = 0;
    slot.cancel_job = 0;
    slot.cancel_known = false;
    slot.document_count = slot.limited_count = 0;
    slot.exclusive_type = 0;
    std::memset(slot.documents, 0, sizeof(slot.documents));
    reset_claim_start(slot);
}

WorkerSlot* find_free_slot() {
    Shared* s = shared();
    for (WorkerSlot& slot : s->workers) {
        if (slot.state != SlotState::free) continue;
        clear_slot(slot);
        s->slots_used = std::max(s->slots_used.load(), slot_index(&slot) + 1);
        return &slot;
    }
    return nullptr;
}

void report_orphans(Oid database) noexcept {
    DatabaseSlot* slot = find_database_slot(database);
    if (slot == nullptr) return;
    slot->orphans_possible = true;
    pg::wake_process(slot->scheduler_process);
}

// FNV-1a.
std::uint32_t queue_hash(const char* name) {
    std::uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++) hash = (hash ^ static_cast<unsigned char>(*name)) * 16777619u;
    return hash;
}

DatabaseSlot* find_database_slot(Oid database) {
    Shared* s = shared();
    if (s == nullptr) return nullptr;
    for (DatabaseSlot& slot : s->databases) {
        if (slot.database == database) return &slot;
    }
    return nullptr;
}

WorkerSlot* my_slot_or_null() { return my_slot; }
void set_my_slot(WorkerSlot* slot) { my_slot = slot; }

int slot_index(const WorkerSlot* slot) { return static_cast<int>(slot - shared()->workers); }

void ask_launcher(Oid database) noexcept {
    Shared* s = shared();
    if (s == nullptr) return;
    bool noted = false;
    for (auto& request : s->requests) {
        Oid expected = pg::no_oid;
        if (request == database || request.compare_exchange_strong(expected, database)) {
            noted = true;
            break;
        }
    }
    if (!noted) s->request_all = true;
    pg::wake_process(s->launcher_process);
}

}  // namespace sync_job
