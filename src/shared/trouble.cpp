#include "shared/trouble.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "core/text.hpp"
#include "pg/background.hpp"
#include "pg/role.hpp"
#include "pg/value.hpp"
#include "pg/xact.hpp"

namespace sync_job {

void show_lacking(DatabaseSlot& slot, const std::vector<Lacking>& groups) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    slot.lacking_groups = static_cast<int>(std::min<std::size_t>(groups.size(), most_lacking_groups));
    for (int i = 0; i < slot.lacking_groups; i++) {
        LackingGroup& shown = slot.lacking[i];
        shown.lack = groups[i].lack;
        shown.role = groups[i].role;
        std::size_t length = groups[i].queue.copy(shown.queue, queue_name_bytes - 1);
        shown.queue[length] = '\0';
    }
}

void show_failed_round(DatabaseSlot& slot, const std::string& message) {
    std::string fitting = pg::clipped_to_bytes(message, sizeof(slot.failed_round) - 1);
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    std::memcpy(slot.failed_round, fitting.c_str(), fitting.size() + 1);
}

std::string unheeded_time_limit(const WorkerSlot& slot) {
    return "sync job " + std::to_string(slot.activity.job) + " does not react to the end of its time: its code checks for no interrupts (process " +
           std::to_string(slot.pid) + ")";
}

namespace {

using Reasons = std::vector<std::string>;

// A launcher that has died is started again after a few seconds.
constexpr std::int64_t time_to_start = 10 * 1000000LL;

void add_processes(const Shared& s, const DatabaseSlot* database, Reasons& reasons) {
    if (s.launcher_pid == 0 && pg::now() - s.made_at > time_to_start) {
        reasons.emplace_back("the launcher does not run: raise max_worker_processes, or see the server log");
    }
    if (database == nullptr) {
        bool full = std::all_of(s.databases, s.databases + most_databases, [](const auto& slot) { return slot.database != pg::no_oid; });
        if (full) reasons.push_back("no scheduler: " + std::to_string(most_databases) + " other databases have the extension");
        return;
    }
    if (database->no_process) reasons.emplace_back("no background worker is free for the scheduler: raise max_worker_processes");
    if (database->scheduler_fails) reasons.emplace_back("the scheduler ends again and again: see the server log");
    if (int pid = database->blocked_by; pid != 0 && pg::process_exists(pid)) {
        reasons.push_back("process " + std::to_string(pid) + " keeps all others away from the database");
    }
}

std::string why_not_started(const std::string& role_name, Oid role) {
    const char* reason = ": see the server log";
    if (!pg::role_exists(role)) {
        reason = ": the role does not exist";
    } else if (pg::workers_need_login && !pg::role_can_log_in(role)) {
        reason = ": the role may not log in";
    } else if (!pg::role_can_connect(role)) {
        reason = ": the role may not connect to the database";
    }
    return "no worker can be started for role " + role_name + reason;
}

std::string text_of(const LackingGroup& group) {
    std::string role = quoted(pg::role_name(group.role));
    switch (group.lack) {
        case Lack::place:
            return "role " + role + " waits for a worker: all are taken, raise sync_job.max_workers";
        case Lack::process:
            return "role " + role + " waits for a worker: none is free, raise max_worker_processes";
        case Lack::start:
            return why_not_started(role, group.role);
        case Lack::share:
            return "role " + role + " has its share of the workers: its long jobs leave one to other roles";
    }
    return {};
}

void add_scheduler(const DatabaseSlot& database, const std::string& queue, Reasons& reasons) {
    std::vector<LackingGroup> groups;
    std::string failed_round;
    {
        pg::SharedLock lock(pg::SharedLock::Mode::read);
        failed_round = database.failed_round;
        for (int i = 0; i < database.lacking_groups; i++) {
            if (queue == database.lacking[i].queue) groups.push_back(database.lacking[i]);
        }
    }
    if (database.scheduler_pid == 0) return;  // what it left behind says nothing about the present
    if (!failed_round.empty()) reasons.push_back("the scheduler pauses after an error: " + failed_round);
    for (const LackingGroup& group : groups) reasons.push_back(text_of(group));
}

// Splits the names that show_types_alone() has joined.
void add_names(std::string_view joined, std::set<std::string>& names) {
    constexpr std::string_view between = ", ";
    while (!joined.empty()) {
        std::size_t end = joined.find(between);
        names.emplace(joined.substr(0, end));
        joined.remove_prefix(end == joined.npos ? joined.size() : end + between.size());
    }
}

void add_workers(const Shared& s, const std::string& queue, bool sees_all, Reasons& reasons) {
    bool cautious = false;
    int lock_waits = 0;
    std::set<std::string> alone;
    for (int i = 0; i < s.slots_used; i++) {
        const WorkerSlot& slot = s.workers[i];
        if (slot.state != SlotState::running || slot.database != pg::my_database() || queue != slot.queue) continue;
        cautious = cautious || slot.isolate > 0;
        lock_waits = std::max<int>(lock_waits, slot.lock_waits);  // all of them meet the same jobs
        if (slot.unheeded_since != 0) reasons.push_back(unheeded_time_limit(slot));
        if (!sees_all && !pg::has_rights_of(pg::current_user(), slot.role)) continue;
        char of_worker[sizeof(slot.types_alone)];
        {
            pg::SharedLock lock(pg::SharedLock::Mode::read);
            std::memcpy(of_worker, slot.types_alone, sizeof(of_worker));
        }
        if (!slot.http) {
            add_names(of_worker, alone);
        } else if (*of_worker != '\0') {
            reasons.emplace_back(of_worker);
        }
    }
    if (lock_waits > 0) reasons.push_back("jobs that wait for locks of other sessions: " + std::to_string(lock_waits));
    if (cautious) reasons.emplace_back("jobs run one by one for a while, after a crash or the sudden end of a worker");
    if (!alone.empty()) reasons.push_back("types that run alone: " + join({alone.begin(), alone.end()}, ", "));
}

}  // namespace

std::vector<std::string> trouble_of_queue(const std::string& queue, bool sees_all) {
    Reasons reasons;
    const Shared* s = shared();
    if (s == nullptr) return reasons;
    const DatabaseSlot* database = find_database_slot(pg::my_database());
    add_processes(*s, database, reasons);
    if (database != nullptr) add_scheduler(*database, queue, reasons);
    add_workers(*s, queue, sees_all, reasons);
    return reasons;
}

}  // namespace sync_job
