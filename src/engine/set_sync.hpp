// Runs many jobs of one declarative type with a few statements: loads the sources, locks the targets, compares, then one UPDATE per set of
// changed columns, and one INSERT. Diffs, flags and states are the same as when each job runs separately.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "document/document.hpp"
#include "engine/attempt.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// Whether the job may be part of a set: it requests nothing that needs a document by itself (a dry run, verbose logging, a target or
// operation given in advance). Documents of a set job may have verbose logging.
bool suits_set(const Job& job);

// Fewer than this run one by one.
constexpr std::size_t fewest_in_set = 8;

// The result of the last set of a type. The next set expects the same, and so need not look before it writes: that all documents are
// inserted, or that all are updated in the same columns. Kept from one call to the next.
class LastSet {
public:
    enum class All { various, inserted, updated };
    void note(const std::string& type_name, All all, const ColumnSet& columns);
    // `various` for the next few sets after a wrong guess.
    All guess(const std::string& type_name);
    void guessed_wrong();
    const ColumnSet& columns() const { return columns_; }

private:
    std::string type_name_;
    All all_ = All::various;
    ColumnSet columns_;
    int sets_before_next_guess_ = 0;
};

// Runs the jobs, all of one type, in one subtransaction. Returns an outcome for each, except for those that have to run by themselves after
// the others: their source document is gone, their document or target is that of an earlier job of the set, or another transaction has
// locked the target. For documents of a set job, the last case is an outcome: they run alone. An error of any job is raised after
// everything was rolled back; so is a wait for somebody else's lock longer than `lock_patience_microseconds` (0: it goes on waiting), as a
// cancellation.
std::vector<std::optional<Outcome>> sync_set(const std::vector<Job>& jobs, LastSet& last, std::int64_t batch_microseconds,
                                             std::int64_t lock_patience_microseconds = 0);

}  // namespace sync_job
