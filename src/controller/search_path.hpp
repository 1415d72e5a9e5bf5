// The search_path that the code of a job type runs with: the same in a worker, by hand, and when it is validated.
#pragma once

#include <string>

#include "job/job_type.hpp"

namespace sync_job {

// Background work has that of the session, as a worker found it. Empty: as it is.
const std::string& search_path_of(const JobType& type);
void remember_session_search_path();
// Sets it within the innermost SettingsScope.
void set_search_path(const JobType& type);
// The last one that was set: whoever sets it for the session between two transactions spares the next job that.
const std::string& last_search_path();

}  // namespace sync_job
