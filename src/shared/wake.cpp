// The callback at the end of a transaction only sets flags and latches: an error there would be a PANIC.
#include "shared/wake.hpp"

#include "core/claim_position.hpp"
#include "job/job_type.hpp"
#include "pg/background.hpp"
#include "pg/hooks.hpp"
#include "pg/xact.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/document_locks.hpp"
#include "shared/metrics.hpp"
#include "shared/slots.hpp"

namespace sync_job {

namespace {

struct Group {
    std::uint32_t queue_hash;
    Oid role;
    bool http;            // they are HTTP pushes
    ClaimPosition first;  // of the jobs that wait now
};

// With more groups than this in one transaction, the scheduler sorts it out.
constexpr int most_groups = 32;

struct Pending {
    Group groups[most_groups];
    int group_count;
    bool scheduler, launcher, ended, unblock, dependencies, blocked, prepared;
    bool more_groups;  // than there is room for
    std::int64_t due_at;
    bool any;
};

constexpr Pending nothing_pending = {{}, 0, false, false, false, false, false, false, false, false, never, false};
Pending pending = nothing_pending;

bool matches(const WorkerSlot& slot, const Group& group, Oid database) {
    return slot.state == SlotState::running && slot.database == database && slot.role == group.role &&
           slot.queue_hash == group.queue_hash && slot.http == group.http;
}

// To be called before a worker is woken: it begins to look there.
void lower_claim_starts(Shared& s, const Group& group, Oid database) {
    for (WorkerSlot& slot : used_slots(s)) {
        if (matches(slot, group, database)) lower_claim_start(slot, group.first);
    }
}

void lower_all_claim_starts(Shared& s, Oid database) {
    for (WorkerSlot& slot : used_slots(s)) {
        if (slot.state == SlotState::running && slot.database == database) lower_claim_start(slot, {});
    }
}

void wake_idle_workers(Shared& s, Oid database) {
    for (WorkerSlot& slot : used_slots(s)) {
        bool ours = slot.state == SlotState::running && slot.database == database;
        if (ours && slot.idle.exchange(false)) pg::wake_process(slot.process_number);
    }
}

// Wakes an idle worker of the group, or else a busy one (it looks again before it rests). False if none was idle.
bool wake_worker(Shared& s, const Group& group, Oid database) {
    int busy = -1;
    for (WorkerSlot& slot : used_slots(s)) {
        if (!matches(slot, group, database)) continue;
        if (slot.idle.exchange(false)) {
            pg::wake_process(slot.process_number);
            return true;
        }
        busy = slot.process_number;
    }
    if (busy >= 0) pg::wake_process(busy);
    return group.http && busy >= 0;  // one is enough
}

void lower(std::atomic<std::int64_t>& time, std::int64_t to) {
    std::int64_t known = time;
    while (to < known && !time.compare_exchange_weak(known, to)) {
    }
}

void act(Shared& s) {
    Oid database = pg::my_database();
    if (pending.more_groups || pending.prepared) lower_all_claim_starts(s, database);
    if (pending.prepared) wake_idle_workers(s, database);
    for (int i = 0; i < pending.group_count; i++) lower_claim_starts(s, pending.groups[i], database);
    for (int i = 0; i < pending.group_count; i++) {
        if (!wake_worker(s, pending.groups[i], database)) pending.scheduler = true;
    }
    DatabaseSlot* slot = find_database_slot(database);
    if (pending.dependencies && slot != nullptr) slot->has_dependencies = true;
    bool look = pending.dependencies || (pending.ended && slot != nullptr && slot->has_dependencies);
    if (look && slot != nullptr) slot->dependents_possible = true;
    if (look) pending.scheduler = true;
    if (pending.due_at != never && slot != nullptr && pending.due_at < slot->due_at) {
        lower(slot->due_at, pending.due_at);
        pending.scheduler = true;
    }
    bool scheduled = slot != nullptr && slot->scheduler_process >= 0;
    if (pending.scheduler && scheduled) pg::wake_process(slot->scheduler_process);
    if (pending.launcher || (pending.scheduler && !scheduled) || (pending.due_at != never && slot == nullptr)) {
        ask_launcher(database);
        if (scheduled) pg::wake_process(slot->scheduler_process);
    }
    if (pending.ended && s.waiting_sessions > 0) pg::announce(s.ended);
    if (pending.blocked) wake_blocked(s);
}

void unblock_databases(Shared& s) {
    for (DatabaseSlot& slot : s.databases) {
        if (slot.blocked_by != pg::my_pid()) continue;
        slot.state = DatabaseState::stopped;  // we ended its processes ourselves: not a failure
        slot.blocked_by = 0;
    }
    pg::wake_process(s.launcher_process);
}

// Also after a rollback: a worker may have passed over a job that the transaction had locked. A transaction that is prepared looks as
// if it had been rolled back.
void at_transaction_end(bool committed) {
    if (!pending.any) return;
    Shared* s = shared();
    DatabaseSlot* slot = s == nullptr || committed ? nullptr : find_database_slot(pg::my_database());
    if (slot != nullptr) slot->prepared_possible = true;
    if (pending.unblock && s != nullptr) unblock_databases(*s);
    if (s != nullptr) act(*s);
    pending = nothing_pending;
}

bool waits_for_http(const Job& job) {
    auto type = find_job_type(std::string(job.text(JobColumn::sync_job_type)));
    return type != nullptr && type->is_push() && !type->paused;
}

}  // namespace

void register_wake() {
    pg::on_transaction_end(at_transaction_end);
    pg::on_prepared_end(wake_for_prepared_at_commit);
}

void wake_at_commit(const Job& job) {
    note_change(job);
    if (shared() == nullptr || (job.is_held() && !waits_for_http(job))) return;
    if (!job.is_null(JobColumn::scheduled_at) && job.int64(JobColumn::scheduled_at) > pg::now()) {
        return wake_at(job.int64(JobColumn::scheduled_at));
    }
    pending.any = true;
    Group group{queue_hash(std::string(job.text(JobColumn::queue)).c_str()),
                job.oid(JobColumn::run_as),
                job.is_held(),
                {job.int32(JobColumn::priority), job.id()}};
    for (int i = 0; i < pending.group_count; i++) {
        Group& known = pending.groups[i];
        if (known.queue_hash != group.queue_hash || known.role != group.role || known.http != group.http) continue;
        known.first = std::min(known.first, group.first);
        return;
    }
    if (pending.group_count == most_groups) {
        pending.scheduler = pending.more_groups = true;
    } else {
        pending.groups[pending.group_count++] = group;
    }
}

void wake_at(pg::Timestamp time) {
    pending.any = true;
    if (time < pending.due_at) pending.due_at = time;
}

void unblock_databases_at_transaction_end() { pending.any = pending.unblock = true; }

void wake_scheduler_at_commit() {
    pending.any = pending.scheduler = true;
    note_change();
}
void wake_for_prepared_at_commit() noexcept {
    DatabaseSlot* slot = shared() == nullptr ? nullptr : find_database_slot(pg::my_database());
    if (slot == nullptr || !slot->prepared_possible) return;
    pending.any = pending.prepared = pending.scheduler = pending.dependencies = pending.ended = pending.blocked = true;
}

void wake_for_dependencies_at_commit() { pending.any = pending.dependencies = true; }
void wake_launcher_at_commit() { pending.any = pending.launcher = true; }
void announce_ended_at_commit() { pending.any = pending.ended = true; }
void wake_blocked_at_commit() { pending.any = pending.blocked = true; }

}  // namespace sync_job
