// One SQL statement in another database of the cluster, as a role, by a short-lived background worker. In a transaction
// of its own, committed when the call returns, whatever becomes of the caller's.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Waits for it; raises what it raised (message, SQLSTATE, hint), and 55000 when the extension whose functions the
// statement calls is not installed there.
void run_in_database(Oid database, const char* extension, Oid role, const std::string& sql);

// no_oid when there is none of that name.
Oid database_oid(const std::string& name);

}  // namespace sync_job::pg
