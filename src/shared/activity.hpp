// What each process that runs jobs is doing, as other sessions see it, and what they ask of it. In shared memory: a
// process writes its own slot, everybody may read it. Where the library was not preloaded nobody sees it and nobody asks.
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
// The job runs in transactions of its own; 0: not any more. Returns the one that did so far.
std::int64_t show_alone(std::int64_t job);

// A job alone may take long, and nothing but its time limit ends it. So one role's jobs alone leave one place of the queue
// and one of all workers to others: with two places or more, a worker may not begin one when workers of its role have all
// others. 0: no such limit. False: it has to give way. Nothing for a session.
bool take_place_alone(int places_of_queue, int all_places);
void leave_place_alone();

// The types that this worker runs alone, as they have taken too long for a batch: names, with commas between them.
void show_types_alone(const std::string& names);

// How far the job is, 0 to 100; a text that is not given stays. The scheduler notifies listeners, now and then.
void show_progress(double percent, std::optional<std::string_view> title, std::optional<std::string_view> description);

// Somebody has asked to cancel this job while it runs here, or ran last.
bool cancel_requested(std::int64_t job_id);
std::string requested_cancel_reason();

// A worker that has more to do than it can do at once tells the scheduler, once until it has rested: its group may need
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

}  // namespace sync_job
