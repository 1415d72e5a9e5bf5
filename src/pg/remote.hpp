// Runs one SQL statement in another database of the cluster, as a role, in a short-lived background worker. It has a transaction of its
// own, which is committed when the call returns, whatever becomes of the caller's.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Waits for the statement. Raises its error (message, SQLSTATE, hint), or 55000 if the extension whose functions it calls is not installed
// there.
void run_in_database(Oid database, const char* extension, Oid role, const std::string& sql);

// no_oid if there is no database of that name.
Oid database_oid(const std::string& name);

}  // namespace sync_job::pg
