// Who is told at commit that there is work, and when there will be. Kept for the transaction; worker/wake.cpp acts on
// it.
#pragma once

#include "engine/job_row.hpp"
#include "pg/types.hpp"

namespace sync_job {

// A job that is due now, or at its scheduled_at.
void wake_at_commit(const Job& job);
// Something falls due then: the scheduler looks again.
void wake_at(pg::Timestamp time);
// The queues have changed (paused, resumed, other limits): the scheduler looks again.
void wake_scheduler_at_commit();
// A job waits for others: until the scheduler says that none does, it is told of each job that has ended.
void wake_for_dependencies_at_commit();
// The extension has come to this database.
void wake_launcher_at_commit();
// Jobs have ended: whoever waits for one looks again.
void announce_ended_at_commit();
// A child has ended: whoever has passed over a job because of it looks again.
void wake_kept_out_at_commit();

}  // namespace sync_job
