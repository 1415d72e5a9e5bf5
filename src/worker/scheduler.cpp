// A scheduler: one process for each database with the extension. Each round it reads from the tables what is due and
// brings the workers to what that needs. It runs no job.
//
// - Nobody serves a (queue, role) with due jobs: a worker is started.
// - All its workers have been busy for a while: one more, up to sync_job_queue.max_workers.
// - No worker is to be had: an idle one of another group has to go, and for a group that has none a busy one.
// - There are more than the settings allow, as they have been lowered: those too many end.
// - A job falls due, or its retry: a timer, to the millisecond.
// - A job is Started and nobody runs it: queued again, or failed, by what is known of its runner's end.
// - The extension goes, or is updated: the scheduler ends, or waits.
#include <algorithm>
#include <chrono>
#include <cstdio>
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
#include "queue/dependencies.hpp"
#include "shared/activity.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/settings.hpp"
#include "shared/slots.hpp"
#include "worker/mains.hpp"
#include "worker/scheduler.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// Between two rounds at least; every commit of a busy system would else cause one.
constexpr auto shortest_pause = Milliseconds(10);
// All workers of a group busy for so long, with more to do: it gets another one.
constexpr auto patience = Milliseconds(50);
constexpr auto shortage_pause = Milliseconds(200);
// A role that has had its share of the places for jobs alone gets no more workers for so long.
constexpr auto share_pause = std::chrono::seconds(5);
constexpr std::int64_t least_service = 1000000;  // microseconds

DatabaseSlot* my_slot = nullptr;

std::string progress_message(std::int64_t job, double percent) {
    char number[32];
    std::snprintf(number, sizeof(number), "%.2f", percent);
    return "{\"sync_job\": " + std::to_string(job) + ", \"percent\": " + number + "}";
}

struct GroupState {
    std::optional<Clock::time_point> busy_since;  // all its workers, with due jobs
    Clock::time_point next_try{};                 // after workers that did not come up
    Clock::time_point share_had{};                // until then no more workers: the last one gave way to other roles
    int failures = 0;
};

// Something that raises an error each time it is tried: said once, and tried again with growing pauses.
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
        if (failures > 0) pg::log(what + ": it goes well again");
        *this = {};
    }
};

struct Scheduler {
    std::map<DueGroup, GroupState> groups;
    std::map<int, DueGroup> starting;  // worker slots that have not come up yet
    std::string enabled_setting;       // of the database, as it was when we connected
    std::string logged_problem;        // said once
    bool noted = false;                // in the old view, that this waits for an update
    bool shortage_logged = false;
    std::set<DueGroup> trusted;  // after a crash: those that have had a worker since
    std::set<DueGroup> cut_short;  // a worker was ended in the midst of a round, perhaps by a job of its
    Clock::time_point progress_told{};  // when listeners were told of progress last
    bool progress_failed = false;       // and that was said
    std::int64_t dependencies_seen = 0;  // the job up to which this sweep over those that wait has come
    Trouble round, orphans, retries, dependencies;
};

void at_exit() {
    my_slot->scheduler_process = -1;
    my_slot->scheduler_pid = 0;
    pg::wake_process(shared()->launcher_process);  // it may not be the one that started us
}

// Says a problem once, and again only when another one came between.
void log_once(Scheduler& scheduler, const std::string& problem, const std::string& hint) {
    if (scheduler.logged_problem == problem) return;
    scheduler.logged_problem = problem;
    if (!problem.empty()) pg::log(problem, {}, hint);
}

// --- What there is to do, read in one transaction ---

struct Plan {
    bool end = false;    // the extension is gone, or this process must start anew
    bool serve = false;  // jobs may run
    bool again = false;  // it could not be read this time
    bool outdated = false;  // waits for ALTER EXTENSION UPDATE
    bool more_retries = false, more_dependencies = false;
    std::vector<DueGroup> due;
    std::vector<Queue> queues;
};

// The groups that have workers, and where the claims of all of these begin.
std::map<DueGroup, ClaimPosition> served_groups() {
    std::map<DueGroup, ClaimPosition> groups;
    for (const WorkerSlot& slot : shared()->workers) {
        if (slot.state != SlotState::running || slot.database != my_slot->database) continue;
        DueGroup group{slot.queue, slot.role};
        ClaimPosition start = claim_start_of(slot);
        auto [known, is_new] = groups.try_emplace(group, start);
        if (!is_new) known->second = std::min(known->second, start);
    }
    return groups;
}

// Not in each round: under a snapshot that somebody holds, that look goes through all jobs that have been Started since.
bool time_for_orphans() {
    static Clock::time_point looked{};
    bool told = my_slot->orphans_possible.exchange(false);
    if (!told && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// A sweep over those that wait goes on, or there is a reason for one.
bool time_for_dependents(std::int64_t seen_up_to) {
    static Clock::time_point looked{};
    if (seen_up_to != 0) return true;
    bool told = my_slot->dependents_possible.exchange(false);
    if (!told && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// One of the things that a round does for the jobs of all roles. Where it raises, the round does the others.
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
    // First, as TRUNCATE and LOCK do: who has the partitions and then wants the whole would wait for them, and they for him.
    // Closed at once, the table stays locked; open, it would keep its snapshot, too.
    { pg::Table whole(schema_objects().job_table, pg::TableLock::read); }
    if (time_for_orphans()) {
        step(scheduler.orphans, "sync job scheduler: jobs that nobody runs could not be seen to",
             [] { recover_orphans(shared()->crashed && !my_slot->settled); });
    }
    pg::Timestamp now = pg::now();
    step(scheduler.retries, "sync job scheduler: due retries could not be queued",
         [&] { plan.more_retries = requeue_due_retries() > 0; });
    if (time_for_dependents(scheduler.dependencies_seen)) {
        step(scheduler.dependencies, "sync job scheduler: jobs that wait for others could not be let go", [&] {
            Release release = release_waiting_jobs(scheduler.dependencies_seen);
            my_slot->has_dependencies = release.some_wait;
            scheduler.dependencies_seen = release.seen_up_to;
            plan.more_dependencies = release.seen_up_to != 0;
        });
    }
    DueWork work = due_work(served_groups(), now);
    plan.due = std::move(work.groups);
    my_slot->due_at = work.next;
    // After the jobs: what was set for their queue before they were enqueued holds for them.
    plan.queues = all_queues();
}

Plan make_plan(Scheduler& scheduler) {
    Plan plan;
    pg::SnapshotScope snapshot;
    auto extension = pg::find_extension("pg_sync_job");
    if (!extension || !pg::lock_extension(extension->oid)) {
        my_slot->state = DatabaseState::absent;
        plan.end = true;
        return plan;
    }
    if (auto other = other_version()) {
        log_once(scheduler, other->error.report().message, other->error.report().hint);
        plan.outdated = other->known;
        return plan;
    }
    std::string setting = enabled_setting_of_database();
    if (setting != scheduler.enabled_setting) {  // a new connection takes it over
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

// A deadlock is nobody's fault: this side steps back.
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

// False: somebody has the view, try again.
bool note_in_old_view() {
    pg::start_transaction();
    try {
        make_old_view_tell();
        pg::commit_transaction();
    } catch (const pg::Error& error) {
        pg::abort_transaction();
        if (error.sqlstate() == "55P03") return false;
        pg::log_error("the view sync_job_queue_status cannot tell that sync jobs wait", error);
    }
    return true;
}

// --- The workers ---

bool is_worker(const WorkerSlot& slot) { return slot.state == SlotState::starting || slot.state == SlotState::running; }

bool in_group(const WorkerSlot& slot, const DueGroup& group) {
    return is_worker(slot) && slot.database == my_slot->database && slot.role == group.role &&
           group.queue == slot.queue;
}

void stop_worker(WorkerSlot& slot) {
    slot.stop = true;
    pg::wake_process(slot.process_number);
}

void stop_all_workers() {
    for (WorkerSlot& slot : shared()->workers) {
        if (slot.state == SlotState::running && slot.database == my_slot->database) stop_worker(slot);
    }
}

bool in_queue(const WorkerSlot& slot, const std::string& queue) {
    return slot.database == my_slot->database && queue == slot.queue;
}

int count_workers(const std::string* queue) {
    int count = 0;
    for (WorkerSlot& slot : shared()->workers) {
        if (!is_worker(slot)) continue;
        if (queue == nullptr || in_queue(slot, *queue)) count++;
    }
    return count;
}

WorkerSlot* reserve_slot(const DueGroup& group, int isolate) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    if (count_workers(nullptr) >= settings.max_workers) return nullptr;
    WorkerSlot* slot = find_free_slot();
    if (slot == nullptr) return nullptr;
    slot->database = my_slot->database.load();
    slot->role = group.role;
    slot->queue_hash = queue_hash(group.queue.c_str());
    std::size_t length = std::min<std::size_t>(group.queue.size(), queue_name_bytes - 1);
    group.queue.copy(slot->queue, length);
    slot->queue[length] = '\0';
    slot->since = pg::now();
    slot->isolate = isolate;
    slot->state = SlotState::starting;
    return slot;
}

enum class Room { anywhere, in_queue };
enum class Victim { idle, any };

// The one to stop of two workers: an idle one, else the one that has served longest.
bool better_victim(const WorkerSlot& slot, const WorkerSlot* other) {
    return other == nullptr || (slot.idle && !other->idle) || (slot.idle == other->idle && slot.since < other->since);
}

// A worker of another group that makes room: an idle one, or where that may be a busy one, after its batch. No busy one that has
// just come up, and for a group that has workers no idle one either: groups would take turns in ending each other's.
void make_room(const DueGroup& group, Room where, Victim who) {
    WorkerSlot* victim = nullptr;
    for (WorkerSlot& slot : shared()->workers) {
        if (slot.state != SlotState::running || in_group(slot, group)) continue;
        if (where == Room::in_queue && !in_queue(slot, group.queue)) continue;
        if (slot.stop) return;  // one is on its way out
        if (who == Victim::idle && !slot.idle) continue;
        if ((who == Victim::idle || !slot.idle) && pg::now() - slot.since < least_service) continue;
        if (better_victim(slot, victim)) victim = &slot;
    }
    if (victim != nullptr) stop_worker(*victim);
}

// Stops what is there beyond so many workers, of the queue or of all databases. Under the lock, as the schedulers of other
// databases count the same ones.
void stop_surplus(const std::string* queue, int most) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    for (;;) {
        int count = 0;
        WorkerSlot* victim = nullptr;
        for (WorkerSlot& slot : shared()->workers) {
            if (!is_worker(slot) || slot.stop || (queue != nullptr && !in_queue(slot, *queue))) continue;
            count++;
            if (better_victim(slot, victim)) victim = &slot;
        }
        if (count <= most) return;
        stop_worker(*victim);
    }
}

void stop_surplus(const Plan& plan) {
    for (const Queue& queue : plan.queues) stop_surplus(&queue.name, queue.max_workers);
    stop_surplus(nullptr, settings.max_workers);
}

// For the log. The round's transaction is over.
std::string name_of_role(Oid role) {
    pg::start_transaction();
    std::string name = pg::role_name(role);
    pg::commit_transaction();
    return name;
}

void record_failure(const DueGroup& group, GroupState& state) {
    // At a shutdown they may be told to end a moment before this process is.
    constexpr long moment_milliseconds = 50;
    if (state.failures == 0) pg::pause(moment_milliseconds);
    if (pg::shutdown_requested()) return;
    state.failures++;
    auto wait = std::chrono::seconds(std::min(5 << std::min(state.failures - 1, 4), 60));
    state.next_try = Clock::now() + wait;
    if (state.failures > 1) return;
    pg::log("a sync job worker for queue \"" + group.queue + "\" and role \"" + name_of_role(group.role) +
                "\" did not come up",
            "It is tried again with growing pauses, up to a minute.",
            "What it said stands before this in the log. The role must be able to log in and to connect.");
}

enum class Started { yes, shortage, failed };

void note_ended_workers(Scheduler& scheduler) {
    pg::SharedLock lock(pg::SharedLock::Mode::read);
    for (WorkerSlot& slot : used_slots(*shared())) {
        if (slot.state != SlotState::free || slot.database != my_slot->database) continue;
        if (slot.cut_short.exchange(false)) scheduler.cut_short.insert({slot.queue, slot.role});
        if (slot.gave_way.exchange(false)) {
            scheduler.groups[{slot.queue, slot.role}].share_had = Clock::now() + share_pause;
        }
    }
}

// The first worker of a group after a crash does not trust its jobs, whenever that is; nor the one that takes the place of
// a worker that was ended; nor those that come while one of these is there: `isolate`, the jobs that it runs one by one yet.
Started start_worker(Scheduler& scheduler, const DueGroup& group, GroupState& state, int isolate) {
    if (state.next_try > Clock::now()) return Started::failed;
    bool trusted = (!shared()->crashed || scheduler.trusted.count(group) > 0) && scheduler.cut_short.count(group) == 0;
    WorkerSlot* slot = reserve_slot(group, trusted ? isolate : settings.batch_jobs);
    if (slot == nullptr) return Started::shortage;
    auto worker = pg::start_worker("sync job worker " + group.queue, "sync job worker", worker_entry, slot_index(slot));
    switch (worker.result) {
        case pg::StartResult::started:
            scheduler.starting[slot_index(slot)] = group;
            scheduler.trusted.insert(group);
            scheduler.cut_short.erase(group);
            return Started::yes;
        case pg::StartResult::no_slot:
            slot->state = SlotState::free;
            return Started::shortage;
        case pg::StartResult::failed:
            break;
    }
    // It may have come up and ended already; its slot is then free or somebody else's.
    if (slot->state == SlotState::starting) slot->state = SlotState::free;
    record_failure(group, state);
    return Started::failed;
}

// Workers that were started and are gone before they came up: the role may not connect, say.
void check_starting(Scheduler& scheduler) {
    constexpr std::int64_t too_long = 60 * 1000000LL;
    for (auto it = scheduler.starting.begin(); it != scheduler.starting.end();) {
        WorkerSlot& slot = shared()->workers[it->first];
        GroupState& state = scheduler.groups[it->second];
        bool pending = slot.state == SlotState::starting && in_group(slot, it->second);
        if (pending && pg::now() - slot.since < too_long) {
            ++it;
            continue;
        }
        if (slot.state == SlotState::running) {
            state.failures = 0;
        } else {
            if (pending) slot.state = SlotState::free;
            record_failure(it->second, state);
        }
        it = scheduler.starting.erase(it);
    }
}

struct GroupView {
    int workers = 0;
    int isolate = 0;  // the most jobs that one of them runs one by one
    bool any_idle = false, all_alone = true;
    WorkerSlot* idle = nullptr;
};

GroupView view_of(const DueGroup& group) {
    GroupView view;
    for (WorkerSlot& slot : shared()->workers) {
        if (!in_group(slot, group) || slot.stop) continue;
        view.workers++;
        if (slot.state == SlotState::starting) view.any_idle = true;
        if (slot.idle) view.any_idle = true, view.idle = &slot;
        view.isolate = std::max(view.isolate, slot.isolate.load());
        if (slot.alone_job == 0) view.all_alone = false;
    }
    return view;
}

// Brings one group to what it needs. Returns whether it lacks a worker it cannot have.
bool serve(Scheduler& scheduler, const DueGroup& group, const Queue& queue) {
    GroupState& state = scheduler.groups[group];
    GroupView view = view_of(group);
    if (view.any_idle) {
        if (view.idle != nullptr && view.idle->idle.exchange(false)) pg::wake_process(view.idle->process_number);
        state.busy_since.reset();
        return false;
    }
    if (view.workers > 0) {
        if (!state.busy_since) state.busy_since = Clock::now();
        bool waited = view.all_alone || Clock::now() - *state.busy_since >= patience;
        if (!waited) return false;
    }
    if (state.share_had > Clock::now()) {
        state.busy_since.reset();
        return false;
    }
    // One more than it has would be nice: an idle worker goes for that, no busy one.
    Victim victim = view.workers > 0 ? Victim::idle : Victim::any;
    if (count_workers(&queue.name) >= queue.max_workers) {
        make_room(group, Room::in_queue, victim);  // roles share the workers of a queue
        return false;
    }
    if (start_worker(scheduler, group, state, view.isolate) != Started::shortage) {
        state.busy_since.reset();
        return false;
    }
    make_room(group, Room::anywhere, victim);
    if (view.workers > 0) return false;
    if (!scheduler.shortage_logged) {
        bool own_limit = count_workers(nullptr) >= settings.max_workers;
        pg::log("all background workers for sync jobs are taken: queue \"" + group.queue + "\" and role \"" +
                    name_of_role(group.role) + "\" wait for one to be free",
                {}, own_limit ? "Raise sync_job.max_workers." : "Raise max_worker_processes.");
        scheduler.shortage_logged = true;
    }
    return true;
}

bool serve_all(Scheduler& scheduler, const Plan& plan) {
    bool shortage = false;
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
    return shortage;
}

// --- Progress ---

// Until listeners may be told again; nothing: no progress waits to be told.
std::optional<Milliseconds> progress_due(const Scheduler& scheduler) {
    if (settings.progress_interval == 0 || !my_slot->progress_pending) return std::nullopt;
    auto due = scheduler.progress_told + Milliseconds(settings.progress_interval);
    return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(due - Clock::now()));
}

// A running transaction's own NOTIFY would come at its end: the scheduler sends it. Ids and numbers only, no data.
void notify_progress(Scheduler& scheduler) {
    if (progress_due(scheduler) != Milliseconds(0)) return;
    scheduler.progress_told = Clock::now();
    my_slot->progress_pending = false;
    pg::start_transaction();
    try {
        for (WorkerSlot& slot : shared()->workers) {
            if (slot.state == SlotState::free || slot.database != my_slot->database ||
                !slot.progress_changed.exchange(false))
                continue;
            Activity activity = read_activity(slot);
            if (activity.job == 0 || activity.percent < 0) continue;
            pg::notify("sync_job_progress", progress_message(activity.job, activity.percent));
        }
        pg::commit_transaction();
    } catch (const pg::Error& error) {  // a full queue of notifications: jobs go on without
        pg::abort_transaction();
        if (!scheduler.progress_failed) pg::log_error("could not tell listeners of the progress of sync jobs", error);
        scheduler.progress_failed = true;
        return;
    }
    scheduler.progress_failed = false;
}

// --- Rounds ---

// Until something is due, somebody wakes us, or it is time to poll. Not before `earliest`.
void rest(Clock::time_point earliest, Milliseconds at_most) {
    std::int64_t due = my_slot->due_at;
    if (due != never) {
        std::int64_t wait = due <= pg::now() ? 0 : (due - pg::now() + 999) / 1000;  // -infinity is a time, too
        at_most = std::min(at_most, Milliseconds(wait));
    }
    Clock::time_point until = Clock::now() + at_most;
    while (!pg::shutdown_requested()) {
        auto now = Clock::now();
        bool woken = pg::latch_is_set();
        if (now >= earliest && (woken || now >= until)) return;
        if (woken && now < earliest) pg::reset_latch(), until = earliest;  // it counts, later
        auto next = now < earliest ? earliest : until;
        auto wait = std::chrono::ceil<Milliseconds>(next - now);
        pg::wait_for_latch(std::max<long>(wait.count(), 0));
    }
}

Milliseconds pause_for_work(const Scheduler& scheduler, const Plan& plan, bool shortage) {
    if (plan.more_retries || plan.more_dependencies) return Milliseconds(0);
    if (shortage || plan.again) return shortage_pause;
    for (const auto& [group, state] : scheduler.groups) {
        if (state.busy_since) return patience;
    }
    if (!scheduler.starting.empty()) return shortage_pause;
    return Milliseconds(settings.poll_interval);
}

Milliseconds pause_after(const Scheduler& scheduler, const Plan& plan, bool shortage) {
    Milliseconds pause = pause_for_work(scheduler, plan, shortage);
    auto progress = progress_due(scheduler);
    return progress ? std::min(pause, *progress) : pause;
}

// Returns how long to rest.
Milliseconds run_round(Scheduler& scheduler) {
    Plan plan = read_plan(scheduler);
    pg::flush_statistics(false);
    if (plan.end) {
        stop_all_workers();
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
        stop_all_workers();
        if (plan.outdated && !scheduler.noted) scheduler.noted = note_in_old_view();
    }
    notify_progress(scheduler);
    return pause_after(scheduler, plan, shortage);
}

void run() {
    Scheduler scheduler;
    pg::start_transaction();
    {
        pg::SnapshotScope snapshot;
        auto other = other_version();  // a round says so
        if (extension_installed() && (!other || other->known)) scheduler.enabled_setting = enabled_setting_of_database();
    }
    pg::commit_transaction();
    // A transaction allocates where its caller does: without this, in what lives as long as the process.
    pg::Memory memory("sync job scheduler round", pg::Memory::Parent::backend);
    pg::MemorySwitch in_memory(memory);
    while (!pg::shutdown_requested() && my_slot->blocked_by == 0) {
        memory.reset();
        pg::reset_latch();
        pg::reload_settings_if_asked();
        auto earliest = Clock::now() + shortest_pause;
        Milliseconds pause(0);
        try {
            pause = run_round(scheduler);
            scheduler.round.over("sync job scheduler");
        } catch (const pg::Error& error) {
            pg::abort_transaction();
            scheduler.round.note("sync job scheduler: a round failed", error);
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
        run();
    });
}
