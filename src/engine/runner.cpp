#include "engine/runner.hpp"

#include <algorithm>

#include "controller/controller.hpp"
#include "controller/search_path.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "engine/claim.hpp"
#include "engine/plan_invalidation.hpp"
#include "engine/set_sync.hpp"
#include "engine/together.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "queue/record.hpp"
#include "queue/rights.hpp"
#include "shared/activity.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/document_locks.hpp"
#include "shared/settings.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;

// A backend's snapshot cache holds 64 subtransactions of a transaction; a job may use a few of its own.
constexpr int most_subtransactions = 56;
// So many documents a statement; an error costs the time of a part of them.
constexpr std::size_t most_in_set = 256;
constexpr int jobs_between_looks = 50;  // at the growth of the tables
constexpr int most_repeats = 3;
constexpr long repeat_pause_milliseconds = 10;  // before the first repeat; four times as long before each next one
// Jobs that depend on others of their type wait so long for the rest of the queue.
constexpr auto longest_apart = std::chrono::seconds(5);
constexpr int most_waits_for_others = 100;
constexpr long wait_for_others_milliseconds = 20;
// A type that took too long for a batch runs alone for so long, or until so many of its jobs in a row were fast.
constexpr auto slow_type_memory = std::chrono::minutes(10);
constexpr int fast_jobs = 24;

// Grows when anything changes that could make the jobs of a type faster.
std::uint64_t definitions() { return job_type_generation() + document_generation() + controller_generation(); }

}  // namespace

Runner::Runner(std::string queue, Oid run_as, Transactions& transactions, const RunnerLimits& limits)
    : queue_(std::move(queue)),
      run_as_(run_as),
      transactions_(transactions),
      limits_(limits),
      memory_("sync job batch", pg::Memory::Parent::backend),
      set_size_(most_in_set) {}

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
        if (!alone_.empty()) return run_next_of_alone();
        if (together_is_due()) return run_waiting_together();
        int ended = run_batch(most);
        while (ended == 0 && sweep_.gave_up) {
            transactions_.begin();
            ended = run_batch(most);
        }
        if (ended == 0) sweep_ = {};
        nothing_else_due_ = ended == 0;
        return ended == 0 && !together_types_.empty() ? 1 : ended;
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

// After a job alone.
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

bool Runner::batch_is_full() const {
    return Clock::now() >= batch_end_ || pg::cached_subtransactions() >= most_subtransactions ||
           pg::touched_temporary_objects();
}

void Runner::check_growth(const Job& job) {
    since_growth_check_ = 0;
    if (auto type = find_job_type(std::string(job.text(C::sync_job_type)))) invalidate_outgrown_plans(*type);
}

// Nothing more runs in a batch once a job has left it: it could be a later one of the same document.
bool Runner::takes_no_more(const std::vector<Outcome>& outcomes) const {
    return !outcomes.empty() && (outcomes.back().verdict == Verdict::run_alone || batch_is_full());
}

// Where the next claim begins: behind those that the last ones have passed over, or at the head.
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
    std::vector<Job> set;  // claimed, of one type, to be run as one
    auto claimed_jobs = [&] { return static_cast<int>(outcomes.size() + set.size()); };
    auto run_collected = [&] {
        if (!set.empty()) run_set(std::exchange(set, {}), outcomes);
    };
    while (auto job = claim.next()) {
        if (!suits_batch(*job)) {
            claim.leave(*job);
            if (claimed_jobs() == 0) batch.single = job;
            break;
        }
        if (!suits_set(*job)) {
            run_collected();
            run_by_itself(*job, outcomes);
        } else {
            if (!set.empty() && set[0].text(C::sync_job_type) != job->text(C::sync_job_type)) run_collected();
            set.push_back(*job);
            if (set.size() >= set_size_ || claimed_jobs() >= batch_jobs) run_collected();
        }
        left_work_ = claimed_jobs() >= batch_jobs || batch_is_full() || takes_no_more(outcomes);
        if (left_work_) break;
    }
    run_collected();
    claim.end();
    left_work_ = left_work_ || !returned_.empty();
    for (const Job& job : returned_) claim.leave(job);
    for (const Outcome& outcome : outcomes) {
        if (outcome.verdict != Verdict::ended) claim.leave(outcome.job);
    }
    batch.resume = claim.resume();
}

void Runner::commit_batch(const Batch& batch) {
    if (!batch.outcomes.empty()) {
        record(batch.outcomes);
        announce_ended_at_commit();
        check_growth(batch.outcomes.back().job);
    }
    transactions_.commit();
    set_claim_start(batch.resume);
    transactions_.keep_search_path(last_search_path());
}

namespace {

// At a commit: two transactions that check each other's keys may deadlock.
bool may_help_together(const std::string& sqlstate) {
    return depends_on_other_documents(sqlstate) || is_repeatable(sqlstate);
}

}  // namespace

int Runner::run_batch(int most) {
    batch_end_ = Clock::now() + std::chrono::milliseconds(limits_.batch_milliseconds);
    int batch_jobs = most > 0 ? std::min(most, limits_.batch_jobs) : limits_.batch_jobs;
    Batch batch;
    left_work_ = false;
    returned_.clear();
    left_documents_.clear();
    attempted_ = 0;
    try {
        claim_and_run(batch, batch_jobs);
        if (batch.single) {
            if (!may_run_alone()) return 1;
            resume_ = batch.resume;
            return run_alone(*batch.single, batch_jobs);
        }
        commit_batch(batch);
    } catch (const pg::Error& error) {
        if (batch.single || (batch.outcomes.empty() && attempted_ == 0)) throw;
        // A deferred constraint, most likely: which job it was shows when each runs in a transaction of its own.
        transactions_.rollback();
        sweep_ = {};
        for (const Outcome& outcome : batch.outcomes) {
            if (may_help_together(error.sqlstate()) && outcome.job.is_null(C::procedure)) {
                run_together_later(std::string(outcome.job.text(C::sync_job_type)), outcome.job.id());
            } else {
                run_alone_next(outcome.job.id(), false);
            }
        }
        if (attempted_ != 0) run_alone_next(attempted_, false);
        if (pg::is_server_trouble(error)) throw;
        pg::log("a batch of sync jobs was rolled back; each of its jobs runs again by itself", error.report().message);
        return std::max(1, static_cast<int>(batch.outcomes.size()));
    }
    for (const Outcome& outcome : batch.outcomes) {
        if (outcome.verdict == Verdict::run_together) {
            run_together_later(std::string(outcome.job.text(C::sync_job_type)), outcome.job.id());
        }
        if (outcome.verdict != Verdict::run_alone) continue;
        run_alone_next(outcome.job.id(), outcome.repeatable_error);
        if (outcome.too_long) remember_slow_type(outcome.job);
    }
    return static_cast<int>(batch.outcomes.size());
}

void Runner::run_together_later(const std::string& type, std::int64_t id) {
    if (together_.empty()) together_since_ = Clock::now();
    together_.insert(id);
    together_types_[type].push_back(id);
}

// Together with others it did not succeed: the next attempt counts.
void Runner::run_alone_to_end(std::int64_t id) {
    run_alone_next(id, false);
    counts_alone_.insert(id);
}

// A job that was Started is Queued again, to run together with others; false where it has done so, or must not.
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

// When all that may help has been done: the queue has nothing else; or it does not come to that.
bool Runner::together_is_due() const {
    return !together_types_.empty() && (nothing_else_due_ || Clock::now() - together_since_ >= longest_apart);
}

int Runner::run_waiting_together() {
    sweep_ = {};
    std::string type = together_types_.begin()->first;
    nothing_else_due_ = false;
    if (!lock_type(type_key(type))) {  // another worker is at it; it wakes this one
        transactions_.commit();
        return 0;
    }
    for (std::int64_t id : together_types_[type]) together_.erase(id);
    together_types_.erase(type);
    TogetherRound round;
    try {
        run_together(type, queue_, run_as_, round);
        record(round.outcomes);
        announce_ended_at_commit();
        transactions_.commit();
    } catch (const pg::Error& error) {
        bool met_others = is_repeatable(error.sqlstate());
        if (!met_others && !depends_on_other_documents(error.sqlstate())) throw;
        transactions_.rollback();
        round.outcomes.clear();
        round.left = round.taken;
        round.some_elsewhere = round.some_elsewhere || met_others;
    }
    follow_round(type, round);
    return 1;
}

// A round that ends at least one job is followed by the next one at once. One that ends none counts: each of its jobs then
// runs alone, and fails.
void Runner::follow_round(const std::string& type, const TogetherRound& round) {
    bool any_ended = false;
    for (const Outcome& outcome : round.outcomes) {
        any_ended = any_ended || outcome.verdict == Verdict::ended;
        if (outcome.verdict == Verdict::run_alone) run_alone_next(outcome.job.id(), outcome.repeatable_error);
    }
    bool once_more = any_ended || (round.some_elsewhere && ++waits_for_others_ < most_waits_for_others);
    if (!once_more || any_ended) waits_for_others_ = 0;
    for (std::int64_t id : round.left) once_more ? run_together_later(type, id) : run_alone_to_end(id);
    if (once_more && !any_ended) pg::pause(wait_for_others_milliseconds);
    nothing_else_due_ = once_more;
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

// Where one of them does not work out the set is rolled back, and runs again in parts: what is wrong is soon alone. The next
// sets are smaller, as where one document is wrong others may be, and grow again while all goes well.
void Runner::run_set(std::vector<Job> jobs, std::vector<Outcome>& outcomes) {
    constexpr std::size_t one_by_one = 8, parts = 4, growth = 16;
    std::vector<std::optional<Outcome>> results(jobs.size());
    if (jobs.size() >= one_by_one && !takes_no_more(outcomes)) {
        try {
            results = sync_set(jobs, limits_.batch_milliseconds * 1000LL);
            pg::command_counter_increment();
            if (jobs.size() >= set_size_) set_size_ = std::min(most_in_set, set_size_ + growth);
        } catch (const pg::Error& error) {
            if (error.sqlstate() == "57014" && cancel_requested(jobs[0].id())) {
                outcomes.push_back(canceled_outcome(jobs[0]));
                return run_set({jobs.begin() + 1, jobs.end()}, outcomes);
            }
            std::size_t size = (jobs.size() + parts - 1) / parts;
            set_size_ = std::max(jobs.size() / 8, one_by_one);
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

namespace {

bool may_have_document(const Job& job) {
    std::uint64_t key = document_key(job);
    return !is_type_locked(type_key(std::string(job.text(C::sync_job_type)))) && (key == 0 || lock_document(key));
}

// A worker lets go of a document a moment after its commit, which others see at once: to whoever has waited for that
// commit the document is free.
void require_document(const Job& job) {
    constexpr int most_pauses = 200;
    constexpr long pause_milliseconds = 5;
    for (int i = 0; i < most_pauses; i++) {
        if (may_have_document(job)) return;
        pg::pause(pause_milliseconds);
    }
    throw pg::Error("55006", "another job of the document of " + describe(job) + " runs right now")
        .hint("Try again, or leave it to a worker.");
}

}  // namespace

int Runner::run_next_of_alone() {
    std::int64_t id = alone_.front();
    alone_.pop_front();
    // Whoever it met is about to wake: at once, it would have the same locks again before that, and deadlock again.
    if (auto met = repeats_.find(id); met != repeats_.end() && met->second > 0) {
        pg::pause(repeat_pause_milliseconds << 2 * (met->second - 1));
    }
    bool busy = false;
    auto stored = lock_job(id, false, &busy);
    bool ours = stored && stored->job.status() == Status::queued && may_have_document(stored->job) &&
                !waits_for_children(stored->job) &&
                take_type_slot_for(std::string(stored->job.text(C::sync_job_type)));
    if (ours && !may_run_alone()) return 1;
    if (!ours) {  // canceled, run by somebody else, or behind another job of its document or type: it is in the queue,
                  // if anywhere
        repeats_.erase(id);
        transactions_.commit();
        return 1;
    }
    return run_alone(stored->job, 1);
}

void Runner::mark_started(const Job& claimed) {
    Job started = claimed.copy();
    started.set_status(Status::started);
    started.set(C::started_at, pg::int64_datum(pg::now()));
    store_job({started, Partition::live});
}

namespace {

class NumberLock {
public:
    explicit NumberLock(std::int64_t id) : id_(id), outer_(show_alone(id)) {}
    ~NumberLock() {
        show_alone(outer_);
        unlock_job_number(id_);
    }
    NumberLock(const NumberLock&) = delete;
    NumberLock& operator=(const NumberLock&) = delete;

private:
    std::int64_t id_, outer_;  // a job alone may run others
};

}  // namespace

// Whether the role's share leaves a place for one more of its jobs alone; if not, the transaction is over. Those who may
// have all places: superusers, operators and managers.
bool Runner::may_run_alone() {
    auto queue = find_queue(queue_);
    bool may = take_place_alone(queue == nullptr ? 0 : queue->max_workers, settings.max_workers) ||
               ((has_level(run_as_, Level::operator_) || has_level(run_as_, Level::manager)) && take_place_alone(0, 0));
    if (may) return true;
    gives_way_ = true;
    transactions_.commit();
    return false;
}

namespace {

// A job alone that runs others in its process keeps its place.
class LeavePlaceAlone {
public:
    LeavePlaceAlone() { depth_++; }
    ~LeavePlaceAlone() {
        if (--depth_ == 0) leave_place_alone();
    }
    LeavePlaceAlone(const LeavePlaceAlone&) = delete;
    LeavePlaceAlone& operator=(const LeavePlaceAlone&) = delete;

private:
    static inline int depth_ = 0;
};

}  // namespace

// Marks it as Started, for the commit that is next.
Runner::Alone Runner::begin_alone(const Job& claimed) {
    std::int64_t id = claimed.id();
    if (isolated_jobs_ > 0) isolated_jobs_--;
    if (!lock_job_number(id)) {
        throw pg::Error("55006", "the number of " + describe(claimed) + " is locked by another session");
    }
    try {
        Alone alone{id, needs_own_transactions(claimed), document_key(claimed),
                    type_key(std::string(claimed.text(C::sync_job_type)))};
        mark_started(claimed);
        return alone;
    } catch (...) {
        unlock_job_number(id);
        throw;
    }
}

// Started and committed; nothing where that is not to be had, and the job has failed.
std::optional<Runner::Alone> Runner::commit_as_started(const Job& claimed) {
    std::optional<Alone> alone;
    std::int64_t outer = 0;
    try {
        alone = begin_alone(claimed);
        outer = show_alone(alone->id);
        transactions_.commit();
        show_alone(outer);
        return alone;
    } catch (const pg::Error& error) {
        bool locked = error.sqlstate() == "55006";  // its number: by the scheduler, for a moment
        transactions_.rollback();
        if (alone) {
            show_alone(outer);
            unlock_job_number(alone->id);
        }
        if (locked || !pg::is_specific(error)) throw;
        fail(claimed.id(), error);
        return std::nullopt;
    }
}

// Where the one after it has to run alone, too, the commit that ends a job starts the next.
int Runner::run_alone(const Job& claimed, int most) {
    auto until = Clock::now() + std::chrono::milliseconds(limits_.batch_milliseconds);
    HoldLocksAcrossTransactions keep;
    LeavePlaceAlone leave_place;
    int ended = 0;
    for (auto current = commit_as_started(claimed); current; current = next_) {
        NumberLock lock(current->id);
        if (ended > 0) keep.release_all_but(current->document, current->type);
        if (resume_) set_claim_start(*std::exchange(resume_, std::nullopt));
        ended++;
        next_.reset();
        may_start_next_ = ended < most && Clock::now() < until;
        run_one_alone(*current);
    }
    return std::max(ended, 1);
}

// In a transaction of its own, or several.
void Runner::run_one_alone(const Alone& job) {
    std::int64_t id = job.id;
    try {
        if (job.committing) {
            transactions_.run_committing_job(id);
        } else {
            transactions_.begin();
            run_started(id);
        }
    } catch (const pg::Error& error) {
        // The commit failed (a deferred constraint), or something around the job: either way the attempt has.
        transactions_.rollback();
        if (next_) unlock_job_number(next_->id);
        next_.reset();
        resume_.reset();
        if (may_help_together(error.sqlstate()) && queue_for_together(id)) return;
        counts_alone_.erase(id);
        fail(id, error);
    }
}

namespace {

Outcome outcome_of_error(const Job& job, const pg::Error& error) {
    if (error.sqlstate() == "57014" && cancel_requested(job.id())) return canceled_outcome(job);
    return failed_outcome(job, error, !pg::is_server_trouble(error));
}

}  // namespace

// The job's attempt has ended in an error of the engine's own, and was rolled back. If its failure cannot be recorded with what
// follows from it, it is without; if not even that is to be had, the job is left to recovery, and alone for a while. Raises
// trouble of the server, after the record.
void Runner::fail(std::int64_t id, const pg::Error& error) {
    for (bool bare : {false, true}) {
        try {
            transactions_.begin();
            auto stored = lock_job(id);
            if (stored && stored->partition == Partition::live && stored->job.status() != Status::pending) {
                Outcome outcome = outcome_of_error(stored->job, error);
                bare ? record_bare_end(outcome) : record({outcome});
                announce_ended_at_commit();
            }
            transactions_.commit();
            set_aside_.remove(id);
            break;
        } catch (const pg::Error& another) {
            transactions_.rollback();
            if (!pg::is_specific(another)) throw;
            if (bare) {
                set_aside_.add(id, another);
            } else {
                pg::log_error("the end of sync job " + std::to_string(id) + " is recorded without what follows from it", another);
            }
        }
    }
    if (pg::is_server_trouble(error)) throw error;
}

// The next job in the queue, if it runs alone as well: Started with the commit that ends the one before.
void Runner::start_next() {
    if (!may_start_next_ || !alone_.empty() || isolated_jobs_ > 0) return;
    auto queue = find_queue(queue_);
    if (queue == nullptr || queue->paused) return;
    try {  // its trouble is not that of the job that has ended
        pg::Subtransaction subtransaction;
        std::optional<Job> job;
        {
            Claim claim(queue_, run_as_, begin_claim(), sweep_, false, [this](std::int64_t id) { return is_left_out(id); });
            job = claim.next();
            claim.end();
            if (job && suits_batch(*job)) claim.leave(*job);
            if (job && !suits_batch(*job)) resume_ = claim.resume();
        }
        if (resume_) next_ = begin_alone(*job);
        subtransaction.commit();
    } catch (const pg::Error&) {
        if (next_) unlock_job_number(next_->id);
        next_.reset();
        resume_.reset();
        sweep_ = {};
    }
}

// The job is Started, and nothing else runs in this transaction.
void Runner::run_started(std::int64_t id) {
    auto stored = lock_job(id);
    if (!stored || stored->job.status() != Status::started || remove_if_ended(*stored)) {
        transactions_.commit();
        return;
    }
    Outcome outcome = attempt(stored->job, {0, repeats_[id] < most_repeats, transactions_.ends_with_process(),
                                            may_run_together(stored->job)});
    pg::command_counter_increment();
    if (outcome.verdict != Verdict::ended) {
        queue_again(stored->job);
        record({outcome});
        transactions_.commit();
        if (outcome.verdict == Verdict::run_alone) {
            run_alone_next(id, outcome.repeatable_error);
        } else {
            run_together_later(std::string(stored->job.text(C::sync_job_type)), id);
        }
        return;
    }
    repeats_.erase(id);
    count_fast(outcome.job);
    record({outcome});
    announce_ended_at_commit();
    if (!wants_new_process()) start_next();
    transactions_.commit();
    counts_alone_.erase(id);
}

namespace {

// A Pending or Failed job as Queued, to be run by hand; for a Failed one that is a retry.
Job queued_by_hand(const StoredJob& stored) {
    if (stored.job.status() == Status::queued) return stored.job;
    Job job = stored.job.copy();
    if (job.status() == Status::failed) job.set(C::retry_count, pg::int32_datum(job.int32(C::retry_count) + 1));
    job.set_status(Status::queued);
    store_job({job, stored.partition});
    return lock_job(job.id())->job;
}

}  // namespace

void Runner::run_one(const StoredJob& stored) {
    pg::MemorySwitch memory(memory_);
    try {
        require_document(stored.job);
        run_alone(queued_by_hand(stored), 1);
        if (set_aside_.has(stored.job.id())) {
            throw pg::Error("55000", "the end of " + describe(stored.job) + " could not be recorded")
                .hint("The server's log says why.");
        }
    } catch (...) {
        transactions_.rollback();
        throw;
    }
}

Job run_here(const StoredJob& stored, bool raise) {
    require_document(stored.job);
    struct Forget {
        std::int64_t id;
        ~Forget() { clear_in_progress(id); }
    } forget{stored.job.id()};  // also where the caller catches the error and goes on
    Job queued = queued_by_hand(stored);
    Outcome outcome;
    try {
        pg::Subtransaction subtransaction;
        outcome = attempt(queued, {0, false});
        if (raise && outcome.error != nullptr) throw pg::Error(std::make_shared<pg::ErrorReport>(*outcome.error));
        pg::command_counter_increment();
        record({outcome});
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (raise || !pg::is_specific(error)) throw;
        outcome = failed_outcome(as_started(queued), error, true);
        record_end(outcome);
    }
    announce_ended_at_commit();
    pg::command_counter_increment();
    auto ended = find_job(outcome.job.id());  // with what the job itself has written down
    return ended ? ended->job : outcome.job;
}

namespace {
// The classid of these locks in pg_locks: no catalog's OID.
constexpr Oid job_lock_class = 9999;
}  // namespace

bool lock_job_number(std::int64_t id) { return pg::try_lock_number(job_lock_class, id); }
void unlock_job_number(std::int64_t id) noexcept { pg::unlock_number(job_lock_class, id); }

namespace {
std::int64_t expected_committing_job = 0;
}  // namespace

void expect_committing_job(std::int64_t id) { expected_committing_job = id; }

bool take_committing_job(std::int64_t id) { return std::exchange(expected_committing_job, 0) == id && id != 0; }

void run_committing_here(std::int64_t id) {
    auto stored = find_job(id);
    if (!stored || stored->job.status() != Status::started || remove_if_ended(*stored)) return;
    Outcome outcome = attempt_committing(stored->job);
    auto locked = lock_job(id);
    if (!locked || locked->job.status() != Status::started) return;
    outcome.job.place = locked->job.place;
    // What the job itself has written down in between stays.
    for (C column : {C::checkpoint}) {
        outcome.job.set(column, pg::Value{locked->job.datum(column), locked->job.is_null(column)});
    }
    record({outcome});
    announce_ended_at_commit();
    pg::command_counter_increment();
}

}  // namespace sync_job
