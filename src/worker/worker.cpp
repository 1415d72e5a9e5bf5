// A worker: a process connected as one role that runs the jobs of that role in one queue until there have been none for a while.
//
//   found work          round after round (engine/runner.hpp)
//   found none          idle; a commit wakes it; ends after sync_job.worker_idle_timeout
//   asked to stop       ends after its round (settings, a shortage of workers, DROP EXTENSION)
//   out of date         ends after its round, if that may help a job (engine/plan_invalidation.hpp)
//   SIGTERM             rolls the job back; if it was Started, the scheduler queues it again. The next worker runs the jobs
//                       one by one, because one of them may be ending its own process
//   an unexpected error logged, then a pause and another round; the pauses grow
//
// A worker whose slot says http sends requests instead: http_worker.cpp.
#include <algorithm>
#include <chrono>
#include <ctime>

#include "controller/native_library.hpp"
#include "controller/search_path.hpp"
#include "engine/plan_invalidation.hpp"
#include "engine/runner.hpp"
#include "pg/background.hpp"
#include "pg/deadline.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/activity.hpp"
#include "shared/settings.hpp"
#include "shared/slots.hpp"
#include "worker/mains.hpp"
#include "worker/worker_session.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;

// While other sessions have something to do, pauses in proportion to the processor time that the round took. Jobs that only waited took
// nothing from them.
void leave_room(std::clock_t round) {
    constexpr long longest = 200;
    if (settings.neighbour_share == 0) return;
    long took = round / (CLOCKS_PER_SEC / 1000);
    long pause = std::min<long>(took * settings.neighbour_share / (100 - settings.neighbour_share), longest);
    if (pause > 0 && pg::sessions_at_work()) pg::pause(pause);
}

// Waits to be woken when there is nothing to do. False: the worker has been idle for long enough.
bool wait_for_work(WorkerSlot& slot, Clock::time_point idle_since) {
    auto idle_for = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - idle_since).count();
    long left = settings.worker_idle_timeout - static_cast<long>(idle_for);
    long poll = std::min<long>(left, settings.poll_interval);
    pg::show_idle();
    pg::flush_statistics(true);  // otherwise autovacuum would learn of the last jobs only with the next ones
    if (left > 0) {
        if (!pg::wait_for_latch(poll)) pg::return_freed_memory();
        return true;
    }
    // From now on nobody counts on this worker; anybody who did so just before has set the latch.
    slot.idle = false;
    return pg::latch_is_set();
}

void run() {
    WorkerSlot& slot = *my_slot_or_null();
    WorkerTransactions transactions;
    RunnerLimits limits;
    std::string queue = slot.queue;
    Runner runner(queue, slot.role, transactions, limits);
    runner.isolate(slot.isolate);
    Rounds rounds([&runner] { return runner.run_round(0); }, slot);
    auto idle_since = Clock::now();
    auto has_to_end = [&] { return pg::shutdown_requested() || slot.stop || runner.gives_way() || wants_new_process(); };
    while (!has_to_end()) {
        pg::reset_latch();
        pg::reload_settings_if_asked();
        limits.batch_milliseconds = settings.batch_time;
        limits.batch_jobs = settings.batch_jobs;
        // Marked idle before it looks for work, so that a commit in the meantime sets the latch.
        slot.idle = true;
        reset_busy_report();
        std::clock_t round_began = std::clock();
        while (rounds.next() > 0) {
            slot.idle = false;
            if (runner.left_work()) report_busy();
            if (!runner.isolates()) slot.isolate = 0;
            idle_since = Clock::now();
            if (has_to_end()) break;
            pg::reload_settings_if_asked();
            leave_room(std::clock() - round_began);
            round_began = std::clock();
        }
        if (rounds.failures() > 0) {  // it has already paused, and the error says nothing about what is due
            idle_since = Clock::now();
            continue;
        }
        if (!slot.idle) continue;  // it has worked or was woken: look once more before resting
        if (!wait_for_work(slot, idle_since)) break;
    }
    slot.gave_way = runner.gives_way();
    std::string library = replaced_native_library();
    if (!library.empty()) {
        pg::log("a sync job worker is being replaced: so was library \"" + library + "\" of a native controller");
    } else if (wants_new_process()) {
        pg::log("a sync job worker is being replaced: definitions have changed since it started");
    }
    pg::exit_worker(0);
}

}  // namespace

}  // namespace sync_job

extern "C" SYNC_JOB_EXPORT void sync_job_worker_main(Datum);

extern "C" void sync_job_worker_main(Datum index) {
    using namespace sync_job;
    set_my_slot(&shared()->workers[pg::datum_int32(index)]);
    pg::run_worker_main([] {
        WorkerSlot& slot = *my_slot_or_null();
        pg::begin_worker(leave_worker_slot);
        slot.process_number = pg::my_process_number();
        slot.pid = pg::my_pid();
        pg::connect_to_database(slot.database, slot.role);
        fix_settings();
        pg::tell_of_unheeded(&slot.unheeded_since);
        pg::keep_freed_memory();
        remember_session_search_path();
        pg::show_application_name("sync job worker " + std::string(slot.queue));
        slot.since = pg::now();
        slot.state = SlotState::running;
        slot.http ? run_http_worker() : run();
    });
}
