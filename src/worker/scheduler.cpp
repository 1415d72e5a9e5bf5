// A scheduler: one process for each database with the extension. Each round it reads from the tables what is due, and
// starts and stops workers accordingly. It runs no jobs itself.
//
// - Nobody serves a (queue, role) with due jobs: it starts a worker.
// - All workers of the group have been busy for a while: one more, up to sync_job_queue.max_workers.
// - No worker can be started: an idle one of another group is stopped, and for a group without any, a busy one.
// - There are more workers than the settings now allow: the surplus is stopped.
// - A job or a retry falls due: a timer, to the millisecond.
// - A job is Started but nobody runs it: it is queued again or failed, depending on how its process ended.
// - The extension is dropped or updated: the scheduler ends or waits.
#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "core/retry.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "pg/shared.hpp"
#include "pg/table.hpp"
#include "pg/xact.hpp"
#include "queue/clear.hpp"
#include "queue/dependencies.hpp"
#include "queue/setup_error.hpp"
#include "shared/settings.hpp"
#include "shared/slots.hpp"
#include "shared/trouble.hpp"
#include "worker/alerts.hpp"
#include "worker/change_notifier.hpp"
#include "worker/mains.hpp"
#include "worker/progress_notifier.hpp"
#include "worker/scheduler_queries.hpp"
#include "worker/worker_pool.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// The least time between two rounds: otherwise each commit of a busy system would cause one.
constexpr auto shortest_pause = Milliseconds(10);
// A group whose workers have all been busy for this long, with more to do, gets another one.
constexpr auto patience = Milliseconds(50);
constexpr auto shortage_pause = Milliseconds(200);
// For this long a role that has used its share of the places for jobs that run alone gets no more workers.
constexpr auto share_pause = std::chrono::seconds(5);

DatabaseSlot* my_slot = nullptr;

WorkerPool pool() { return WorkerPool(my_slot->database); }

struct GroupState {
    std::optional<Clock::time_point> busy_since;  // since when all its workers are busy while jobs are due
    Clock::time_point next_try{};                 // after workers that failed to start
    Clock::time_point share_had{};                // no more workers until then: the last one gave way to other roles
    int failures = 0;
};

// A step that keeps raising an error: logged once, and tried again at growing intervals.
struct Trouble {
    int failures = 0;
    Clock::time_point next_try{};

    bool rests() const { return next_try > Clock::now(); }
    void note(const std::string& what, const pg::Error& error) {
        failures++;
        next_try = Clock::now() + Milliseconds(growing_pause(1000, 60000, failures));
        if (failures == 1) pg::log_error(what, error);
    }
    void over(const std::string& what) {
        if (failures > 0) pg::log(what + ": works again");
        *this = {};
    }
};

struct Starting {
    DueGroup group;
    pg::Timestamp reserved;  // the slot has another time once the worker has come up, even if it has ended since
};

struct Scheduler {
    std::map<DueGroup, GroupState> groups;
    std::map<int, Starting> starting;  // by worker slot: started, but not running yet
    std::string settings_followed;     // of the database: those that this process has
    std::string logged_problem;        // the one logged last
    bool noted = false;                // the old view says that jobs wait for an update
    bool shortage_logged = false;
    std::set<DueGroup> trusted;    // after a crash: groups that have had a worker since
    std::set<DueGroup> cut_short;  // a worker ended during a round, perhaps because of one of its jobs
    ProgressNotifier progress;
    ChangeNotifier changes;
    std::int64_t dependencies_seen = 0;  // how far the sweep over waiting jobs has got
    bool more_to_clear = false;          // of the jobs that ended long ago
    std::vector<Lacking> lacking;        // groups without a worker they need, in this round
    Trouble round, orphans, retries, held, dependencies, setups, resumes, alerts, clearing;
};

void at_exit() {
    my_slot->scheduler_process = -1;
    my_slot->scheduler_pid = 0;
    pg::wake_process(shared()->launcher_process);  // it may not be the one that started us
}

// Logs a problem once, and again only after a different one.
void log_once(Scheduler& scheduler, const std::string& problem, const std::string& hint) {
    if (scheduler.logged_problem == problem) return;
    scheduler.logged_problem = problem;
    if (!problem.empty()) pg::log(problem, {}, hint);
}

// --- What there is to do, read in one transaction ---

struct Plan {
    bool end = false;    // the extension was dropped, or a new process must take over
    bool serve = false;  // jobs may run
    bool again = false;  // the plan could not be read this time
    bool outdated = false;  // waits for ALTER EXTENSION UPDATE
    bool more_retries = false, more_dependencies = false;
    ReleasedHeld held;
    std::vector<DueGroup> due;
    std::vector<Queue> queues;
};

// Not in each round: while somebody holds a snapshot, the query reads every job that has been Started since.
bool time_for_orphans() {
    static Clock::time_point looked{};
    bool told = my_slot->orphans_possible.exchange(false);
    if (!told && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// A sweep over the waiting jobs has not finished, or there is a reason to begin one.
bool time_for_dependents(std::int64_t seen_up_to) {
    static Clock::time_point looked{};
    if (seen_up_to != 0) return true;
    bool told = my_slot->dependents_possible.exchange(false);
    if (!told && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// What need not be done at once: types whose set-up is broken, alerts, old jobs.
bool time_for_upkeep(bool more_to_clear) {
    static Clock::time_point looked{};
    if (!more_to_clear && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// One step of a round, for the jobs of all roles. If it raises an error, the round goes on with the next step.
template <class F>
void step(Trouble& trouble, const std::string& what, F&& act) {
    if (trouble.rests()) return;
    try {
        pg::Subtransaction subtransaction;
        act();
        pg::command_counter_increment();
        subtransaction.commit();
        trouble.over(what);
    } catch (const pg::Error& error) {
        if (error.sqlstate() == "40P01") throw;
        trouble.note(what, error);
    }
}

void read_work(Scheduler& scheduler, Plan& plan) {
    // The parent table is locked first, as TRUNCATE and LOCK do; partitions first could deadlock with them. It is closed at
    // once, which keeps the lock but not the snapshot.
    { pg::Table whole(schema_objects().job_table, pg::TableLock::read); }
    if (time_for_orphans()) {
        step(scheduler.orphans, "sync job scheduler: jobs that nobody runs could not be seen to",
             [] { recover_orphans(shared()->crashed && !my_slot->settled); });
    }
    pg::Timestamp now = pg::now();
    step(scheduler.retries, "sync job scheduler: due retries could not be queued",
         [&] { plan.more_retries = requeue_due_retries() > 0; });
    step(scheduler.held, "sync job scheduler: jobs of types that were paused could not be let go",
         [&] { plan.held = release_held_jobs(); });
    if (time_for_dependents(scheduler.dependencies_seen)) {
        step(scheduler.dependencies, "sync job scheduler: jobs that wait for others could not be let go", [&] {
            Release release = release_waiting_jobs(scheduler.dependencies_seen);
            my_slot->has_dependencies = release.some_wait;
            scheduler.dependencies_seen = release.seen_up_to;
            plan.more_dependencies = release.seen_up_to != 0;
        });
    }
    if (time_for_upkeep(scheduler.more_to_clear)) {
        step(scheduler.setups, "sync job scheduler: could not look after types whose set-up is broken",
             [] { tend_setups(settings.setup_retry_limit * 1000LL); });
        scheduler.more_to_clear = false;
        step(scheduler.clearing, "sync job scheduler: could not clear jobs that ended long ago",
             [&] { scheduler.more_to_clear = clear_by_retention(); });
        step(scheduler.alerts, "sync job scheduler: could not look at the alerts", [] {
            look_at_alerts();
            make_room_for_counts(*my_slot);
            if (!push_types().empty()) sweep_http_requests();
        });
    }
    step(scheduler.resumes, "sync job scheduler: could not resume jobs whose type was held",
         [&] { plan.more_retries = resume_released() || plan.more_retries; });
    DueWork work = due_work(pool().served_groups(), now);
    plan.due = std::move(work.groups);
    my_slot->due_at = work.next;
    // Read after the jobs, so that settings made before a job was enqueued apply to it.
    plan.queues = all_queues();
}

Plan make_plan(Scheduler& scheduler) {
    Plan plan;
    pg::SnapshotScope snapshot;
    if (!hold_extension()) {
        my_slot->state = DatabaseState::absent;
        plan.end = true;
        return plan;
    }
    if (auto other = other_version()) {
        log_once(scheduler, other->error.report().message, other->error.report().hint);
        plan.outdated = other->known;
        return plan;
    }
    std::string setting = settings_of_database();
    if (setting != scheduler.settings_followed) {  // only a new connection sees the new value
        my_slot->state = DatabaseState::stopped;
        plan.end = true;
        return plan;
    }
    if (waiting_for_adoption()) {
        log_once(scheduler,
                 "sync jobs of database \"" + pg::my_database_name() + "\" wait: they came with a dump or a copy",
                 "Call adopt_sync_jobs() in it to have them run here.");
        return plan;
    }
    log_once(scheduler, "", "");
    if (!settings.enabled) return plan;
    plan.serve = true;
    read_work(scheduler, plan);
    return plan;
}

// A deadlock is no failure: the scheduler gives way and looks again.
Plan read_plan(Scheduler& scheduler) {
    pg::start_transaction();
    try {
        Plan plan = make_plan(scheduler);
        pg::commit_transaction();
        return plan;
    } catch (const pg::Error& error) {
        if (error.sqlstate() != "40P01") throw;
        pg::abort_transaction();
        pg::log("the sync job scheduler looks again after a deadlock", error.report().detail);
    }
    Plan plan;
    plan.again = true;
    return plan;
}

// False: the view is locked, try again.
bool note_in_old_view() {
    pg::start_transaction();
    try {
        if (hold_extension()) make_old_view_tell();
        pg::commit_transaction();
    } catch (const pg::Error& error) {
        pg::abort_transaction();
        if (error.sqlstate() == "55P03") return false;
        pg::log_error("the view sync_job_queue_status cannot tell that sync jobs wait", error);
    }
    return true;
}

// --- The workers ---

void stop_surplus(const Plan& plan) {
    for (const Queue& queue : plan.queues) pool().stop_surplus(queue.name, queue.max_workers);
    stop_surplus_workers(settings.max_workers);
}

// For the log. The round's transaction is over.
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
        if (slot.state != SlotState::free || slot.database != my_slot->database) continue;
        if (slot.cut_short.exchange(false) && !slot.http) scheduler.cut_short.insert({slot.queue, slot.role});
        if (slot.gave_way.exchange(false)) {
            scheduler.groups[{slot.queue, slot.role}].share_had = Clock::now() + share_pause;
        }
    }
}

// After a crash the first worker of a group, whenever it starts, runs its jobs one by one; so does the successor of a worker
// that was killed, and any worker that joins one of these. `isolate`: how many jobs that one still runs in this way.
Started start_worker(Scheduler& scheduler, const DueGroup& group, GroupState& state, int isolate) {
    if (state.next_try > Clock::now()) return Started::failed;
    bool trusted = group.http || ((!shared()->crashed || scheduler.trusted.count(group) > 0) && scheduler.cut_short.count(group) == 0);
    WorkerSlot* slot = pool().reserve(group, trusted ? isolate : settings.batch_jobs);
    if (slot == nullptr) return Started::no_place;
    pg::Timestamp reserved = slot->since;
    auto worker = pg::start_worker((group.http ? "sync job HTTP worker " : "sync job worker ") + group.queue, "sync job worker", worker_entry, slot_index(slot));
    if (worker.result == pg::StartResult::no_slot) {
        slot->state = SlotState::free;
        return Started::no_process;
    }
    if (worker.result == pg::StartResult::started || slot->since != reserved) {  // or it has come up and ended already
        scheduler.starting[slot_index(slot)] = {group, reserved};
        scheduler.trusted.insert(group);
        scheduler.cut_short.erase(group);
        return Started::yes;
    }
    if (slot->state == SlotState::starting) slot->state = SlotState::free;
    record_failure(group, state);
    return Started::failed;
}

// Workers that ended before they were running; their role may lack the right to connect, for example.
void check_starting(Scheduler& scheduler) {
    constexpr std::int64_t too_long = 60 * 1000000LL;
    for (auto it = scheduler.starting.begin(); it != scheduler.starting.end();) {
        WorkerSlot& slot = shared()->workers[it->first];
        const auto& [group, reserved] = it->second;
        GroupState& state = scheduler.groups[group];
        bool pending = slot.state == SlotState::starting && pool().in_group(slot, group);
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

// Gives a group the workers it needs. Returns whether it needs one that cannot be started.
bool serve(Scheduler& scheduler, const DueGroup& group, const Queue& queue) {
    GroupState& state = scheduler.groups[group];
    WorkerPool::GroupView view = pool().view_of(group);
    auto lacks = [&](Lack lack) { scheduler.lacking.push_back({group.queue, group.role, lack}); };
    if (state.failures > 0) lacks(Lack::start);
    if (view.any_idle) {
        if (view.idle != nullptr && view.idle->idle.exchange(false)) pg::wake_process(view.idle->process_number);
        state.busy_since.reset();
        return false;
    }
    if (group.http && (view.workers > 0 || view.any_stopping)) return false;  // one sends all of them
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
    // For an additional worker only an idle one of another group is stopped, not a busy one.
    auto victim = view.workers > 0 ? WorkerPool::Victim::idle : WorkerPool::Victim::any;
    if (pool().count(queue.name) >= queue.max_workers) {
        pool().make_room(group, WorkerPool::Room::in_queue, victim);  // roles share the workers of a queue
        return false;
    }
    Started started = start_worker(scheduler, group, state, view.isolate);
    if (started != Started::no_place && started != Started::no_process) {
        state.busy_since.reset();
        return false;
    }
    pool().make_room(group, WorkerPool::Room::anywhere, victim);
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
    show_lacking(*my_slot, scheduler.lacking);
    return shortage;
}

// --- Rounds ---

// Waits until something is due, the latch is set, or it is time to poll, but at least until `earliest`.
void rest(Clock::time_point earliest, Milliseconds at_most) {
    std::int64_t due = my_slot->due_at;
    if (due != never) {
        std::int64_t wait = due <= pg::now() ? 0 : (due - pg::now() + 999) / 1000;  // due may be -infinity
        at_most = std::min(at_most, Milliseconds(wait));
    }
    Clock::time_point until = Clock::now() + at_most;
    while (!pg::shutdown_requested()) {
        auto now = Clock::now();
        bool woken = pg::latch_is_set();
        if (now >= earliest && (woken || now >= until)) return;
        if (woken && now < earliest) pg::reset_latch(), until = earliest;  // acted upon at `earliest`
        auto next = now < earliest ? earliest : until;
        auto wait = std::chrono::ceil<Milliseconds>(next - now);
        if (!pg::wait_for_latch(std::max<long>(wait.count(), 0))) pg::return_freed_memory();
    }
}

Milliseconds pause_for_work(const Scheduler& scheduler, const Plan& plan, bool shortage) {
    if (plan.more_retries || plan.more_dependencies || plan.held.jobs > 0) return Milliseconds(0);
    if (shortage || plan.again || plan.held.all_locked) return shortage_pause;
    for (const auto& [group, state] : scheduler.groups) {
        if (state.busy_since) return patience;
    }
    if (!scheduler.starting.empty() || scheduler.more_to_clear) return shortage_pause;
    Milliseconds pause(settings.poll_interval);
    for (const auto& [group, state] : scheduler.groups) {
        auto until = std::chrono::ceil<Milliseconds>(std::max(state.next_try, state.share_had) - Clock::now());
        if (until.count() > 0) pause = std::min(pause, until);
    }
    return pause;
}

Milliseconds pause_after(const Scheduler& scheduler, const Plan& plan, bool shortage) {
    Milliseconds pause = pause_for_work(scheduler, plan, shortage);
    for (auto due : {scheduler.progress.due(*my_slot), scheduler.changes.due(*my_slot)}) {
        if (due) pause = std::min(pause, *due);
    }
    return pause;
}

// Returns how long to rest.
Milliseconds run_round(Scheduler& scheduler) {
    Plan plan = read_plan(scheduler);
    pg::flush_statistics(false);
    if (plan.end) {
        pool().stop_all();
        pg::exit_worker(0);
    }
    bool shortage = false;
    if (plan.serve) {
        my_slot->state = DatabaseState::serving;
        check_starting(scheduler);
        note_ended_workers(scheduler);
        stop_surplus(plan);
        shortage = serve_all(scheduler, plan);
        my_slot->settled = true;
    } else if (!plan.again) {
        pool().stop_all();
        show_lacking(*my_slot, {});
        if (plan.outdated && !scheduler.noted) scheduler.noted = note_in_old_view();
    }
    scheduler.progress.notify(*my_slot);
    scheduler.changes.notify(*my_slot);
    pool().tell_of_unheeded();
    return pause_after(scheduler, plan, shortage);
}

// They may have changed since the server gave them to this process, as it connected. False: only a new process has them.
bool take_settings(Scheduler& scheduler) {
    std::optional<std::string> taken = "";
    pg::start_transaction();
    {
        pg::SnapshotScope snapshot;
        bool there = hold_extension();
        auto other = other_version();  // reported by a round
        if (there && (!other || other->known)) {
            taken = take_settings_of_database();
            if (prepared_transactions_exist()) my_slot->prepared_possible = true;
        }
    }
    pg::commit_transaction();
    scheduler.settings_followed = taken.value_or("");
    return taken.has_value();
}

void run() {
    Scheduler scheduler;
    bool has_settings = take_settings(scheduler);
    // What a round allocates outside transactions, or in its caller's context, is freed with it.
    pg::Memory memory("sync job scheduler round", pg::Memory::Parent::backend);
    pg::MemorySwitch in_memory(memory);
    while (has_settings && !pg::shutdown_requested() && my_slot->blocked_by == 0) {
        memory.reset();
        pg::reset_latch();
        pg::reload_settings_if_asked();
        auto earliest = Clock::now() + shortest_pause;
        Milliseconds pause(0);
        try {
            pause = run_round(scheduler);
            if (scheduler.round.failures > 0) show_failed_round(*my_slot, "");
            scheduler.round.over("sync job scheduler");
        } catch (const pg::Error& error) {
            pg::abort_transaction();
            scheduler.round.note("sync job scheduler: a round failed", error);
            show_failed_round(*my_slot, error.report().message);
            earliest = scheduler.round.next_try;
        }
        pg::show_idle();
        rest(earliest, pause);
    }
    my_slot->state = DatabaseState::stopped;
    pg::exit_worker(0);
}

}  // namespace

}  // namespace sync_job

extern "C" SYNC_JOB_EXPORT void sync_job_scheduler_main(Datum);

extern "C" void sync_job_scheduler_main(Datum slot) {
    using namespace sync_job;
    my_slot = &shared()->databases[pg::datum_int32(slot)];
    pg::run_worker_main([] {
        my_slot->scheduler_process = pg::my_process_number();
        my_slot->scheduler_pid = pg::my_pid();
        pg::begin_worker(at_exit);
        pg::ignore_cancel();
        pg::connect_to_database(my_slot->database, pg::no_oid);
        pg::show_application_name("sync job scheduler");
        // In a deadlock the scheduler is the one that notices, and gives way.
        pg::set_session("deadlock_timeout", "50ms");
        run();
    });
}
