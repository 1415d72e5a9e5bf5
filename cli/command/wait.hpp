// Waits for a job, and reports what becomes of it.
#pragma once

#include "command/invocation.hpp"

#include <optional>
#include <string>
#include <vector>

namespace sync_job {

struct WaitOptions {
    bool wait = true;
    double timeout = 0;  // seconds; 0: no limit
};

/// The options of a command that waits unless it is told not to: --no-wait, --timeout.
void add_wait_options(Arguments& arguments, WaitOptions& options);

/// How far a job is.
struct Progress {
    std::string status, percent, title, description, retry_after, note;
    bool ended = false;

    bool operator==(const Progress&) const = default;
    /// "Started 40 % copying: 3 of 7"
    std::string text() const;
    std::string json(const std::string& id) const;
};

/// Throws DatabaseError (42704) if there is no such job that the caller may know of.
Progress read_progress(Connection& database, const std::string& id);

/// Waits until the job has ended, or will not be retried by itself, and shows its progress: in place on a terminal; else, with
/// `lines`, a line for each change. On Ctrl-C, or when the time is up, says so and throws Ended with the exit code.
Progress wait_for_job(Invocation& invocation, const std::string& id, const WaitOptions& options, bool lines);

/// What `show` prints of the job. Returns the exit code: whether it has ended well.
int report_job(Invocation& invocation, const std::string& id);

/// For a command that has enqueued a job: waits and reports, or only says which job it is.
int follow(Invocation& invocation, const std::string& id, const WaitOptions& options);

/// Whether a job in this state has ended well.
bool ended_well(const std::string& status);

}  // namespace sync_job
