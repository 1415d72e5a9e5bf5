// Events on the channel sync_job: of jobs that have ended, and of whatever a job has to say.
#pragma once

#include <string>

#include "job/job_row.hpp"
#include "pg/value.hpp"

namespace sync_job {

// NOTIFY at commit. What does not fit into a notification is kept in sync_job_event, and the notification has its id.
void publish_event(const std::string& event, pg::Value message);

// The event of a job that has ended, where it asks for one.
void publish_end(const Job& job);

}  // namespace sync_job
