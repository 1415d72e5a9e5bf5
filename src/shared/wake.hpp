// Whom to wake at commit because there is work, or will be. The process remembers in a few words of memory what its
// transaction has enqueued, and acts on it when the transaction has ended.
#pragma once

#include "job/job_row.hpp"
#include "pg/types.hpp"

namespace sync_job {

// A job that is due now, or at its scheduled_at.
void wake_at_commit(const Job& job);
// Something falls due then: the scheduler looks again.
void wake_at(pg::Timestamp time);
// The queues have changed (paused, resumed, other limits): the scheduler, and whoever watches, looks again.
void wake_scheduler_at_commit();
// A prepared transaction ends with this one. Another session may have enqueued jobs in it, or taken some: all look again.
void wake_for_prepared_at_commit() noexcept;
// A job waits for others: the scheduler is told of each job that ends, until it says that no job waits any more.
void wake_for_dependencies_at_commit();
// The extension was created in this database.
void wake_launcher_at_commit();
// Jobs have ended: whoever waits for one looks again.
void announce_ended_at_commit();
// A child has ended: processes that have passed over a job because of it look again.
void wake_blocked_at_commit();
// What this session has blocked in DatabaseSlot::blocked_by is free again when its transaction ends.
void unblock_databases_at_transaction_end();

// Registers the callback for the end of transactions; at load.
void register_wake();

}  // namespace sync_job
