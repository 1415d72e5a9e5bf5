// Commands that need a database free of sessions: its processes are stopped first, and started again afterwards.
#pragma once

#include "pg/types.hpp"

namespace sync_job {

void register_database_commands();
// This session's transaction needs the database free of them until it ends.
void stop_processes_of(Oid database);

}  // namespace sync_job
