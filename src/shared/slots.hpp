// What launcher, schedulers, workers and sessions share.
//
// Who may write what:
// - launcher, databases[].state/scheduler_*: the launcher and the scheduler of that database, under the lock
// - workers[], the owner of a slot: the scheduler that reserves the slot and the worker that is in it, under the lock
// - workers[].idle, .stop, .isolate: atomics, anybody
// - databases[].orphans_possible, .prepared_possible, .progress_pending: atomics, anybody
// - databases[].no_process, .scheduler_fails: the launcher; .lacking, .failed_round: the scheduler, under the lock
// - databases[].watched_until, .change_pending, .any_change, .series_lacking: atomics, anybody
// - series[]: created and freed under the lock; the counts, and .changed: atomics, anybody
// - workers[].activity: its worker only, under `change` (odd while it writes); anybody reads
// - workers[].cancel_*: a session that cancels, under the lock
// Commit callbacks read without the lock what is atomic: a stale value wakes the wrong process, which does no harm.
// Nothing here is a pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "core/claim_position.hpp"
#include "pg/shared.hpp"
#include "pg/types.hpp"
#include "shared/counters.hpp"

namespace sync_job {

constexpr int most_databases = 64;
constexpr int most_workers = 64;
constexpr int most_sessions = 64;  // that run jobs themselves: they take no places away from workers
constexpr int most_sessions_of_role = 32;  // of a role that is not a superuser: the rest is for other roles
constexpr int most_requests = 16;
constexpr int queue_name_bytes = 64;
constexpr int most_documents = 4000;   // that one transaction holds: enough for a few of the largest set jobs
constexpr int most_batch_jobs = 500;
constexpr int document_places = 8192;  // a power of two, large enough for short look-ups; 64 kB per slot
constexpr int most_limited_types = 8;
constexpr int most_lacking_groups = 32;  // that the view names
constexpr std::int64_t never = INT64_MAX;
constexpr int most_series = 2048;        // in all databases: half a kilobyte each
constexpr int most_counted_types = 200;  // of a database; jobs of further ones are counted as type "other"
constexpr int label_bytes = 128;

// `session`: not a worker, but a session that runs jobs itself (execute_sync_job(), run_sync_jobs()).
enum class SlotState : int { free, starting, running, session };

struct Activity {
    std::int64_t job;  // 0: none
    pg::Timestamp started_at;
    double percent;             // below 0: not reported
    std::int64_t seconds_left;  // below 0: not known
    char job_type[128];
    char title[144];
    char description[256];
};

struct WorkerSlot {
    std::atomic<SlotState> state;
    std::atomic<int> process_number;
    std::atomic<int> pid;
    std::atomic<Oid> database, role;
    std::atomic<std::uint32_t> queue_hash;
    char queue[queue_name_bytes];
    pg::Timestamp since;  // reserved, then attached

    std::atomic<bool> http;     // it sends HTTP requests, and runs nothing else; set as the slot is reserved

    std::atomic<bool> idle;     // waits for work
    std::atomic<std::int64_t> alone_job;  // the job that it runs in transactions of its own, until its end is recorded; 0: none
    std::atomic<bool> stop;     // it is asked to end after its round
    std::atomic<int> isolate;  // this many jobs must run alone first
    std::atomic<bool> in_place_alone;  // shared/activity.hpp, take_place_alone(); changed under the lock
    std::atomic<bool> gave_way;  // its process ended because its role had used its share; the slot may be free by now
    std::atomic<bool> cut_short;  // its process was ended in the middle of a round; the slot may be free by now
    std::atomic<int> lock_waits;  // its jobs that have waited long for a lock of another session, and have not ended since
    std::atomic<std::int64_t> unheeded_since;  // since when its job has ignored the end of its time limit; 0: all is well
    std::atomic<std::int64_t> unheeded_told;   // the value of unheeded_since that the log has reported
    char types_alone[128];  // the types that take too long for a batch; for an HTTP worker, what it waits for. For display; changed and read under the lock

    std::atomic<std::uint32_t> change;
    std::atomic<bool> progress_changed;  // since the last notification
    Activity activity;

    // shared/claim_cursor.hpp: the worker's own bound, and what commits have lowered it to since it looked.
    std::atomic<PackedPosition> cursor, lowered;

    std::atomic<std::int64_t> cancel_job;
    std::atomic<bool> cancel_known;  // by the worker: the job is ending because of it
    char cancel_reason[256];

    // What the current transaction has locked, as hashes: documents (a hash table, open addressing, 0 for an empty
    // place), and types with a concurrency_limit (a list). The slot's process adds to it under the lock, and empties it
    // without.
    std::atomic<bool> blocked;  // it has passed over a job because of a lock of another slot: to be woken when that is released
    std::atomic<int> document_count, limited_count;
    std::atomic<std::uint64_t> exclusive_type;  // only this process may run jobs of this type; 0: none
    std::uint64_t documents[document_places];
    std::uint64_t limited[most_limited_types];
};

enum class DatabaseState : int { unknown, absent, serving, stopped };

// Why jobs of a role in a queue are due and have no worker, or no further one.
enum class Lack : int {
    place,    // there are sync_job.max_workers already
    process,  // max_worker_processes is used up
    start,    // a worker was started, but did not come up
    share     // jobs that run alone leave the last place to other roles
};
struct LackingGroup {
    Lack lack;
    Oid role;
    char queue[queue_name_bytes];
};

struct DatabaseSlot {
    std::atomic<Oid> database;           // 0: free
    std::atomic<int> scheduler_process;  // -1: none
    std::atomic<int> scheduler_pid;
    std::atomic<DatabaseState> state;
    std::atomic<int> blocked_by;         // pid of a session that needs the database free of processes
    std::atomic<std::int64_t> due_at;    // when the scheduler must look again
    std::atomic<bool> has_dependencies;  // jobs wait for others: the end of any job is of interest
    std::atomic<bool> dependents_possible;  // since the scheduler looked, a job has ended or begun to wait for others
    std::atomic<bool> prepared_possible;  // a prepared transaction may have jobs: the end of any is of interest
    std::atomic<bool> orphans_possible;  // a process that ran jobs has gone or failed: some may be left Started
    std::atomic<std::int64_t> renew_after;  // until then no worker exits to be replaced by a new process, because that has not helped
    std::atomic<bool> progress_pending;  // a worker has reported progress that has not been notified yet
    std::atomic<std::int64_t> watched_until;  // until then somebody wants to hear what changes (shared/metrics.hpp)
    std::atomic<bool> change_pending;    // something has changed since the last digest
    std::atomic<bool> any_change;        // in something without type and queue, or with one that is counted as "other"
    std::atomic<bool> series_lacking;    // a type is counted as "other" because there is no place
    bool settled;                        // jobs left over by a crash have been dealt with

    // For display (shared/trouble.hpp).
    std::atomic<bool> no_process;       // max_worker_processes is used up: the scheduler cannot be started
    std::atomic<bool> scheduler_fails;  // it ends again and again
    int lacking_groups;                 // changed and read under the lock, like the next two
    LackingGroup lacking[most_lacking_groups];
    char failed_round[256];             // the error of the scheduler's last round; empty: it succeeded
};

// The counters of the jobs of one type in one queue: shared/metrics.hpp.
struct Series {
    std::atomic<std::uint64_t> key;  // hash of database, type and queue; 0: free
    std::atomic<Oid> database;
    std::uint64_t type_key;          // hash of the type's name
    char type[label_bytes], queue[queue_name_bytes];
    std::atomic<bool> changed;       // since the last digest
    std::atomic<std::uint64_t> counts[counters];
};

struct Shared {
    std::atomic<int> launcher_process, launcher_pid;
    std::atomic<Oid> requests[most_requests];  // databases the launcher is asked to look at
    std::atomic<bool> request_all;
    bool crashed;  // the server was not shut down cleanly before this start
    pg::Timestamp made_at;
    std::atomic<int> waiting_sessions;
    std::atomic<int> slots_used;  // workers[] from this index on have never been used; changed under the lock
    pg::Condition ended;  // announced after a commit that ended jobs
    DatabaseSlot databases[most_databases];
    WorkerSlot workers[most_workers + most_sessions];
    std::atomic<std::uint32_t> series_freed;  // how often some were freed
    Series series[most_series];
};

// Null where the library was not preloaded.
Shared* shared();
std::size_t shared_bytes();
void initialize_shared(void* memory);

std::uint32_t queue_hash(const char* name);
DatabaseSlot* find_database_slot(Oid database);
// This process's own slot, in a worker, or while a session runs jobs.
WorkerSlot* my_slot_or_null();
void set_my_slot(WorkerSlot* slot);
void clear_slot(WorkerSlot& slot);
// A free slot, cleared, or null. The caller holds the lock and sets its state.
WorkerSlot* find_free_slot();
// The slots that may be in use.
inline std::span<WorkerSlot> used_slots(Shared& s) { return {s.workers, static_cast<std::size_t>(s.slots_used.load())}; }
// Makes the scheduler look for Started jobs that nobody runs.
void report_orphans(Oid database) noexcept;
int slot_index(const WorkerSlot* slot);
void ask_launcher(Oid database) noexcept;

}  // namespace sync_job
