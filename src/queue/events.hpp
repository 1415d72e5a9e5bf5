// Events on the channel sync_job: that a job has started or ended, and whatever a job publishes.
#pragma once

#include <string>

#include "job/job_row.hpp"
#include "pg/value.hpp"

namespace sync_job {

// NOTIFY at commit. A message too long for a notification is kept in sync_job_event, and the notification has its id.
void publish_event(const std::string& event, pg::Value message);

// Publishes that the job has ended, if it asks for that.
void publish_end(const Job& job);
// Publishes that the job starts, if its type asks for that. For jobs whose start is committed before they run.
void publish_start(const Job& job);

}  // namespace sync_job
