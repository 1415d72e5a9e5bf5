#include "queue/in_progress.hpp"

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

#include "pg/xact.hpp"
#include "shared/activity.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr int none_ran = -1;
std::int64_t running_job = 0;
Oid running_source = pg::no_oid;
bool running_leaves_set = false;
int running_depth = 0, transaction_depth = none_ran;

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

void mark_leaves_set() { running_leaves_set = true; }
bool leaves_set() { return running_leaves_set; }

int depth_of(const Job& job) { return job.is_null(C::depth) ? 0 : job.int32(C::depth); }

std::optional<int> current_depth() {
    if (running_job != 0) return running_depth;
    return transaction_depth == none_ran ? std::nullopt : std::optional<int>(transaction_depth);
}

CurrentJobScope::CurrentJobScope(const Job& job, const std::string& subject, int depth)
    : previous_(running_job), previous_depth_(running_depth), previous_source_(running_source),
      previous_leaves_set_(std::exchange(running_leaves_set, false)) {
    running_job = job.id();
    running_depth = depth;
    running_source = job.oid(C::source_document_type);
    transaction_depth = std::max(transaction_depth, depth);
    mark_in_progress(running_job);
    if (previous_ == 0) show_job_start(job, subject);
}

CurrentJobScope::~CurrentJobScope() {
    running_job = previous_;
    running_depth = previous_depth_;
    running_source = previous_source_;
    running_leaves_set = previous_leaves_set_;
    if (previous_ == 0) show_job_end();
}

bool is_in_progress(std::int64_t id) { return in_progress().count(id) > 0; }
void mark_in_progress(std::int64_t id) { in_progress().insert(id); }
void clear_in_progress(std::int64_t id) { in_progress().erase(id); }
void register_in_progress() {
    pg::on_transaction_end([](bool) {
        in_progress().clear();
        transaction_depth = none_ran;
        moved_jobs().clear();
    });
}

void mark_job_row_moved() { moved_jobs().insert(running_job); }
bool job_row_moved(std::int64_t id) { return moved_jobs().count(id) > 0; }

std::int64_t current_job_id() { return running_job; }
Oid current_source_type() { return running_source; }

}  // namespace sync_job
