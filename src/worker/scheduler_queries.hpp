// What a scheduler reads from the tables of its database, and writes to them.
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
    bool http = false;  // its jobs are HTTP pushes, which one worker of their own sends
    bool operator==(const DueGroup&) const = default;
    auto operator<=>(const DueGroup&) const = default;
};

struct DueWork {
    std::vector<DueGroup> groups;
    std::int64_t next = 0;  // when the next job falls due, scheduled or for its retry; `never` when none does
};

// All in the current transaction, as the tables' owner.
// `served`: the groups that have workers, and where their claims begin: nothing before that is looked at. The next retry
// is the first one due after `retried`: one that was due then, and that somebody has locked, is looked at again when it is
// unlocked.
DueWork due_work(const std::map<DueGroup, ClaimPosition>& served, std::int64_t retried);
// Queues failed jobs whose retry is due, some hundreds at a time; returns how many.
int requeue_due_retries(Oid run_as = 0);  // 0: of any role
// Releases some hundreds of the jobs that were held while their type was paused.
struct ReleasedHeld {
    int jobs = 0;
    bool all_locked = false;  // there are some, and each is locked by somebody
};
ReleasedHeld release_held_jobs(Oid run_as = 0);  // 0: of any role
// Recovers jobs that are Started while nobody runs them. After a crash, one that ran alone is blamed for it.
void recover_orphans(bool after_crash);
// Forgets the HTTP requests of jobs that are not to be tried again.
void sweep_http_requests();
// Where jobs are counted as of type "other" for lack of places: types that have gone make room.
void make_room_for_counts(DatabaseSlot& database);
// The view sync_job_queue_status of 0.1.0 cannot say that jobs wait for ALTER EXTENSION UPDATE: adds that to it, until the
// update replaces it. Raises 55P03 if somebody has locked it or the update was faster.
void make_old_view_tell();

// Whether the jobs came here with a dump or a copy, and nobody has adopted them.
bool waiting_for_adoption();
// The settings of the extension that a scheduler follows, as ALTER DATABASE ... SET has them; empty: none is set.
std::string settings_of_database();
// The same, and this process has them from now on. Empty as well if the process has one that has been reset since.
std::optional<std::string> take_settings_of_database();
// From before this server process, for example.
bool prepared_transactions_exist();

}  // namespace sync_job
