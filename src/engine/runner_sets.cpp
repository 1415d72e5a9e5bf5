// The part of the runner that runs set jobs, in batches. A set never runs alone: if it would have to, each of its documents gets a job of
// its own.
#include "controller/controller.hpp"
#include "engine/document_batch.hpp"
#include "engine/runner.hpp"
#include "job/job_type.hpp"
#include "pg/xact.hpp"
#include "shared/document_locks.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// Checked because the set's type may have changed since it was enqueued.
bool may_run(const Job& set) {
    auto type = find_job_type(std::string(set.text(C::sync_job_type)));
    if (type == nullptr) return false;
    if (type->native()) controller_kind(*type);  // opens its library, which is needed to decide
    return runs_in_sets(*type);
}

}  // namespace

// Documents that another job has stay in the set, at its place in the queue.
void Runner::run_set_job(const Job& job, const std::vector<bool>& had_documents, Batch& batch) {
    std::vector<std::string> names = pg::datum_text_array(job.datum(C::source_documents)), free, busy;
    for (std::size_t i = 0; i < names.size(); i++) (had_documents[i] ? free : busy).push_back(names[i]);
    attempted_ = job.id();
    attempted_is_set_ = true;
    SetProgress set{as_started(job), {}};
    if (to_break_up_.erase(job.id()) > 0 || isolated_jobs_ > 0 || !may_run(job)) {
        set.done = hand_over(set.job, names);
        busy.clear();
    } else {
        AttemptLimits limits{limits_.batch_milliseconds * 1000LL, true, transactions_.ends_with_process(), true};
        set.done = run_documents(set.job, free, {limits, [this] { return batch_is_full(); }}, statement_size_);
    }
    set.done.left.insert(set.done.left.end(), busy.begin(), busy.end());
    batch.sets.push_back(std::move(set));
    batch.documents += names.size();
    attempted_ = 0;
    attempted_is_set_ = false;
}

// Follows up on documents that have left the set and are now in the queue.
void Runner::follow_set(const SetProgress& set) {
    const DocumentsDone& done = set.done;
    std::int64_t went_well = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Count::failed); i++) went_well += done.counts[i];
    for (const Outcome& outcome : done.jobs) {
        if (outcome.verdict == Verdict::run_together) {
            run_together_later(std::string(outcome.job.text(C::sync_job_type)), outcome.job.id());
        } else if (outcome.repeatable_error) {
            run_alone_next(outcome.job.id(), true);
        }
        if (outcome.too_long && went_well == 0) break_up(set.job.id());  // the others most likely are, too
    }
}

}  // namespace sync_job
