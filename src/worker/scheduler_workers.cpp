// The part of a scheduler that starts the workers of each group with due jobs, and stops others if there is no room.
#include <algorithm>

#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/settings.hpp"
#include "worker/mains.hpp"
#include "worker/scheduler.hpp"

namespace sync_job {

namespace {

// A role that has used up its share of the places for jobs that run alone gets no more workers for this long.
constexpr auto share_pause = std::chrono::seconds(5);

void stop_surplus(const Scheduler& scheduler, const Plan& plan) {
    for (const Queue& queue : plan.queues) scheduler.pool.stop_surplus(queue.name, queue.max_workers);
    stop_surplus_workers(settings.max_workers);
}

// For the log: by then the round's transaction is over.
std::string name_of_role(Oid role) {
    pg::start_transaction();
    std::string name = pg::role_name(role);
    pg::commit_transaction();
    return name;
}

void record_failure(const DueGroup& group, GroupState& state) {
    // At shutdown, workers may be told to end a moment before this process is.
    constexpr long moment_milliseconds = 50;
    if (state.failures == 0) pg::pause(moment_milliseconds);
    if (pg::shutdown_requested()) return;
    state.failures++;
    auto wait = std::chrono::seconds(std::min(5 << std::min(state.failures - 1, 4), 60));
    state.next_try = Clock::now() + wait;
    if (state.failures > 1) return;
    pg::log("a sync job worker for queue \"" + group.queue + "\" and role \"" + name_of_role(group.role) +
                "\" did not come up",
            "It is started again after growing pauses of up to a minute.",
            "See the messages before this one in the server log. The role must be able to log in and to connect.");
}

enum class Started { yes, no_place, no_process, failed };

void note_ended_workers(Scheduler& scheduler) {
    pg::SharedLock lock(pg::SharedLock::Mode::read);
    for (WorkerSlot& slot : used_slots(*shared())) {
        if (slot.state != SlotState::free || slot.database != scheduler.slot.database) continue;
        if (slot.cut_short.exchange(false) && !slot.http) scheduler.cut_short.insert({slot.queue, slot.role});
        if (slot.gave_way.exchange(false)) {
            scheduler.groups[{slot.queue, slot.role}].share_had = Clock::now() + share_pause;
        }
    }
}

// After a crash, the first worker of each group, whenever it starts, runs its jobs one by one. So does the successor of a worker that was
// killed, and any worker that joins one of these. `isolate`: how many jobs the worker it joins still has to run one by one.
Started start_worker(Scheduler& scheduler, const DueGroup& group, GroupState& state, int isolate) {
    if (state.next_try > Clock::now()) return Started::failed;
    bool trusted = group.http || ((!shared()->crashed || scheduler.trusted.count(group) > 0) && scheduler.cut_short.count(group) == 0);
    WorkerSlot* slot = scheduler.pool.reserve(group, trusted ? isolate : settings.batch_jobs);
    if (slot == nullptr) return Started::no_place;
    pg::Timestamp reserved = slot->since;
    auto worker = pg::start_worker((group.http ? "sync job HTTP worker " : "sync job worker ") + group.queue, "sync job worker", worker_entry, slot_index(slot));
    if (worker.result == pg::StartResult::no_slot) {
        slot->state = SlotState::free;
        return Started::no_process;
    }
    if (worker.result == pg::StartResult::started || slot->since != reserved) {  // or it has already come up and ended
        scheduler.starting[slot_index(slot)] = {group, reserved};
        scheduler.trusted.insert(group);
        scheduler.cut_short.erase(group);
        return Started::yes;
    }
    if (slot->state == SlotState::starting) slot->state = SlotState::free;
    record_failure(group, state);
    return Started::failed;
}

// Finds workers that ended before they were running: their role may lack the right to connect, for example.
void check_starting(Scheduler& scheduler) {
    constexpr std::int64_t too_long = 60 * 1000000LL;
    for (auto it = scheduler.starting.begin(); it != scheduler.starting.end();) {
        WorkerSlot& slot = shared()->workers[it->first];
        const auto& [group, reserved] = it->second;
        GroupState& state = scheduler.groups[group];
        bool pending = slot.state == SlotState::starting && scheduler.pool.in_group(slot, group);
        if (pending && pg::now() - slot.since < too_long) {
            ++it;
            continue;
        }
        if (slot.since != reserved) {
            state.failures = 0;
        } else {
            if (pending) slot.state = SlotState::free;
            record_failure(group, state);
        }
        it = scheduler.starting.erase(it);
    }
}

// Gives a group the workers it needs. Returns whether a needed worker cannot be started.
bool serve(Scheduler& scheduler, const DueGroup& group, const Queue& queue) {
    GroupState& state = scheduler.groups[group];
    WorkerPool::GroupView view = scheduler.pool.view_of(group);
    auto lacks = [&](Lack lack) { scheduler.lacking.push_back({group.queue, group.role, lack}); };
    if (state.failures > 0) lacks(Lack::start);
    if (view.any_idle) {
        if (view.idle != nullptr && view.idle->idle.exchange(false)) pg::wake_process(view.idle->process_number);
        state.busy_since.reset();
        return false;
    }
    if (group.http && (view.workers > 0 || view.any_stopping)) return false;  // one worker sends all of them
    if (view.workers > 0) {
        if (!state.busy_since) state.busy_since = Clock::now();
        bool waited = view.all_alone || Clock::now() - *state.busy_since >= patience;
        if (!waited) return false;
    }
    if (state.share_had > Clock::now()) {
        lacks(Lack::share);
        state.busy_since.reset();
        return false;
    }
    // An additional worker may displace only an idle one of another group, not a busy one.
    auto victim = view.workers > 0 ? WorkerPool::Victim::idle : WorkerPool::Victim::any;
    if (scheduler.pool.count(queue.name) >= queue.max_workers) {
        scheduler.pool.make_room(group, WorkerPool::Room::in_queue, victim);  // the roles of a queue share its workers
        return false;
    }
    Started started = start_worker(scheduler, group, state, view.isolate);
    if (started != Started::no_place && started != Started::no_process) {
        state.busy_since.reset();
        return false;
    }
    scheduler.pool.make_room(group, WorkerPool::Room::anywhere, victim);
    if (view.workers > 0) return false;
    bool own_limit = started == Started::no_place;
    lacks(own_limit ? Lack::place : Lack::process);
    if (!scheduler.shortage_logged) {
        pg::log("all background workers for sync jobs are taken: queue \"" + group.queue + "\" and role \"" +
                    name_of_role(group.role) + "\" wait for one to be free",
                {}, own_limit ? "Raise sync_job.max_workers." : "Raise max_worker_processes.");
        scheduler.shortage_logged = true;
    }
    return true;
}

bool serve_all(Scheduler& scheduler, const Plan& plan) {
    bool shortage = false;
    scheduler.lacking.clear();
    for (const DueGroup& group : plan.due) {
        for (const Queue& queue : plan.queues) {
            if (queue.name == group.queue && !queue.paused) shortage = serve(scheduler, group, queue) || shortage;
        }
    }
    for (auto it = scheduler.groups.begin(); it != scheduler.groups.end();) {
        bool due = std::find(plan.due.begin(), plan.due.end(), it->first) != plan.due.end();
        it = due || std::max(it->second.next_try, it->second.share_had) > Clock::now() ? std::next(it) : scheduler.groups.erase(it);
    }
    if (!shortage) scheduler.shortage_logged = false;
    show_lacking(scheduler.slot, scheduler.lacking);
    return shortage;
}

}  // namespace

bool tend_workers(Scheduler& scheduler, const Plan& plan) {
    check_starting(scheduler);
    note_ended_workers(scheduler);
    stop_surplus(scheduler, plan);
    return serve_all(scheduler, plan);
}

}  // namespace sync_job
