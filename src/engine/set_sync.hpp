// Many jobs of one declarative type as a few statements: load the sources, lock the targets, compare, one UPDATE for
// each set of changed columns, one INSERT. The same diffs, flags and states as job by job.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/attempt.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// May be one of a set: nothing is asked of it that is done for each document by itself (a dry run, verbose logging, a
// target or operation given in advance).
bool suits_set(const Job& job);

// Runs the jobs, all of one type, in one subtransaction. An outcome for each; none for those that have to run by themselves,
// after the others: their source document is gone, or their document or target is that of an earlier job of the set.
// Raises what any of them did wrong, everything rolled back.
std::vector<std::optional<Outcome>> sync_set(const std::vector<Job>& jobs, std::int64_t batch_microseconds);

}  // namespace sync_job
