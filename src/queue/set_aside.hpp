// Jobs for which an operation of the engine itself raises an error: each is left alone for a while, longer each time,
// so that it does not block others. Logged once per job.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pg/error.hpp"
#include "pg/types.hpp"

namespace sync_job {

class SetAside {
public:
    // `what` completes the message: sync job 5 could not be …
    explicit SetAside(std::string what) : what_(std::move(what)) {}

    bool has(std::int64_t job) const;
    std::vector<std::int64_t> jobs() const;
    void add(std::int64_t job, const pg::Error& error);
    void remove(std::int64_t job) { entries_.erase(job); }

    // Calls `act` with the index of each job: all in one subtransaction and, if that raises, each in one of its own. A
    // job for which it raises is set aside. Errors that are no job's fault are raised: server trouble, a cancellation,
    // a deadlock. Returns for how many `act` returned true.
    int for_each(const std::vector<std::int64_t>& jobs, const std::function<bool(std::size_t)>& act);

private:
    bool try_all(const std::vector<std::int64_t>& jobs, const std::function<bool(std::size_t)>& act, int* done);

    struct Entry {
        int failures = 0;
        pg::Timestamp until = 0;
    };
    std::string what_;
    std::unordered_map<std::int64_t, Entry> entries_;
};

}  // namespace sync_job
