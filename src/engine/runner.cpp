#include "engine/runner.hpp"

#include <algorithm>

#include "controller/controller.hpp"
#include "controller/native_library.hpp"
#include "controller/search_path.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "engine/claim.hpp"
#include "engine/interruption.hpp"
#include "engine/plan_invalidation.hpp"
#include "engine/set_sync.hpp"
#include "engine/together.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "pg/xact.hpp"
#include "queue/record.hpp"
#include "shared/activity.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/document_locks.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;

// A backend's snapshot cache holds 64 subtransactions of a transaction; a job may use a few of its own.
constexpr int most_subtransactions = 56;
// Above this, a batch takes no more set jobs: the largest possible one still fits into what a transaction may hold.
constexpr std::size_t most_in_sets = most_documents - most_batch_jobs - most_in_set_job;
constexpr int jobs_between_looks = 50;  // between checks whether tables have grown
// Jobs of a type that took too long for a batch run alone for this long, or until this many in a row were fast.
constexpr auto slow_type_memory = std::chrono::minutes(10);
constexpr int fast_jobs = 24;

// Increases when anything changes that could make the jobs of a type faster.
std::uint64_t definitions() { return job_type_generation() + document_generation() + controller_generation(); }

}  // namespace

Runner::Runner(std::string queue, Oid run_as, Transactions& transactions, const RunnerLimits& limits)
    : queue_(std::move(queue)),
      run_as_(run_as),
      transactions_(transactions),
      limits_(limits),
      memory_("sync job batch", pg::Memory::Parent::backend) {}

int Runner::run_round(int most) {
    memory_.reset();
    pg::MemorySwitch memory(memory_);
    transactions_.begin();
    try {
        auto queue = find_queue(queue_);
        if (queue == nullptr || queue->paused) {
            transactions_.commit();
            return 0;
        }
        if (alone_.empty()) try_locks_again();
        if (!alone_.empty()) return run_next_of_alone();
        if (together_is_due()) return run_waiting_together();
        int ended = run_batch(most);
        while (ended == 0 && sweep_.gave_up) {
            transactions_.begin();
            ended = run_batch(most);
        }
        if (ended == 0) sweep_ = {};
        nothing_else_due_ = ended == 0;
        return ended == 0 && (!together_types_.empty() || some_wait_for_locks()) ? 1 : ended;
    } catch (...) {
        transactions_.rollback();
        sweep_ = {};
        throw;
    }
}

bool Runner::suits_batch(const Job& job) {
    if (isolated_jobs_ > 0 || !is_batchable(job)) return false;
    auto found = slow_types_.find(std::string(job.text(C::sync_job_type)));
    if (found == slow_types_.end()) return true;
    if (found->second.until > Clock::now() && found->second.definitions == definitions()) return false;
    slow_types_.erase(found);
    show_slow_types();
    return true;
}

void Runner::remember_slow_type(const Job& job) {
    slow_types_[std::string(job.text(C::sync_job_type))] = {Clock::now() + slow_type_memory, definitions(), 0};
    show_slow_types();
}

// Called after a job that ran alone.
void Runner::count_fast(const Job& job) {
    auto found = slow_types_.find(std::string(job.text(C::sync_job_type)));
    if (found == slow_types_.end()) return;
    bool fast = job.microseconds(C::time_taken) < limits_.batch_milliseconds * 1000LL / 2;
    found->second.fast = fast ? found->second.fast + 1 : 0;
    if (found->second.fast < fast_jobs) return;
    slow_types_.erase(found);
    show_slow_types();
}

void Runner::show_slow_types() const {
    std::vector<std::string> names;
    for (const auto& [name, slow] : slow_types_) names.push_back(name);
    std::sort(names.begin(), names.end());
    show_types_alone(join(names, ", "));
}

void Runner::run_alone_next(std::int64_t id, bool repeatable_error) {
    alone_.push_back(id);
    if (repeatable_error) repeats_[id]++;
}

namespace {

// Whether a library was replaced. Does not look for each job, which would cost a twentieth of the job's time.
bool library_replaced(Clock::time_point now) {
    static Clock::time_point looked_at;
    static bool replaced = false;
    if (now - looked_at < std::chrono::milliseconds(5)) return replaced;
    looked_at = now;
    replaced = !replaced_native_library().empty();
    return replaced;
}

}  // namespace

bool Runner::batch_is_full() const {
    auto now = Clock::now();
    return now >= batch_end_ || is_interrupted() || pg::cached_subtransactions() >= most_subtransactions || pg::touched_temporary_objects() ||
           library_replaced(now);
}

void Runner::check_growth(const Job& job) {
    since_growth_check_ = 0;
    if (auto type = find_job_type(std::string(job.text(C::sync_job_type)))) invalidate_outgrown_plans(*type);
}

// Once a job has left the batch, nothing more runs in it: the next one could be a later job of the same document.
bool Runner::takes_no_more(const std::vector<Outcome>& outcomes) const {
    return !outcomes.empty() && (outcomes.back().verdict == Verdict::run_alone || batch_is_full());
}

// Where the next claim begins: after the jobs that the last ones have passed over, or at the head.
ClaimPosition Runner::begin_claim() {
    bool may_start_over = !sweep_.at || sweep_.found;
    ClaimPosition since;
    ClaimPosition head = claim_start(may_start_over, &since);
    if (!sweep_.at || (sweep_.found && !is_blocked())) {
        sweep_ = {};
        return head;
    }
    if (since < *sweep_.at) sweep_.at = since;
    return *sweep_.at;
}

// Claims jobs and runs them, one by one or as sets of one type, until the batch is full or nothing more is due.
void Runner::claim_and_run(Batch& batch, int batch_jobs) {
    std::vector<Outcome>& outcomes = batch.outcomes;
    Claim claim(queue_, run_as_, begin_claim(), sweep_, isolated_jobs_ > 0, [this](std::int64_t id) { return is_left_out(id); });
    std::vector<Job> set;  // claimed jobs of one type, to be run as a set
    auto claimed_jobs = [&] { return static_cast<int>(batch.jobs() + set.size()); };
    auto run_collected = [&] {
        if (!set.empty()) run_set(std::exchange(set, {}), outcomes);
    };
    while (auto job = claim.next()) {
        if (is_set(*job)) {
            run_collected();
            run_set_job(*job, claim.had_documents(), batch);
        } else if (!suits_batch(*job)) {
            claim.leave(*job);
            if (claimed_jobs() == 0) batch.single = job;
            break;
        } else if (!suits_set(*job)) {
            run_collected();
            run_by_itself(*job, outcomes);
        } else {
            if (!set.empty() && set[0].text(C::sync_job_type) != job->text(C::sync_job_type)) run_collected();
            set.push_back(*job);
            if (set.size() >= statement_size_.get() || claimed_jobs() >= batch_jobs) run_collected();
        }
        left_work_ = claimed_jobs() >= batch_jobs || batch.documents >= most_in_sets || batch_is_full() || takes_no_more(outcomes);
        if (left_work_) break;
    }
    run_collected();
    claim.end();
    left_work_ = left_work_ || !returned_.empty();
    for (const Job& job : returned_) claim.leave(job);
    for (const Outcome& outcome : outcomes) {
        if (outcome.verdict != Verdict::ended) claim.leave(outcome.job);
    }
    for (const SetProgress& one : batch.sets) {
        if (one.done.left.empty()) continue;
        claim.leave(one.job);
        left_work_ = true;
    }
    batch.resume = claim.resume();
}

void Runner::commit_batch(const Batch& batch) {
    for (const SetProgress& set : batch.sets) record_set(set);
    record(batch.outcomes);
    if (batch.jobs() > 0) {
        announce_ended_at_commit();
        check_growth(batch.outcomes.empty() ? batch.sets.back().job : batch.outcomes.back().job);
    }
    transactions_.commit();
    set_claim_start(batch.resume);
    transactions_.keep_search_path(last_search_path());
}

int Runner::run_batch(int most) {
    batch_end_ = Clock::now() + std::chrono::milliseconds(limits_.batch_milliseconds);
    int batch_jobs = most > 0 ? std::min(most, limits_.batch_jobs) : limits_.batch_jobs;
    Batch batch;
    left_work_ = false;
    returned_.clear();
    left_documents_.clear();
    attempted_ = 0;
    attempted_is_set_ = false;
    try {
        claim_and_run(batch, batch_jobs);
        if (batch.single) {
            if (!may_run_alone()) return 1;
            resume_ = batch.resume;
            return run_alone(*batch.single, batch_jobs);
        }
        commit_batch(batch);
    } catch (const pg::Error& error) {
        if (batch.single || (batch.jobs() == 0 && attempted_ == 0)) throw;
        // This is most likely a deferred constraint: running each job in a transaction of its own shows which one violates it.
        transactions_.rollback();
        note_interruption(error);
        sweep_ = {};
        run_again_apart(batch, error);
        if (pg::is_server_trouble(error)) throw;
        pg::log("a batch of sync jobs was rolled back; each of its jobs runs again by itself",
                "It met an error of SQLSTATE " + error.sqlstate() + ", which the job that meets it again records.");
        return std::max(1, static_cast<int>(batch.jobs()));
    }
    for (const SetProgress& set : batch.sets) follow_set(set);
    for (const Outcome& outcome : batch.outcomes) {
        if (outcome.verdict == Verdict::run_together) {
            run_together_later(std::string(outcome.job.text(C::sync_job_type)), outcome.job.id());
        }
        if (outcome.verdict != Verdict::run_alone) continue;
        run_alone_next(outcome.job.id(), outcome.repeatable_error);
        if (outcome.too_long) remember_slow_type(outcome.job);
    }
    return static_cast<int>(batch.jobs());
}

void Runner::run_again_apart(const Batch& batch, const pg::Error& error) {
    for (const SetProgress& set : batch.sets) {
        if (may_help_together(error.sqlstate())) {
            run_together_later(std::string(set.job.text(C::sync_job_type)), set.job.id());
        } else {
            break_up(set.job.id());
        }
    }
    if (attempted_is_set_) break_up(std::exchange(attempted_, 0));
    for (const Outcome& outcome : batch.outcomes) {
        if (may_help_together(error.sqlstate()) && outcome.job.is_null(C::procedure)) {
            run_together_later(std::string(outcome.job.text(C::sync_job_type)), outcome.job.id());
        } else {
            run_alone_next(outcome.job.id(), false);
        }
    }
    if (attempted_ != 0) run_alone_next(attempted_, false);
}

void Runner::run_by_itself(const Job& job, std::vector<Outcome>& outcomes) {
    std::uint64_t document = document_key(job);
    bool comes_after = document != 0 && left_documents_.count(document) > 0;
    if (takes_no_more(outcomes) || comes_after) {
        returned_.push_back(job);
        return;
    }
    attempted_ = job.id();
    outcomes.push_back(attempt(job, {limits_.batch_milliseconds * 1000LL, true, transactions_.ends_with_process(), true}));
    attempted_ = 0;
    if (outcomes.back().verdict == Verdict::run_together) left_documents_.insert(document);
    pg::command_counter_increment();
    if (++since_growth_check_ >= jobs_between_looks) check_growth(job);
}

// If one of the jobs fails, the set is rolled back and runs again in parts, which soon isolates that job. The next sets are smaller,
// because there may be more such jobs, and grow again while all goes well.
void Runner::run_set(std::vector<Job> jobs, std::vector<Outcome>& outcomes) {
    constexpr std::size_t parts = 4;
    std::vector<std::optional<Outcome>> results(jobs.size());
    if (jobs.size() >= fewest_in_set && !takes_no_more(outcomes)) {
        try {
            results = sync_set(jobs, statement_size_.last, limits_.batch_milliseconds * 1000LL);
            pg::command_counter_increment();
            statement_size_.went_well(jobs.size());
        } catch (const pg::Error& error) {
            if (error.sqlstate() == "57014" && cancel_requested(jobs[0].id())) {
                outcomes.push_back(canceled_outcome(jobs[0]));
                return run_set({jobs.begin() + 1, jobs.end()}, outcomes);
            }
            std::size_t size = (jobs.size() + parts - 1) / parts;
            statement_size_.went_wrong(jobs.size());
            for (std::size_t from = 0; from < jobs.size(); from += size) {
                auto first = jobs.begin() + static_cast<std::ptrdiff_t>(from);
                auto last = jobs.begin() + static_cast<std::ptrdiff_t>(std::min(from + size, jobs.size()));
                run_set({first, last}, outcomes);
            }
            return;
        }
    }
    for (auto& result : results) {
        if (result) outcomes.push_back(std::move(*result));
    }
    for (std::size_t i = 0; i < jobs.size(); i++) {
        if (!results[i]) run_by_itself(jobs[i], outcomes);
    }
}

}  // namespace sync_job
