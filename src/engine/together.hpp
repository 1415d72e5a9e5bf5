// Runs jobs that depend on each other's documents in one transaction: a key that another document still has, a parent that does not exist
// yet. Alone, or in arbitrary batches, each would fail where all of them together succeed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.hpp"
#include "queue/outcome.hpp"
#include "queue/set_record.hpp"

namespace sync_job {

// Whether this SQLSTATE is that of such an error: foreign key, unique and exclusion constraints.
bool depends_on_other_documents(std::string_view sqlstate);

// The same for a commit: two transactions that check each other's keys may also deadlock there.
bool may_help_together(std::string_view sqlstate);

struct TogetherRound {
    std::vector<Outcome> outcomes;    // of jobs that have ended or have to run alone; to be recorded
    std::vector<SetProgress> sets;    // set jobs and their progress; to be recorded
    std::vector<std::int64_t> left;   // jobs that were not helped
    std::vector<std::int64_t> taken;  // all that ran, except the sets
    bool some_elsewhere = false;      // other jobs of the type are in progress elsewhere: without them the round proves nothing
};

// Runs the waiting jobs of the type in the queue, including set jobs, with at most a few thousand documents: again and again, in both
// directions, as long as one of them succeeds. Needs a transaction that holds lock_type(). Raises 23503, 23505 or 23P01 if a deferred
// constraint is violated at the end: then nothing may be committed; `round` still tells which jobs ran.
void run_together(const std::string& type, const std::string& queue, Oid run_as, TogetherRound& round);

}  // namespace sync_job
