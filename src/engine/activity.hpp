// What the process is doing, as other sessions see it, and what they ask of it. Kept in shared memory by
// worker/slots.cpp; where the library was not preloaded nobody sees it and nobody asks.
#pragma once

#include <cstdint>
#include <string>

#include "engine/job_row.hpp"

namespace sync_job {

bool in_worker();

void show_job_start(const Job& job);
void show_job_end();
// The job runs in transactions of its own.
void show_alone(bool alone);

// Somebody has asked to cancel this job while it runs here.
bool cancel_requested(std::int64_t job_id);
std::string take_cancel_reason();

}  // namespace sync_job
