// The alerts of a database (sync_job_alert): the scheduler measures, and tells of each change of state.
#pragma once

namespace sync_job {

// In the current transaction, as the tables' owner. Notes when jobs of each type ended well last; then looks at every alert. Reads
// nothing but counts and times of the extension's own tables, and waits for no lock of anybody's.
void look_at_alerts();

}  // namespace sync_job
