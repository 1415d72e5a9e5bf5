// What surrounds the running of a job, by itself or in a set: marking it, its settings, its times.
#pragma once

#include <cstdint>
#include <string>

#include "engine/attempt.hpp"
#include "engine/job_row.hpp"
#include "engine/job_type.hpp"

namespace sync_job {

// Marks the job as the one that runs in this process, for current_sync_job() and the activity view. A job that runs
// inside another one (now => true) is part of it for whoever looks from outside, or cancels.
class Running {
public:
    explicit Running(const Job& job);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

private:
    std::int64_t previous_;
};

// The job that runs in this process; 0: none. Of a set, the first.
std::int64_t current_job_id();

// The row of the job that runs has been written anew within its attempt: record() has to look where it is now.
void note_job_row_moved();
bool take_job_row_moved(std::int64_t id);

// The search_path that the code of the type runs with.
std::string controller_search_path(const JobType& type);

// The job as Started, without what an earlier attempt left.
Job begun(const Job& job);
// Its end is now, or then.
void stamp_end(Job& job);
void stamp_end(Job& job, pg::Timestamp now);
// Of a job that somebody has asked to cancel.
Outcome canceled_outcome(const Job& original);

}  // namespace sync_job
