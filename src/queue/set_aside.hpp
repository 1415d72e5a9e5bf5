// Jobs for which something of the engine's own raises an error: each is left alone for a while, longer each time, so that it
// is in nobody's way. The log tells of it once.
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
    // `what` fails for such a job, as in: sync job 5 could not be …
    explicit SetAside(std::string what) : what_(std::move(what)) {}

    bool has(std::int64_t job) const;
    std::vector<std::int64_t> jobs() const;
    void add(std::int64_t job, const pg::Error& error);
    void remove(std::int64_t job) { entries_.erase(job); }

    // Does it for each of the jobs, given by its place in the list: for all in one subtransaction, and where that raises,
    // for each in one of its own. A job for which it raises is set aside. What is no job's fault is raised: trouble of the
    // server, a cancellation, a deadlock. Returns for how many `act` has said yes.
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
