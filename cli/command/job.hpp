// One job, as `show` prints it.
#pragma once

#include "database/connection.hpp"

#include <string>

namespace sync_job {

struct JobReport {
    Result job, attempts, changes, documents, children;
};

/// Throws DatabaseError (42704) if there is no such job that the caller may see.
JobReport read_job(Connection& database, const std::string& id);

void print_job(const JobReport& report, bool wide);
std::string json_of(const JobReport& report);

}  // namespace sync_job
