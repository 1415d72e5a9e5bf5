// What each process that runs jobs is doing, as other sessions see it, and what they ask of it. In shared memory: a
// process writes its own slot, everybody may read it. If the library was not preloaded, nobody sees it and nobody asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "job/job_row.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// --- This process ---

bool in_worker();

// `subject`: describe(job).
void show_job_start(const Job& job, const std::string& subject);
void show_job_end();
// The job that runs in transactions of its own; 0: none any more. Returns the previous one.
std::int64_t show_alone(std::int64_t job);

// A job that runs alone may take long, and only its timeout ends it. So such jobs of one role leave one place of the
// queue, and one of all workers, to other jobs: with two or more places, a worker may not begin one if workers of its
// role hold all the others. 0: no such limit. False: it has to give way. Does nothing in a session.
bool take_place_alone(int places_of_queue, int all_places);
void leave_place_alone();

// The types that this worker runs alone because they took too long for a batch: names separated by commas.
void show_types_alone(const std::string& names);
// How many of its jobs have waited long for locks of other sessions, and have not ended since.
void show_lock_waits(std::size_t jobs);

// The job's progress, 0 to 100; a text that is not given stays as it is. The scheduler notifies listeners from time to time.
// `seconds_left`: about how long it will still take; below 0: not known.
void show_progress(double percent, std::optional<std::string_view> title, std::optional<std::string_view> description,
                   std::int64_t seconds_left = -1);

// Whether somebody has asked to cancel this job, which runs here or was the last one to.
bool cancel_requested(std::int64_t job_id);
std::string requested_cancel_reason();

// A worker with more work than it can do at once tells the scheduler, once until it is idle again: its group may need
// another worker.
void report_busy();
void reset_busy_report();

// --- Any process ---

bool has_workers();  // the library was preloaded
Activity read_activity(const WorkerSlot& slot);
bool runs_now(Oid database, std::int64_t job_id);
bool session_runs(Oid database, std::int64_t job_id);  // and no worker
// Cancels the job if a worker of the database runs it right now; false when none does.
bool request_cancel(Oid database, std::int64_t job_id, const std::string& reason);
// The same for a job that the HTTP worker with this pid has under way; also false while that worker is ending another one.
bool request_http_cancel(int pid, std::int64_t job_id, const std::string& reason);

}  // namespace sync_job
