#include "queue/set_aside.hpp"

#include "core/retry.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {
constexpr std::int64_t first_pause = 1000000, longest_pause = 300 * first_pause;
constexpr std::size_t most_remembered = 10000;
}  // namespace

bool SetAside::has(std::int64_t job) const {
    auto found = entries_.find(job);
    return found != entries_.end() && found->second.until > pg::now();
}

std::vector<std::int64_t> SetAside::jobs() const {
    std::vector<std::int64_t> ids;
    for (const auto& [id, entry] : entries_) {
        if (entry.until > pg::now()) ids.push_back(id);
    }
    return ids;
}

void SetAside::add(std::int64_t job, const pg::Error& error) {
    if (entries_.size() >= most_remembered) std::erase_if(entries_, [](auto& one) { return one.second.until <= pg::now(); });
    if (entries_.size() >= most_remembered) entries_.clear();
    Entry& entry = entries_[job];
    entry.failures++;
    entry.until = pg::now() + growing_pause(first_pause, longest_pause, entry.failures);
    if (entry.failures > 1) return;
    pg::log_error("sync job " + std::to_string(job) + " could not be " + what_ + "; it is tried again with growing pauses",
                  error);
}

bool SetAside::try_all(const std::vector<std::int64_t>& jobs, const std::function<bool(std::size_t)>& act, int* done) {
    int acted = 0;
    try {
        pg::Subtransaction subtransaction;
        for (std::size_t i = 0; i < jobs.size(); i++) acted += act(i) ? 1 : 0;
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        return false;
    }
    for (std::int64_t job : jobs) remove(job);
    *done += acted;
    return true;
}

int SetAside::for_each(const std::vector<std::int64_t>& jobs, const std::function<bool(std::size_t)>& act) {
    int done = 0;
    if (jobs.empty() || try_all(jobs, act, &done)) return done;
    for (std::size_t i = 0; i < jobs.size(); i++) {
        try {
            pg::Subtransaction subtransaction;
            done += act(i) ? 1 : 0;
            subtransaction.commit();
            remove(jobs[i]);
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            add(jobs[i], error);
        }
    }
    return done;
}

}  // namespace sync_job
