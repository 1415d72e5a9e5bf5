// A scheduler: one process for each database with the extension. Each round it reads from the tables what is due, and starts and stops
// workers accordingly. It runs no jobs itself.
//
// - A (queue, role) has due jobs, and no worker serves it: it starts one.
// - All workers of the group have been busy for a while: it starts one more, up to sync_job_queue.max_workers.
// - No worker can be started: it stops an idle one of another group, or, if the group has no worker at all, a busy one.
// - There are more workers than the settings now allow: it stops the surplus.
// - A job or a retry falls due: it has a timer for that, accurate to the millisecond.
// - A job is Started but nobody runs it: the job is queued again or failed, depending on how its process ended.
// - The extension is dropped or updated: the scheduler ends, or waits.
#include <algorithm>

#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/settings.hpp"
#include "shared/slots.hpp"
#include "shared/trouble.hpp"
#include "worker/mains.hpp"
#include "worker/scheduler.hpp"

namespace sync_job {

namespace {

// The shortest time between two rounds: without it, each commit of a busy system would cause a round.
constexpr auto shortest_pause = Milliseconds(10);
constexpr auto shortage_pause = Milliseconds(200);

DatabaseSlot* my_slot = nullptr;

void at_exit() {
    my_slot->scheduler_process = -1;
    my_slot->scheduler_pid = 0;
    pg::wake_process(shared()->launcher_process);  // it may not be the one that started us
}

// Waits until something is due, the latch is set, or it is time to poll, but in any case until `earliest`.
void rest(const DatabaseSlot& database, Clock::time_point earliest, Milliseconds at_most) {
    std::int64_t due = database.due_at;
    if (due != never) {
        std::int64_t wait = due <= pg::now() ? 0 : (due - pg::now() + 999) / 1000;  // due may be -infinity
        at_most = std::min(at_most, Milliseconds(wait));
    }
    Clock::time_point until = Clock::now() + at_most;
    while (!pg::shutdown_requested()) {
        auto now = Clock::now();
        bool woken = pg::latch_is_set();
        if (now >= earliest && (woken || now >= until)) return;
        if (woken && now < earliest) pg::reset_latch(), until = earliest;  // the wake-up takes effect at `earliest`
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
    for (auto due : {scheduler.progress.due(scheduler.slot), scheduler.changes.due(scheduler.slot)}) {
        if (due) pause = std::min(pause, *due);
    }
    return pause;
}

// Returns how long to wait until the next round.
Milliseconds run_round(Scheduler& scheduler) {
    Plan plan = read_plan(scheduler);
    pg::flush_statistics(false);
    if (plan.end) {
        scheduler.pool.stop_all();
        pg::exit_worker(0);
    }
    bool shortage = false;
    if (plan.serve) {
        scheduler.slot.state = DatabaseState::serving;
        shortage = tend_workers(scheduler, plan);
        scheduler.slot.settled = true;
    } else if (!plan.again) {
        scheduler.pool.stop_all();
        show_lacking(scheduler.slot, {});
        if (plan.outdated && !scheduler.noted) scheduler.noted = note_in_old_view();
    }
    scheduler.progress.notify(scheduler.slot);
    scheduler.changes.notify(scheduler.slot);
    scheduler.pool.tell_of_unheeded();
    return pause_after(scheduler, plan, shortage);
}

// Takes over the database's settings: they may have changed since the server gave them to this process when it connected. False: only a new
// process would get them.
bool take_settings(Scheduler& scheduler) {
    std::optional<std::string> taken = "";
    pg::start_transaction();
    {
        pg::SnapshotScope snapshot;
        bool there = hold_extension();
        auto other = other_version();  // a round reports it
        if (there && (!other || other->known)) {
            taken = take_settings_of_database();
            if (prepared_transactions_exist()) scheduler.slot.prepared_possible = true;
        }
    }
    pg::commit_transaction();
    scheduler.settings_followed = taken.value_or("");
    return taken.has_value();
}

void run() {
    Scheduler scheduler(*my_slot);
    bool has_settings = take_settings(scheduler);
    // Frees what a round allocates outside transactions or in its caller's context.
    pg::Memory memory("sync job scheduler round", pg::Memory::Parent::backend);
    pg::MemorySwitch in_memory(memory);
    while (has_settings && !pg::shutdown_requested() && scheduler.slot.blocked_by == 0) {
        memory.reset();
        pg::reset_latch();
        pg::reload_settings_if_asked();
        auto earliest = Clock::now() + shortest_pause;
        Milliseconds pause(0);
        try {
            pause = run_round(scheduler);
            if (scheduler.round.failures > 0) show_failed_round(scheduler.slot, "");
            scheduler.round.over("sync job scheduler");
        } catch (const pg::Error& error) {
            pg::abort_transaction();
            scheduler.round.note("sync job scheduler: a round failed", error);
            show_failed_round(scheduler.slot, error.report().message);
            earliest = scheduler.round.next_try;
        }
        pg::show_idle();
        rest(scheduler.slot, earliest, pause);
    }
    scheduler.slot.state = DatabaseState::stopped;
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
        // In a deadlock, the scheduler should be the one that notices it and gives way.
        pg::set_session("deadlock_timeout", "50ms");
        run();
    });
}
