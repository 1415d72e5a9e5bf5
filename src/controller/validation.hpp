// Finds everything that is wrong with a job type at once, for validate_sync_job_type().
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "job/job_type.hpp"
#include "pg/error.hpp"

namespace sync_job {

struct Finding {
    bool is_error;       // its jobs would fail; false: a warning
    std::string object;  // what it is about
    std::shared_ptr<const pg::ErrorReport> report;

    // The column of sync_job_type and the key in it, such as field_map.phone; empty: none.
    std::string field() const;
};

// The names that functions of a controller may have, including hooks.
std::vector<std::string> controller_function_names();

enum class Depth { definition, data };  // data: also looks at the contents of the target, which may take long
std::vector<Finding> validate(const JobType& type, Depth depth = Depth::data);
// For a session that has just written the type: leaves out that it is paused, and that its functions do not exist yet.
std::optional<Finding> first_finding(const JobType& type);

// Checks separately each function that a function controller may have; `look` runs one check.
void validate_functions(const JobType& type,
                       const std::function<void(const std::string& object, const std::function<void()>& check)>& look);

// Raises if Citus has a copy of the relation on each node: the triggers of each copy would fire.
void refuse_as_source(Oid relation);
// Findings about tables that Citus distributes.
void check_distribution(const JobType& type, std::vector<Finding>& findings);

}  // namespace sync_job
