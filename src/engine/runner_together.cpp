// The part of the runner that runs jobs of a type together, when they depend on each other's documents.
#include "engine/claim.hpp"
#include "engine/runner.hpp"
#include "engine/together.hpp"
#include "job/job_store.hpp"
#include "pg/shared.hpp"
#include "queue/record.hpp"
#include "shared/document_locks.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;

// Jobs that depend on others of their type wait for the rest of the queue for at most this long.
constexpr auto longest_apart = std::chrono::seconds(5);
constexpr int most_waits_for_others = 100;
constexpr long wait_for_others_milliseconds = 20;

}  // namespace

void Runner::run_together_later(const std::string& type, std::int64_t id) {
    if (together_.empty()) together_since_ = Clock::now();
    together_.insert(id);
    together_types_[type].push_back(id);
}

// Running together with others did not help: the next attempt counts.
void Runner::run_alone_to_end(std::int64_t id) {
    run_alone_next(id, false);
    counts_alone_.insert(id);
}

// Queues a Started job again, to run together with others. False: it has done so already, or must not.
bool Runner::queue_for_together(std::int64_t id) {
    transactions_.begin();
    auto stored = lock_job(id);
    bool may = stored && stored->job.status() == Status::started && may_run_together(stored->job);
    if (may) queue_again(stored->job);
    transactions_.commit();
    if (may) run_together_later(std::string(stored->job.text(C::sync_job_type)), id);
    return may;
}

bool Runner::may_run_together(const Job& job) const {
    return counts_alone_.count(job.id()) == 0 && job.is_null(C::procedure) && is_batchable(job);
}

void Runner::queue_again(const Job& started) {
    Job queued = started.copy();
    queued.set_status(Status::queued);
    queued.clear(C::started_at);
    store_job({queued, Partition::live});
    wake_at_commit(queued);
}

// Due when the queue has nothing else that could help, or when waiting for that takes too long.
bool Runner::together_is_due() const {
    return !together_types_.empty() && (nothing_else_due_ || Clock::now() - together_since_ >= longest_apart);
}

int Runner::run_waiting_together() {
    sweep_ = {};
    std::string type = together_types_.begin()->first;
    nothing_else_due_ = false;
    auto forget = [&] {
        for (std::int64_t id : together_types_[type]) together_.erase(id);
        together_types_.erase(type);
    };
    if (type_is_held(type)) {  // the jobs stay in the queue
        forget();
        transactions_.commit();
        return 1;
    }
    if (!lock_type(type_key(type))) {  // another worker is running these jobs; it will wake this one
        transactions_.commit();
        return 0;
    }
    forget();
    TogetherRound round;
    try {
        run_together(type, queue_, run_as_, round);
        for (const SetProgress& set : round.sets) record_set(set);
        record(round.outcomes);
        announce_ended_at_commit();
        transactions_.commit();
    } catch (const pg::Error& error) {
        bool met_others = is_repeatable(error.sqlstate());
        if (!met_others && !depends_on_other_documents(error.sqlstate())) throw;
        transactions_.rollback();
        for (SetProgress& set : round.sets) set.done = {};  // nothing was done
        round.outcomes.clear();
        round.left = round.taken;
        round.some_elsewhere = round.some_elsewhere || met_others;
    }
    follow_round(type, round);
    return 1;
}

// After a round that ends at least one job, the next round follows at once. After one that ends none, each of its jobs runs alone, and that
// attempt counts.
void Runner::follow_round(const std::string& type, const TogetherRound& round) {
    bool any_ended = false;
    for (const Outcome& outcome : round.outcomes) {
        any_ended = any_ended || outcome.verdict == Verdict::ended;
        if (outcome.verdict == Verdict::run_alone) run_alone_next(outcome.job.id(), outcome.repeatable_error);
    }
    for (const SetProgress& set : round.sets) any_ended = any_ended || set.done.any();
    bool once_more = any_ended || (round.some_elsewhere && ++waits_for_others_ < most_waits_for_others);
    if (!once_more || any_ended) waits_for_others_ = 0;
    for (std::int64_t id : round.left) once_more ? run_together_later(type, id) : run_alone_to_end(id);
    for (const SetProgress& set : round.sets) {
        follow_set(set);
        if (!any_ended) once_more ? run_together_later(type, set.job.id()) : break_up(set.job.id());
    }
    if (once_more && !any_ended) pg::pause(wait_for_others_milliseconds);
    nothing_else_due_ = once_more;
}

}  // namespace sync_job
