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
    // `subject`: describe(job).
    Running(const Job& job, const std::string& subject);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

private:
    std::int64_t previous_;
};

// The job that runs in this process; 0: none. Of a set, the first.
std::int64_t current_job_id();

// An attempt of the job was begun in this transaction, and what came of it is not recorded yet: it runs, whatever its
// row says. In a batch that is so until the batch has ended.
bool is_under_way(std::int64_t id);
void note_under_way(std::int64_t id);
void forget_under_way(std::int64_t id);
// Registers the end of the transaction, at load.
void watch_running();

// The row of the job that runs has been written anew within its attempt: record() has to look where it is now.
void note_job_row_moved();
bool take_job_row_moved(std::int64_t id);

// The search_path that the code of the type runs with. Background work has that of the session, as a worker found it.
// Empty: as it is.
const std::string& search_path_of(const JobType& type);
void remember_session_search_path();
// Sets it within the innermost SettingsScope.
void set_search_path(const JobType& type);
// The last one that was set: whoever sets it for the session between two transactions spares the next job that.
const std::string& last_search_path();

// The job as Started, without what an earlier attempt left.
Job begun(const Job& job);
// Its end is now, or then.
void stamp_end(Job& job);
void stamp_end(Job& job, pg::Timestamp now);
// Of a job that somebody has asked to cancel.
Outcome canceled_outcome(const Job& original);

}  // namespace sync_job
