#include "queue/in_progress.hpp"

#include <set>
#include <unordered_set>

#include "pg/xact.hpp"
#include "shared/activity.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::int64_t running_job = 0;

// The jobs whose rows have moved in this transaction; several where a job runs others inside itself.
std::set<std::int64_t>& moved_jobs() {
    static auto& jobs = *new std::set<std::int64_t>;
    return jobs;
}

std::unordered_set<std::int64_t>& in_progress() {
    static auto& ids = *new std::unordered_set<std::int64_t>;  // never destroyed: the server may be gone by then
    return ids;
}

}  // namespace

CurrentJobScope::CurrentJobScope(const Job& job, const std::string& subject) : previous_(running_job) {
    running_job = job.id();
    mark_in_progress(running_job);
    if (previous_ == 0) show_job_start(job, subject);
}

CurrentJobScope::~CurrentJobScope() {
    running_job = previous_;
    if (previous_ == 0) show_job_end();
}

bool is_in_progress(std::int64_t id) { return in_progress().count(id) > 0; }
void mark_in_progress(std::int64_t id) { in_progress().insert(id); }
void clear_in_progress(std::int64_t id) { in_progress().erase(id); }
void register_in_progress() {
    pg::on_transaction_end([](bool) {
        in_progress().clear();
        moved_jobs().clear();
    });
}

void mark_job_row_moved() { moved_jobs().insert(running_job); }
bool job_row_moved(std::int64_t id) { return moved_jobs().count(id) > 0; }

std::int64_t current_job_id() { return running_job; }

}  // namespace sync_job
