// The launcher: one process per cluster, connected to no database. It makes sure that each database with the extension has a scheduler.
// Whenever it wakes up, it compares what should run with what is running, so a lost message does no harm.
//
// - Server start, restart after a crash: every database is checked once (a scheduler that finds no extension ends).
// - CREATE EXTENSION, first enqueue: the session asks at commit, through ask_launcher().
// - CREATE DATABASE: the utility hook asks, because the template may have the extension.
// - A scheduler dies: it is started again, with a back-off that doubles from 1 s to 60 s, and one line in the log.
// - DROP DATABASE and the like: the session blocks the database; no scheduler is started until the session has ended.
// - The launcher dies: the postmaster restarts it after 5 s; meanwhile the schedulers go on.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/retry.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/endpoints.hpp"
#include "shared/metrics.hpp"
#include "shared/slots.hpp"
#include "worker/mains.hpp"

namespace sync_job {

namespace {

constexpr std::int64_t second = 1000000;
constexpr long rescan_milliseconds = 10000;

// A scheduler that has lived this long did not fail at its start.
constexpr std::int64_t good_life = 60 * second;

struct Trouble {
    int failures = 0;
    pg::Timestamp started = 0, ended = 0;  // 0: not known
    pg::Timestamp next_try = 0;
};

struct Launcher {
    std::set<Oid> absent;  // databases known to be without the extension
    std::set<Oid> wanted;  // requested, and not checked since then
    std::map<Oid, Trouble> trouble;
    bool out_of_slots_logged = false;
};

void at_exit() {
    Shared& s = *shared();
    s.launcher_process = -1;
    s.launcher_pid = 0;
}

void add_database(void* list, Oid oid, const char* name) {
    static_cast<std::map<Oid, std::string>*>(list)->emplace(oid, name);
}

std::map<Oid, std::string> databases() {
    std::map<Oid, std::string> list;
    pg::start_transaction();
    pg::list_databases(add_database, &list);
    pg::commit_transaction();
    return list;
}

void take_requests(Launcher& launcher) {
    Shared& s = *shared();
    if (s.request_all.exchange(false)) launcher.absent.clear();
    for (auto& request : s.requests) {
        Oid database = request.exchange(pg::no_oid);
        if (database == pg::no_oid) continue;
        launcher.absent.erase(database);
        launcher.wanted.insert(database);
    }
}

// A slot for the database: its own, or a free one.
DatabaseSlot* slot_for(Oid database) {
    if (DatabaseSlot* own = find_database_slot(database)) return own;
    DatabaseSlot* slot = find_database_slot(pg::no_oid);
    if (slot == nullptr) return nullptr;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    slot->scheduler_process = -1;
    slot->scheduler_pid = 0;
    slot->state = DatabaseState::unknown;
    slot->due_at = never;
    slot->blocked_by = 0;
    slot->settled = false;
    slot->renew_after = 0;
    slot->has_dependencies = true;
    slot->orphans_possible = true;
    slot->progress_pending = false;
    slot->watched_until = 0;
    slot->change_pending = slot->any_change = slot->series_lacking = false;
    slot->no_process = slot->scheduler_fails = false;
    slot->lacking_groups = 0;
    slot->failed_round[0] = '\0';
    slot->database = database;
    return slot;
}

bool blocked(DatabaseSlot& slot) {
    int pid = slot.blocked_by;
    if (pid == 0) return false;
    if (pg::process_exists(pid)) return true;
    slot.blocked_by = 0;  // the session has died
    return false;
}

void note_failure(DatabaseSlot& slot, const std::string& name, Trouble& trouble) {
    trouble.failures++;
    slot.scheduler_fails = trouble.failures > 1;
    if (trouble.failures == 2) {
        pg::log("the sync job scheduler of database \"" + name + "\" keeps ending",
                "It is restarted after growing pauses of up to a minute.",
                "See the messages before this one in the server log.");
    }
}

void start_scheduler(Launcher& launcher, DatabaseSlot& slot, const std::string& name) {
    launcher.wanted.erase(slot.database);
    slot.state = DatabaseState::unknown;
    auto started = pg::start_worker("sync job scheduler " + name, "sync job scheduler", scheduler_entry,
                                    static_cast<int>(&slot - shared()->databases));
    slot.no_process = started.result == pg::StartResult::no_slot;
    if (slot.no_process) {
        if (!launcher.out_of_slots_logged) {
            pg::log("no background worker slot is free for the sync job scheduler of database \"" + name + "\"", {},
                    "Raise max_worker_processes.");
        }
        launcher.out_of_slots_logged = true;
        return;
    }
    launcher.out_of_slots_logged = false;
    if (started.result == pg::StartResult::started) slot.scheduler_pid = started.pid;  // before it has reported this itself
    Trouble& trouble = launcher.trouble[slot.database];
    trouble.started = pg::now();
    trouble.ended = 0;
    trouble.next_try = trouble.started + growing_pause(second, good_life, trouble.failures + 1);  // if it ends at once
}

// Brings one database into the desired state; returns whether it must be checked again soon.
bool reconcile(Launcher& launcher, Oid database, const std::string& name) {
    if (launcher.absent.count(database) > 0) return false;
    DatabaseSlot* slot = slot_for(database);
    if (slot == nullptr) return false;
    if (slot->scheduler_pid != 0 && pg::process_exists(slot->scheduler_pid)) return false;
    slot->scheduler_pid = 0;
    if (slot->state == DatabaseState::absent) {
        slot->state = DatabaseState::unknown;
        launcher.trouble.erase(database);
        if (launcher.wanted.count(database) == 0) {
            launcher.absent.insert(database);
            forget_series(database);
            forget_endpoints(database);
            slot->database = pg::no_oid;
            return false;
        }
    }
    if (blocked(*slot)) return true;
    auto trouble = launcher.trouble.find(database);
    if (trouble != launcher.trouble.end()) {
        Trouble& last = trouble->second;
        if (last.ended == 0) last.ended = pg::now();
        if (slot->state == DatabaseState::stopped || last.ended - last.started >= good_life) {
            last = {};
            slot->scheduler_fails = false;
        } else if (last.next_try > pg::now()) {
            return true;
        } else {
            note_failure(*slot, name, last);
        }
    }
    start_scheduler(launcher, *slot, name);
    return true;
}

void forget_dropped(Launcher& launcher, const std::map<Oid, std::string>& existing) {
    for (DatabaseSlot& slot : shared()->databases) {
        Oid database = slot.database;
        if (database == pg::no_oid || existing.count(database) > 0 || slot.scheduler_pid != 0) continue;
        if (blocked(slot)) continue;
        forget_series(database);
        forget_endpoints(database);
        slot.database = pg::no_oid;
        launcher.trouble.erase(database);
    }
}

void run() {
    Shared& s = *shared();
    s.launcher_process = pg::my_process_number();
    s.launcher_pid = pg::my_pid();
    pg::connect_to_no_database();
    Launcher launcher;
    pg::Memory memory("sync job launcher round", pg::Memory::Parent::backend);
    pg::MemorySwitch in_memory(memory);
    while (!pg::shutdown_requested()) {
        memory.reset();
        pg::reset_latch();
        take_requests(launcher);
        auto existing = databases();
        forget_dropped(launcher, existing);
        bool soon = false;
        for (const auto& [oid, name] : existing) soon = reconcile(launcher, oid, name) || soon;
        pg::wait_for_latch(soon ? 500 : rescan_milliseconds);
    }
    // Not 0, or the postmaster would not start another one. (At shutdown it does not anyway.)
    pg::exit_worker(1);
}

}  // namespace

}  // namespace sync_job

extern "C" SYNC_JOB_EXPORT void sync_job_launcher_main(Datum);

extern "C" void sync_job_launcher_main(Datum) {
    sync_job::pg::run_worker_main([] {
        sync_job::pg::begin_worker(sync_job::at_exit);
        sync_job::pg::ignore_cancel();
        sync_job::run();
    });
}
