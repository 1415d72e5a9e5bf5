// Commands that need a database free of sessions: its processes are stopped first, and started again afterwards.
#pragma once

namespace sync_job {

void register_database_commands();

}  // namespace sync_job
