// What has become of jobs, counted for each type and queue in shared memory, and what has changed, for whoever watches.
//
// A transaction notes what it does to jobs; its commit adds the notes up, after it has become visible. What was rolled back,
// in a subtransaction too, is not counted; nor is a prepared transaction, which another session commits. After a restart all
// counts begin at 0. Without preloading nothing is counted.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "job/job_row.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// --- What the current transaction does ---

void count_job(const Job& job, Counter counter, std::uint64_t by = 1);
// An attempt has ended, or a job was canceled: its state, and how long it has waited and run.
void count_end(const Job& job);
// Not counted, but of interest to whoever watches: a job has started, a type was paused.
void note_change(const Job& job);
void note_change();

// --- What others see at once ---

// A job that runs has reported progress.
void show_change(std::string_view type, std::string_view queue);

// --- Who watches ---

constexpr std::int64_t watch_microseconds = 60 * 1000000LL;
bool is_watched(const DatabaseSlot& database);

// --- The series of a database ---

constexpr const char* other_label = "other";
void for_each_series(Oid database, const std::function<void(Series&)>& act);
// When the database, or its extension, is gone.
void forget_series(Oid database);
// If there are too few places: frees the series of types that are not among these.
void forget_series_but(DatabaseSlot& database, const std::vector<std::string>& types);

// Registers the callbacks for the end of transactions; at load.
void register_metrics();

}  // namespace sync_job
