// Writing down what became of jobs: their rows to where their state belongs, their errors to the log.
#pragma once

#include <vector>

#include "queue/outcome.hpp"

namespace sync_job {

// The outcomes of one transaction, in it. Each job is locked by it, and lies in the live partition. Outcomes with
// another verdict than `ended` are left as they are.
void record(const std::vector<Outcome>& outcomes);

// The same for one, where what follows from its end may be what cannot be done: then without callback and event, and without
// its row in sync_job_error if that is the trouble. Each try is a subtransaction.
void record_end(const Outcome& outcome);
// That last resort by itself.
void record_bare_end(const Outcome& outcome);

// The failed attempt of a job, in sync_job_error.
void record_error(const Job& job, const pg::ErrorReport& report, bool counted);
// It ran at a crash before, at this attempt or another one.
bool cut_short_by_crash(std::int64_t id);

}  // namespace sync_job
