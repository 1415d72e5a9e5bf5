// The search_path that the code of a job type runs with: the same in a worker, by hand, and when it is validated.
#pragma once

#include <string>
#include <vector>

#include "job/job_type.hpp"

namespace sync_job {

// Background work has that of the session, as a worker found it. Empty: as it is.
const std::string& search_path_of(const JobType& type);
// A schema that would be on the path, but for a role that may create objects in it (no_oid: PUBLIC), and whom run_as does
// not trust: with a function that fits better he would take over what the type's code calls.
struct LeftOut {
    std::string schema;
    Oid role;
};
const std::vector<LeftOut>& left_out_of_search_path(const JobType& type);
// For the callback of changes of schemas, roles and memberships.
void invalidate_search_paths();
void remember_session_search_path();
// Sets it within the innermost SettingsScope.
void set_search_path(const JobType& type);
// The last one that was set: whoever sets it for the session between two transactions spares the next job that.
const std::string& last_search_path();

}  // namespace sync_job
