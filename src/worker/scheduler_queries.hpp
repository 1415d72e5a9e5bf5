// What a scheduler reads from the tables of its database, and writes to them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/claim_position.hpp"
#include "pg/types.hpp"

namespace sync_job {

// One (queue, role) with jobs that are due.
struct DueGroup {
    std::string queue;
    Oid role;
    bool operator==(const DueGroup&) const = default;
    auto operator<=>(const DueGroup&) const = default;
};

struct DueWork {
    std::vector<DueGroup> groups;
    std::int64_t next = 0;  // when the next job falls due, scheduled or for its retry; `never` when none does
};

// All in the current transaction, as the tables' owner.
// `served`: the groups that have workers, and where the claims of these begin: nothing before that is looked at. Of the
// retries those are next that come due after `retried`: what was due then and is locked by somebody is looked at again
// when he lets go.
DueWork due_work(const std::map<DueGroup, ClaimPosition>& served, std::int64_t retried);
// Queues failed jobs whose time has come, some hundreds at a time; returns how many.
int requeue_due_retries(Oid run_as = 0);  // 0: of any role
// Sees to jobs that are Started while nobody runs them. After a crash one that was alone is charged with it.
void recover_orphans(bool after_crash);
// The view sync_job_queue_status of 0.1.0 cannot say that jobs wait for ALTER EXTENSION UPDATE: gives it one more reason, until
// the update replaces it. Raises 55P03 where somebody has it or the update was faster.
void make_old_view_tell();

// The jobs came here with a dump or a copy, and nobody has adopted them.
bool waiting_for_adoption();
// sync_job.enabled as ALTER DATABASE … SET has it; empty: not set.
std::string enabled_setting_of_database();

}  // namespace sync_job
