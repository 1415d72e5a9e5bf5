// Jobs that depend on each other's documents, run in one transaction: a key that is still another document's, a parent that
// is not there yet. Alone, or in batches cut anywhere, each would fail where all of them together succeed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// The SQLSTATE of such an error: foreign key, unique and exclusion constraints.
bool depends_on_other_documents(std::string_view sqlstate);

// The same of a commit: two transactions that check each other's keys may deadlock.
bool may_help_together(std::string_view sqlstate);

struct TogetherRound {
    std::vector<Outcome> outcomes;    // of those that have ended, or have to run alone; to be recorded
    std::vector<std::int64_t> left;   // for which it did not help
    std::vector<std::int64_t> taken;  // all that ran
    bool some_elsewhere = false;      // others of the type are in progress elsewhere: without them it shows nothing
};

// Runs what waits of the type in the queue, at most some thousands of jobs, again and again in both directions as long as
// one of them succeeds. In a transaction that holds lock_type(). Raises 23503, 23505 or 23P01 where a deferred constraint
// is violated at the end: nothing of it may be committed then; `round` says which jobs ran, all the same.
void run_together(const std::string& type, const std::string& queue, Oid run_as, TogetherRound& round);

}  // namespace sync_job
