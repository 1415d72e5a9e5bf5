// Cached plans and growing tables. A worker lives long; a plan that was made while a table was small, by the engine or by
// PL/pgSQL in a controller, may scan all of it for each job when it has grown. So all plans of the process are made anew
// whenever a document table is twice as large as it was, or half: rarely, and always before it matters.
#pragma once

#include "job/job_type.hpp"

namespace sync_job {

// Looks at the tables of the type. Within the transaction of a batch, now and then.
void invalidate_outgrown_plans(const JobType& type);

}  // namespace sync_job
