// The search_path that the code of a job type runs with: the same in a worker, by hand, and in validation.
#pragma once

#include <string>
#include <vector>

#include "job/job_type.hpp"

namespace sync_job {

// Background work has the session's path, as it was when the worker started. Empty: the path is not changed.
const std::string& search_path_of(const JobType& type);
// A schema that was left off the path because a role that run_as does not trust (no_oid: PUBLIC) may create objects in it: with a function
// that fits better, that role could replace what the type's code calls.
struct LeftOut {
    std::string schema;
    Oid role;
};
const std::vector<LeftOut>& left_out_of_search_path(const JobType& type);
// For the callback on changes of schemas, roles and memberships.
void invalidate_search_paths();
void remember_session_search_path();
// Sets the path within the innermost SettingsScope.
void set_search_path(const JobType& type);
// The last path that was set. Setting it for the session between two transactions spares the next job from doing so.
const std::string& last_search_path();

}  // namespace sync_job
