// Which jobs are in progress in this process: the one whose code runs, and those of its batch that are not recorded yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "job/job_row.hpp"

namespace sync_job {

// While it lives the job is the one that runs in this process, for current_sync_job() and the activity view. To other
// sessions, and for canceling, a job that runs inside another one (now => true) is part of it.
class CurrentJobScope {
public:
    // `subject`: describe(job). `depth`: that of the job; for a set, the greatest of its jobs.
    CurrentJobScope(const Job& job, const std::string& subject, int depth);
    ~CurrentJobScope();
    CurrentJobScope(const CurrentJobScope&) = delete;
    CurrentJobScope& operator=(const CurrentJobScope&) = delete;

private:
    std::int64_t previous_;
    int previous_depth_;
    Oid previous_source_;
    bool previous_leaves_set_;
};

// How many triggers led to the job, each fired by what the job before it wrote.
int depth_of(const Job& job);

// A document of a set job needs something that only a job of its own can have: what it has done is rolled back, and it leaves the set.
void mark_leaves_set();
bool leaves_set();

// The job that runs in this process; 0: none. For a set, the first.
std::int64_t current_job_id();
// The type of its source documents; no_oid: it has none.
Oid current_source_type();
// Its depth; if none runs now, the greatest of those that ran in this transaction, as their deferred triggers may still
// fire.
std::optional<int> current_depth();

// Whether an attempt at the job has begun in this transaction and its outcome is not recorded yet: it runs, whatever
// its row says. In a batch, until the batch has ended.
bool is_in_progress(std::int64_t id);
void mark_in_progress(std::int64_t id);
void clear_in_progress(std::int64_t id);
// Registers the callback at the end of a transaction, which clears all; at load.
void register_in_progress();

// The row of the running job was updated within its attempt, in this transaction: record() has to look where it is now.
void mark_job_row_moved();
bool job_row_moved(std::int64_t id);

}  // namespace sync_job
