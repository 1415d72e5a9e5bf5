// A worker whose slot says http. It is connected as one role, and sends the HTTP pushes of that role in one queue; it runs nothing else.
//
//   found work          round after round (engine/http_runner.hpp); in between it waits for both answers and new jobs
//   found none          idle, when no request is in flight; ends after sync_job.worker_idle_timeout
//   asked to stop       starts no more requests, and gives those in flight ten seconds; no time if a command needs the database
//   SIGTERM             ends at once
//
// However it ends, the tables have what was in flight, and the next worker sends it again with the same keys.
#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/http_runner.hpp"
#include "engine/plan_invalidation.hpp"
#include "pg/background.hpp"
#include "pg/settings.hpp"
#include "pg/shared.hpp"
#include "shared/activity.hpp"
#include "shared/settings.hpp"
#include "worker/worker_session.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr auto time_to_stop = std::chrono::seconds(10);

void wait(HttpRunner& runner, WorkerSlot& slot, long longest) {
    std::int64_t next = runner.next_time();
    long most = next < 0 ? longest : static_cast<long>(std::min<std::int64_t>(next, longest));
    if (runner.under_way() > 0) {
        pg::show_running("sync job HTTP worker " + std::string(slot.queue), std::to_string(runner.under_way()) + " HTTP requests under way");
    } else {
        pg::show_idle();
        pg::flush_statistics(true);
    }
    pg::wait_for_latch_or(runner.descriptor(), std::max<long>(most, 0));
}

}  // namespace

void run_http_worker() {
    WorkerSlot& slot = *my_slot_or_null();
    WorkerTransactions transactions;
    HttpRunner runner(slot.queue, slot.role, transactions, slot);
    Rounds rounds([&runner] { return runner.run_round(); }, slot);
    auto idle_since = Clock::now();
    std::optional<Clock::time_point> stop_by;
    while (!pg::shutdown_requested()) {
        bool stops = slot.stop || wants_new_process();
        if (stops && !stop_by) stop_by = Clock::now() + time_to_stop;
        if (stop_by) {
            runner.begin_no_more();
            DatabaseSlot* database = find_database_slot(slot.database);
            bool at_once = database == nullptr || database->blocked_by != 0;
            if (runner.under_way() == 0 || at_once || Clock::now() >= *stop_by) break;
        }
        if (pg::latch_is_set()) runner.look_again();
        pg::reset_latch();
        pg::reload_settings_if_asked();
        slot.idle = runner.under_way() == 0;
        int done = rounds.next();
        if (done > 0 || rounds.failures() > 0 || runner.under_way() > 0) {
            idle_since = Clock::now();
            slot.idle = false;
        }
        if (done > 0 || rounds.failures() > 0) continue;
        auto idle_for = std::chrono::duration_cast<Milliseconds>(Clock::now() - idle_since).count();
        long left = settings.worker_idle_timeout - static_cast<long>(idle_for);
        if (left <= 0 && runner.under_way() == 0 && !runner.rests()) break;
        wait(runner, slot, std::clamp<long>(left, 1, settings.poll_interval));
    }
    pg::exit_worker(0);
}

}  // namespace sync_job
