// What a scheduler reads from and writes to the tables of its database.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/claim_position.hpp"
#include "pg/types.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// One (queue, role) with jobs that are due.
struct DueGroup {
    std::string queue;
    Oid role;
    bool http = false;  // its jobs are HTTP pushes, which a worker of their own sends
    bool operator==(const DueGroup&) const = default;
    auto operator<=>(const DueGroup&) const = default;
};

struct DueWork {
    std::vector<DueGroup> groups;
    std::int64_t next = 0;  // when the next scheduled job or retry falls due; `never` if none does
};

// All of these run in the current transaction, as the tables' owner.
// `served`: the groups that have workers, and where their claims begin; nothing before that is read. The next retry is the first one due
// after `retried`. One that was due then, and locked by somebody, is read again when it is unlocked.
DueWork due_work(const std::map<DueGroup, ClaimPosition>& served, std::int64_t retried);
// Queues failed jobs whose retry is due, a few hundred at a time; returns how many.
int requeue_due_retries(Oid run_as = 0);  // 0: of any role
// Releases jobs that were held while their type was paused, a few hundred at a time.
struct ReleasedHeld {
    int jobs = 0;
    bool all_locked = false;  // there are some, but somebody has locked each of them
};
ReleasedHeld release_held_jobs(Oid run_as = 0);  // 0: of any role
// Recovers jobs that are Started while nobody runs them. A job that ran alone when the server crashed is blamed for the crash.
void recover_orphans(bool after_crash);
// Forgets the HTTP requests of jobs that will not be tried again.
void sweep_http_requests();
// If some jobs are counted under "other" because all places for types are taken: frees the places of types that no longer exist.
void make_room_for_counts(DatabaseSlot& database);
// The view sync_job_queue_status of 0.1.0 cannot say that jobs wait for ALTER EXTENSION UPDATE. This adds it to the view, until the update
// replaces that. Raises 55P03 if somebody has locked the view, or if the update was faster.
void make_old_view_tell();

// Whether the jobs came here with a dump or a copy and nobody has adopted them yet.
bool waiting_for_adoption();
// The extension's settings that a scheduler follows, as set by ALTER DATABASE ... SET; empty: none is set.
std::string settings_of_database();
// Applies these settings to this process, and returns them. Nothing: this process has one that has been reset since it connected.
std::optional<std::string> take_settings_of_database();
// Prepared transactions may be older than this server process, for example.
bool prepared_transactions_exist();

}  // namespace sync_job
