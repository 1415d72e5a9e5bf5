// The checks of `sync-job doctor`: statements that return a row for each thing that is wrong.
#pragma once

#include <string_view>
#include <vector>

namespace sync_job {

/// The rows have the columns severity (error: jobs do not run, or fail; warning), object, message and hint. All have the parameters
/// $1: seconds that a change may be behind; $2: seconds that a transaction may be open; $3: bytes up to which no index counts as
/// bloated; $4: the version of this command; $5: the pid that libpq reports for this connection's server process.
struct Check {
    std::string_view name, sql;
};

/// The server and its settings.
std::vector<Check> server_checks();
/// Job types, their triggers, and what became of their jobs.
std::vector<Check> type_checks();
/// The tables of the extension, and what others have done to them.
std::vector<Check> table_checks();

}  // namespace sync_job
