// A controller to start from: commented source code with the tables and columns of a job type, which can be installed as it is.
#pragma once

#include <string>

#include "job/job_type.hpp"

namespace sync_job {

// `language`: plpgsql, sql, plpython3u or c++. Raises 22023 for any other, 55000 for a type without a source or target document type.
std::string boilerplate(const JobType& type, const std::string& language);

}  // namespace sync_job
