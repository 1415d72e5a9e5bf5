// Which jobs are in progress in this process: the one whose code runs, and those of its batch that are not recorded yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "job/job_row.hpp"

namespace sync_job {

// While it lives the job is the one that runs in this process, for current_sync_job() and the activity view. A job that
// runs inside another one (now => true) is part of it for whoever looks from outside, or cancels.
class CurrentJobScope {
public:
    // `subject`: describe(job). `depth`: of the job; of a set, the greatest of its jobs.
    CurrentJobScope(const Job& job, const std::string& subject, int depth);
    ~CurrentJobScope();
    CurrentJobScope(const CurrentJobScope&) = delete;
    CurrentJobScope& operator=(const CurrentJobScope&) = delete;

private:
    std::int64_t previous_;
    int previous_depth_;
};

// How many triggers led to the job, each by what the job before it wrote.
int depth_of(const Job& job);

// The job that runs in this process; 0: none. Of a set, the first.
std::int64_t current_job_id();
// Its depth; where none runs now, the greatest of those that ran in this transaction, whose deferred triggers may fire yet.
std::optional<int> current_depth();

// An attempt of the job was begun in this transaction, and what came of it is not recorded yet: it runs, whatever its
// row says. In a batch that is so until the batch has ended.
bool is_in_progress(std::int64_t id);
void mark_in_progress(std::int64_t id);
void clear_in_progress(std::int64_t id);
// Registers the end of the transaction, which clears all; at load.
void register_in_progress();

// The row of the job that runs has been written anew within its attempt, in this transaction: record() has to look where it
// is now.
void mark_job_row_moved();
bool job_row_moved(std::int64_t id);

}  // namespace sync_job
