// Decides which worker slots belong to a group, which worker makes room, and which ones are surplus. The schedulers of all databases do
// this on the same slots, so whatever counts and then takes a slot does both under the lock.
#include "worker/worker_pool.hpp"

#include <algorithm>

#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/settings.hpp"
#include "shared/trouble.hpp"

namespace sync_job {

namespace {

constexpr std::int64_t least_service = 1000000;  // microseconds before a busy worker has to make room

bool is_worker(const WorkerSlot& slot) { return slot.state == SlotState::starting || slot.state == SlotState::running; }

void stop_worker(WorkerSlot& slot) {
    slot.stop = true;
    pg::wake_process(slot.process_number);
}

// Which of two workers to stop: an idle one, else the one that has served longest.
bool better_victim(const WorkerSlot& slot, const WorkerSlot* other) {
    return other == nullptr || (slot.idle && !other->idle) || (slot.idle == other->idle && slot.since < other->since);
}

template <class Belongs>
void stop_beyond(int most, const Belongs& belongs) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    for (;;) {
        int count = 0;
        WorkerSlot* victim = nullptr;
        for (WorkerSlot& slot : shared()->workers) {
            if (!is_worker(slot) || slot.stop || !belongs(slot)) continue;
            count++;
            if (better_victim(slot, victim)) victim = &slot;
        }
        if (count <= most) return;
        stop_worker(*victim);
    }
}

int count_all_workers() { return static_cast<int>(std::ranges::count_if(shared()->workers, is_worker)); }

}  // namespace

bool WorkerPool::in_group(const WorkerSlot& slot, const DueGroup& group) const {
    return is_worker(slot) && slot.role == group.role && slot.http == group.http && in_queue(slot, group.queue);
}

bool WorkerPool::in_queue(const WorkerSlot& slot, const std::string& queue) const {
    return slot.database == database_ && queue == slot.queue;
}

int WorkerPool::count(const std::string& queue) const {
    return static_cast<int>(std::ranges::count_if(
        shared()->workers, [&](const WorkerSlot& slot) { return is_worker(slot) && in_queue(slot, queue); }));
}

std::map<DueGroup, ClaimPosition> WorkerPool::served_groups() const {
    std::map<DueGroup, ClaimPosition> groups;
    for (const WorkerSlot& slot : shared()->workers) {
        if (slot.state != SlotState::running || slot.database != database_ || slot.http) continue;
        ClaimPosition start = claim_start_of(slot);
        auto [known, is_new] = groups.try_emplace(DueGroup{slot.queue, slot.role}, start);
        if (!is_new) known->second = std::min(known->second, start);
    }
    return groups;
}

WorkerPool::GroupView WorkerPool::view_of(const DueGroup& group) const {
    GroupView view;
    for (WorkerSlot& slot : shared()->workers) {
        if (!in_group(slot, group)) continue;
        if (slot.stop) {
            view.any_stopping = true;
            continue;
        }
        view.workers++;
        if (slot.state == SlotState::starting) view.any_idle = true;
        if (slot.idle) view.any_idle = true, view.idle = &slot;
        view.isolate = std::max(view.isolate, slot.isolate.load());
        if (slot.alone_job == 0) view.all_alone = false;
    }
    return view;
}

WorkerSlot* WorkerPool::reserve(const DueGroup& group, int isolate) const {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    if (count_all_workers() >= settings.max_workers) return nullptr;
    WorkerSlot* slot = find_free_slot();
    if (slot == nullptr) return nullptr;
    slot->database = database_;
    slot->role = group.role;
    slot->http = group.http;
    slot->queue_hash = queue_hash(group.queue.c_str());
    std::size_t length = std::min<std::size_t>(group.queue.size(), queue_name_bytes - 1);
    group.queue.copy(slot->queue, length);
    slot->queue[length] = '\0';
    slot->since = pg::now();
    slot->isolate = isolate;
    slot->state = SlotState::starting;
    return slot;
}

// Does not stop a busy worker that has just come up; nor, for a group that already has workers, an idle one that has just come up.
// Otherwise groups would take turns ending each other's workers.
void WorkerPool::make_room(const DueGroup& group, Room where, Victim who) const {
    WorkerSlot* victim = nullptr;
    for (WorkerSlot& slot : shared()->workers) {
        if (slot.state != SlotState::running || in_group(slot, group)) continue;
        if (where == Room::in_queue && !in_queue(slot, group.queue)) continue;
        if (slot.stop) return;  // another worker is about to end
        if (who == Victim::idle && !slot.idle) continue;
        if ((who == Victim::idle || !slot.idle) && pg::now() - slot.since < least_service) continue;
        if (better_victim(slot, victim)) victim = &slot;
    }
    if (victim != nullptr) stop_worker(*victim);
}

void WorkerPool::stop_surplus(const std::string& queue, int most) const {
    stop_beyond(most, [&](const WorkerSlot& slot) { return in_queue(slot, queue); });
}

void stop_surplus_workers(int most) {
    stop_beyond(most, [](const WorkerSlot&) { return true; });
}

void WorkerPool::tell_of_unheeded() const {
    for (WorkerSlot& slot : used_slots(*shared())) {
        std::int64_t since = slot.unheeded_since;
        if (slot.database != database_ || since == 0 || slot.unheeded_told == since) continue;
        slot.unheeded_told = since;
        pg::log(unheeded_time_limit(slot), "", "If it goes on for ever, only the end of the process ends it, which restarts the server: kill -9.");
    }
}

void WorkerPool::stop_all() const {
    for (WorkerSlot& slot : shared()->workers) {
        if (slot.state == SlotState::running && slot.database == database_) stop_worker(slot);
    }
}

}  // namespace sync_job
