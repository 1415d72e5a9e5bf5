// Everything that is wrong with a job type, at once: for validate_sync_job_type().
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "job/job_type.hpp"
#include "pg/error.hpp"

namespace sync_job {

struct Finding {
    bool is_error;       // its jobs would fail; else a warning
    std::string object;  // what it is about
    std::shared_ptr<const pg::ErrorReport> report;

    // The column of sync_job_type, and the key in it: field_map.phone. Empty: none.
    std::string field() const;
};

// The names a function of a controller may have, hooks included.
std::vector<std::string> controller_function_names();

enum class Depth { definition, data };  // data: what is in the target, too, which may take long
std::vector<Finding> validate(const JobType& type, Depth depth = Depth::data);
// For who has just written the type, and knows whether it is paused, and that its functions are still to come.
std::optional<Finding> first_finding(const JobType& type);

// Checks each function that a controller made of functions may have, separately; `look` runs one check.
void validate_functions(const JobType& type,
                       const std::function<void(const std::string& object, const std::function<void()>& check)>& look);

// Raises if Citus has a copy of it on each node, whose triggers would fire for each.
void refuse_as_source(Oid relation);
// What is to be said of tables that Citus distributes.
void check_distribution(const JobType& type, std::vector<Finding>& findings);

}  // namespace sync_job
