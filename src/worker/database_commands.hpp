// Commands that need a database free of sessions: its processes are stopped first, and started again afterwards.
#pragma once

#include "pg/types.hpp"

namespace sync_job {

void register_database_commands();
// Stops the database's processes until this session's transaction ends.
void stop_processes_of(Oid database);

}  // namespace sync_job
