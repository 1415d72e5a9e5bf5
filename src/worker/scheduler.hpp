// What a scheduler remembers from one round to the next, and the plan for a round. The process and its rounds are in scheduler.cpp;
// scheduler_plan.cpp reads the plan; scheduler_workers.cpp starts and stops workers according to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/retry.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"
#include "pg/types.hpp"
#include "shared/slots.hpp"
#include "shared/trouble.hpp"
#include "worker/change_notifier.hpp"
#include "worker/progress_notifier.hpp"
#include "worker/scheduler_queries.hpp"
#include "worker/worker_pool.hpp"

namespace sync_job {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// A group whose workers have all been busy for this long, while more jobs are due, gets another one.
constexpr auto patience = Milliseconds(50);

struct GroupState {
    std::optional<Clock::time_point> busy_since;  // since when all its workers are busy while jobs are due
    Clock::time_point next_try{};                 // set after workers failed to start
    Clock::time_point share_had{};                // no more workers before that: the last one gave way to other roles
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
    pg::Timestamp reserved;  // the slot has a different time once the worker has come up, even if it has ended since then
};

struct Scheduler {
    explicit Scheduler(DatabaseSlot& own) : slot(own), pool(own.database) {}

    DatabaseSlot& slot;
    WorkerPool pool;
    std::map<DueGroup, GroupState> groups;
    std::map<int, Starting> starting;  // by worker slot; started, but not running yet
    std::string settings_followed;     // the database's settings that this process has
    std::string logged_problem;        // the last one logged
    bool noted = false;                // the view of the old version says that jobs wait for an update
    bool shortage_logged = false;
    std::set<DueGroup> trusted;    // groups that have had a worker since a crash
    std::set<DueGroup> cut_short;  // a worker ended during a round, perhaps because of one of its jobs
    ProgressNotifier progress;
    ChangeNotifier changes;
    std::int64_t dependencies_seen = 0;  // how far the sweep over waiting jobs has got
    bool more_to_clear = false;          // there are more jobs that ended long ago
    std::vector<Lacking> lacking;        // groups without a worker they need, in this round
    Trouble round, orphans, retries, held, dependencies, setups, resumes, alerts, clearing;
};

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

// Reads the plan in one transaction.
Plan read_plan(Scheduler& scheduler);
// False: the view is locked, try again.
bool note_in_old_view();

// Stops surplus workers, and starts those that the groups need. Returns whether a needed worker cannot be started.
bool tend_workers(Scheduler& scheduler, const Plan& plan);

}  // namespace sync_job
