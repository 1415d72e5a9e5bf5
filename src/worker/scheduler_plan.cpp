// The part of a scheduler that reads from the tables what is due, and does what needs no worker: retries, recovery, clearing, alerts.
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"
#include "pg/xact.hpp"
#include "queue/clear.hpp"
#include "queue/dependencies.hpp"
#include "queue/setup_error.hpp"
#include "shared/settings.hpp"
#include "worker/alerts.hpp"
#include "worker/scheduler.hpp"

namespace sync_job {

namespace {

// Logs a problem once, and again only after a different problem.
void log_once(Scheduler& scheduler, const std::string& problem, const std::string& hint) {
    if (scheduler.logged_problem == problem) return;
    scheduler.logged_problem = problem;
    if (!problem.empty()) pg::log(problem, {}, hint);
}

// Not in each round: while somebody holds a snapshot, the query reads every job that was Started since then.
bool time_for_orphans(DatabaseSlot& database) {
    static Clock::time_point looked{};
    bool told = database.orphans_possible.exchange(false);
    if (!told && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// A sweep over the waiting jobs has not finished, or there is a reason to begin one.
bool time_for_dependents(DatabaseSlot& database, std::int64_t seen_up_to) {
    static Clock::time_point looked{};
    if (seen_up_to != 0) return true;
    bool told = database.dependents_possible.exchange(false);
    if (!told && Clock::now() - looked < Milliseconds(settings.poll_interval)) return false;
    looked = Clock::now();
    return true;
}

// For what is not urgent: types whose set-up is broken, alerts, old jobs.
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
    // Locks the parent table first, as TRUNCATE and LOCK do; locking partitions first could deadlock with them. Closing the table at once
    // keeps the lock but releases the snapshot.
    { pg::Table whole(schema_objects().job_table, pg::TableLock::read); }
    if (time_for_orphans(scheduler.slot)) {
        step(scheduler.orphans, "sync job scheduler: jobs that nobody runs could not be seen to",
             [&] { recover_orphans(shared()->crashed && !scheduler.slot.settled); });
    }
    pg::Timestamp now = pg::now();
    step(scheduler.retries, "sync job scheduler: due retries could not be queued",
         [&] { plan.more_retries = requeue_due_retries() > 0; });
    step(scheduler.held, "sync job scheduler: jobs of types that were paused could not be let go",
         [&] { plan.held = release_held_jobs(); });
    if (time_for_dependents(scheduler.slot, scheduler.dependencies_seen)) {
        step(scheduler.dependencies, "sync job scheduler: jobs that wait for others could not be let go", [&] {
            Release release = release_waiting_jobs(scheduler.dependencies_seen);
            scheduler.slot.has_dependencies = release.some_wait;
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
        step(scheduler.alerts, "sync job scheduler: could not look at the alerts", [&] {
            look_at_alerts();
            make_room_for_counts(scheduler.slot);
            if (!push_types().empty()) sweep_http_requests();
        });
    }
    step(scheduler.resumes, "sync job scheduler: could not resume jobs whose type was held",
         [&] { plan.more_retries = resume_released() || plan.more_retries; });
    DueWork work = due_work(scheduler.pool.served_groups(), now);
    plan.due = std::move(work.groups);
    scheduler.slot.due_at = work.next;
    // Read after the jobs, so that settings changed before a job was enqueued apply to it.
    plan.queues = all_queues();
}

Plan make_plan(Scheduler& scheduler) {
    Plan plan;
    pg::SnapshotScope snapshot;
    if (!hold_extension()) {
        scheduler.slot.state = DatabaseState::absent;
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
        scheduler.slot.state = DatabaseState::stopped;
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

}  // namespace

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

}  // namespace sync_job
