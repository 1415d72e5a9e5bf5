// The alerts of a database (sync_job_alert): the scheduler measures, and reports each change of state.
#pragma once

namespace sync_job {

// Runs in the current transaction, as the tables' owner. Notes when jobs of each type last ended successfully, then checks every alert.
// Reads only counts and times from the extension's own tables, and does not wait for locks.
void look_at_alerts();

}  // namespace sync_job
