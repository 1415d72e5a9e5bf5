// Jobs that depend on each other's documents, run in one transaction: a key that another document still has, a parent that
// is not there yet. Alone, or in batches cut anywhere, each would fail where all of them together succeed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.hpp"
#include "queue/outcome.hpp"
#include "queue/set_record.hpp"

namespace sync_job {

// Whether this is the SQLSTATE of such an error: foreign key, unique and exclusion constraints.
bool depends_on_other_documents(std::string_view sqlstate);

// The same for a commit, where two transactions that check each other's keys may also deadlock.
bool may_help_together(std::string_view sqlstate);

struct TogetherRound {
    std::vector<Outcome> outcomes;    // of those that have ended, or have to run alone; to be recorded
    std::vector<SetProgress> sets;    // set jobs, as far as they have come; to be recorded
    std::vector<std::int64_t> left;   // those that it did not help
    std::vector<std::int64_t> taken;  // all that ran, but the sets
    bool some_elsewhere = false;      // others of the type are in progress elsewhere: without them the round proves nothing
};

// Runs the waiting jobs of the type in the queue, set jobs too, at most some thousands of documents, again and again in both
// directions as long as one of them succeeds. Needs a transaction that holds lock_type(). Raises 23503, 23505 or 23P01 if a deferred constraint
// is violated at the end: nothing may be committed then; `round` still says which jobs ran.
void run_together(const std::string& type, const std::string& queue, Oid run_as, TogetherRound& round);

}  // namespace sync_job
