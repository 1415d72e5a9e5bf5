// The part of a full sync that does the work, in chunks that are committed one by one.
#include <algorithm>
#include <cmath>
#include <optional>

#include "controller/controller.hpp"
#include "core/text.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/full_sync_run.hpp"
#include "job/job_store.hpp"
#include "pg/error.hpp"
#include "pg/flush_later.hpp"
#include "pg/lock_patience.hpp"
#include "pg/memory.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "shared/activity.hpp"
#include "shared/claim_cursor.hpp"
#include "shared/document_locks.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Nobody else can have the documents of a chunk until it is committed.
constexpr auto longest_chunk = milliseconds(1000);
// A document whose row somebody has locked for longer than this leaves the run.
constexpr std::int64_t lock_patience_microseconds = 500'000;
// Other jobs that have waited this long go first.
constexpr auto others_patience = milliseconds(200);
constexpr auto look_interval = milliseconds(100);

bool is_wait_or_clash(const pg::Error& error) {
    return error.sqlstate() == "57014" || is_repeatable(error.sqlstate());
}

}  // namespace

// A run started within another job runs to its end: that job waits for it, and the worker is busy with that job.
bool OthersWait::is_due() const {
    return Clock::now() >= next_look_ && in_worker() && read_activity(*my_slot_or_null()).job == run_.id();
}

bool OthersWait::look() {
    auto now = Clock::now();
    next_look_ = now + look_interval;
    auto first = first_due(std::string(run_.text(C::queue)), run_.oid(C::run_as), claim_start_of(*my_slot_or_null()));
    bool any = first && *first < ClaimPosition{run_.int32(C::priority), run_.id()};
    bool same = any && any_ && *first == first_;
    any_ = any;
    if (same) return now - since_ >= others_patience;
    since_ = now;
    if (any) first_ = *first;
    return false;
}

// Functions run one by one, each in a subtransaction. If there are more subtransactions than this, other sessions have to look them up on
// disk.
std::size_t FullSync::chunk_size() const {
    constexpr int most_with_functions = 50;
    int most = mapping_ != nullptr ? most_in_chunk : most_with_functions;
    return static_cast<std::size_t>(std::clamp(request_.chunk_size, 1, most));
}

namespace {

// They may have run in another order. After a crash, the run goes on after the last document before which none is left.
std::vector<std::string> in_order_of(const std::vector<std::string>& names, std::vector<std::string> some) {
    std::sort(some.begin(), some.end());
    std::vector<std::string> ordered;
    for (const std::string& name : names) {
        if (std::binary_search(some.begin(), some.end(), name)) ordered.push_back(name);
    }
    return ordered;
}

std::string rounded_time(std::int64_t seconds) {
    constexpr std::int64_t minute = 60, hour = 3600;
    auto in = [&](std::int64_t unit) { return std::to_string((seconds + unit / 2) / unit); };
    return seconds < 2 * minute ? in(1) + " s" : seconds < 2 * hour ? in(minute) + " min" : in(hour) + " h";
}

}  // namespace

void FullSync::walk(NameList& names, const Chunk& work) {
    if (work_.began == Clock::time_point()) work_.began = Clock::now();
    while (wait_for_next_chunk()) {
        auto began = Clock::now();
        std::vector<std::string> chunk = names.take(chunk_size());
        if (chunk.empty()) return;
        pg::ensure_portal_snapshot();
        std::size_t done = chunk.size();
        pg::Memory memory("chunk of a full sync");
        {
            pg::MemorySwitch in_it(memory);
            std::vector<std::string> left = in_order_of(chunk, work(chunk));
            names.put_back(left);
            done -= left.size();
            work_.walked += done;
            auto first_left = left.empty() ? chunk.end() : std::find(chunk.begin(), chunk.end(), left[0]);
            if (mapping_ == nullptr && first_left != chunk.begin()) checkpoint_.after = *(first_left - 1);
            commit(true);
        }
        show();
        if (!request_.documents_per_second) continue;
        work_.next_chunk = began + milliseconds(1000 * done / static_cast<std::size_t>(*request_.documents_per_second));
    }
}

void FullSync::show() const {
    std::size_t done = work_.before + work_.walked, all = work_.before + work_.to_sync.size() + work_.to_delete.size();
    if (all == 0) return;
    std::int64_t left = seconds_left(all - std::min(all, done));
    show_progress(100.0 * static_cast<double>(done) / static_cast<double>(all), std::nullopt,
                  std::to_string(done) + " of " + std::to_string(all) + " documents" + (left < 0 ? "" : ", about " + rounded_time(left) + " left"), left);
}

// Estimated from the pace of this attempt so far; below 0: unknown.
std::int64_t FullSync::seconds_left(std::size_t documents) const {
    constexpr double too_short_to_tell = 0.5;
    double took = std::chrono::duration<double>(Clock::now() - work_.began).count();
    if (work_.walked == 0 || documents == 0 || took < too_short_to_tell) return -1;
    return std::llround(took * static_cast<double>(documents) / static_cast<double>(work_.walked));
}

// Waits without a snapshot or a lock. False: the run stops here for now.
bool FullSync::wait_for_next_chunk() {
    while (!stops_) {
        if (others_.is_due()) {
            if (others_.look()) {
                stops_ = true;
                sync_.status = Status::queued;
            }
            pg::spi_commit();  // the look has locked the queue
        }
        auto left = std::chrono::ceil<milliseconds>(work_.next_chunk - Clock::now()).count();
        if (left <= 0) break;
        if (!stops_) pg::pause(std::min<long>(left, look_interval.count()));
    }
    return !stops_;
}

// The template for the jobs of the run's documents, including those that leave the run.
Job FullSync::document_job() const {
    Job job = run_.copy();
    for (C column : {C::operation, C::context, C::job_id, C::checkpoint, C::result, C::scheduled_at}) job.clear(column);
    job.set(C::max_retries, pg::int32_datum(type_.max_retries));
    job.set(C::priority, pg::int32_datum(type_.priority));
    return job;
}

// Locks the documents first, then takes a snapshot, then reads them: nothing older can overwrite something newer. Returns the documents
// that are left for the next chunk.
std::vector<std::string> FullSync::sync_documents(const std::vector<std::string>& names) {
    Job job = document_job();
    std::vector<std::string> free, busy;
    bool relays = controller_kind(type_).relays;
    for (const std::string& name : names) {
        job.set_text(C::source_document_name, name);
        (lock_document(document_key(job)) && !(relays && waits_for_children(job)) ? free : busy).push_back(name);
    }
    job.clear(C::source_document_name);
    add(hand_over(job, busy));  // their own jobs may have read them before they changed
    if (!has_workers()) lock_sources(free);
    if (request_.adopt && mapping_ != nullptr) {
        for (const std::string& name : free) adopt(name);
    }
    DocumentsDone done = run_chunk(job, free);
    std::vector<std::string> left = std::move(done.left);
    add(std::move(done));
    if (checkpoint_.done[FullSyncCount::gone] > static_cast<std::int64_t>(work_.before + work_.walked + names.size()) / 10 + 10) {
        stop(std::to_string(checkpoint_.done[FullSyncCount::gone]) + " sources have gone during the run");
    }
    return left;
}

// Without shared memory, nothing else keeps others off a document. With the rows locked, whoever changes a source waits for the chunk, and
// is synced after it. If the rows cannot be locked (a view, a missing right), this is the same as with single jobs.
void FullSync::lock_sources(const std::vector<std::string>& names) const {
    if (names.empty() || !source_->supports_many() || !source_->locks_rows()) return;
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            pg::Statement("SELECT" + source_->from_key_arrays() + " FOR SHARE OF " + source_->relation().alias, source_->key_array_types())
                .execute(source_->key_arrays(names));
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
}

// Treats the values of the target as written by us, if nothing is known about them.
void FullSync::adopt(const std::string& name) {
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            pg::Value source = source_->load(name, DocumentType::Lock::none);
            if (!source.null) mapping_->adopt(source);
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;  // the sync of the document will report it
    }
}

// Checks deferred constraints as the commit would: if one fails, the documents run one by one.
DocumentsDone FullSync::run_chunk(const Job& job, const std::vector<std::string>& names) {
    try {
        return run_checked(job, names);
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error) && (!is_wait_or_clash(error) || cancel_requested(run_.id()))) throw;
    }
    DocumentsDone done;
    for (const std::string& name : names) {
        try {
            add(run_checked(job, {name}));
        } catch (const pg::Error& error) {
            fail_document(job, name, error, done);
        }
    }
    return done;
}

DocumentsDone FullSync::run_checked(const Job& job, const std::vector<std::string>& names) {
    auto until = Clock::now() + longest_chunk;
    DocumentLimits limits{{run_.microseconds(C::timeout), true, false, true, lock_patience_microseconds},
                          [until] { return Clock::now() >= until; }};
    pg::Subtransaction subtransaction;
    DocumentsDone done = run_documents(job, names, limits, statement_size_);
    check_deferred();
    subtransaction.commit();
    return done;
}

// For a document that ran by itself.
void FullSync::fail_document(const Job& job, const std::string& name, const pg::Error& error, DocumentsDone& done) const {
    bool leaves = is_wait_or_clash(error) && !cancel_requested(run_.id());
    if (!leaves && !pg::is_specific(error)) throw pg::Error(error);
    Outcome outcome;
    if (!leaves) outcome = failed_outcome(as_started(job), error, true);
    outcome.job = job_of_its_own(job, name, leaves ? nullptr : &outcome.job);
    if (name.empty()) outcome.job.clear(C::source_document_name);
    done[leaves ? Count::handed_over : Count::failed]++;
    done.jobs.push_back(std::move(outcome));
}

void FullSync::check_deferred() {
    pg::command_counter_increment();
    pg::SpiScope spi;
    pg::SnapshotScope snapshot;
    pg::LockPatience patience(lock_patience_microseconds);
    pg::fire_deferred_triggers();
}

// Locks the targets first, then looks at them again. A target that somebody else has locked gets a job of its own, which does the same.
std::vector<std::string> FullSync::delete_surplus(const std::vector<std::string>& names) {
    std::vector<std::string> locked, still;
    {
        pg::SpiScope spi;
        {
            pg::SnapshotScope before;
            locked = mapping_->lock_targets(names);
        }
        pg::SnapshotScope snapshot;  // newer than the changes of whoever had the locks before
        still = mapping_->still_surplus(names);
    }
    std::sort(locked.begin(), locked.end());
    for (const std::string& name : still) {
        Job job = document_job();
        job.set_text(C::operation, to_text(Operation::remove));
        job.set_text(C::target_document_name, name);
        add(std::binary_search(locked.begin(), locked.end(), name) ? delete_target(job) : hand_over_target(job));
    }
    return {};
}

DocumentsDone FullSync::hand_over_target(const Job& job) {
    DocumentsDone done = hand_over(job, {""});
    done.jobs[0].job.clear(C::source_document_name);
    return done;
}

DocumentsDone FullSync::delete_target(const Job& job) {
    DocumentsDone done;
    Outcome outcome;
    try {
        pg::Subtransaction subtransaction;
        outcome = attempt(job, {run_.microseconds(C::timeout), true, false, false, lock_patience_microseconds});
        check_deferred();
        subtransaction.commit();
    } catch (const pg::Error& error) {
        fail_document(job, "", error, done);
        return done;
    }
    done.canceled = outcome.job.status() == Status::canceled;
    if (outcome.verdict != Verdict::ended) return hand_over_target(job);
    if (outcome.error != nullptr) {
        done[Count::failed]++;
        outcome.job = job_of_its_own(job, "", &outcome.job);
        outcome.job.clear(C::source_document_name);
        done.jobs.push_back(std::move(outcome));
        return done;
    }
    Status status = outcome.job.status();
    bool marked = outcome.job.operation() == Operation::update;  // marked as gone: see on_delete
    done[status == Status::finished  ? (marked ? Count::updated : Count::deleted)
         : status == Status::skipped ? Count::skipped
                                     : Count::no_target]++;
    if (status == Status::finished) done.documents.push_back(document_row("", outcome));
    return done;
}

// --- What came of it ---

// Changes in the meantime are reported by triggers, so a source that no longer exists is not a failure.
void FullSync::add(DocumentsDone done) {
    if (done.canceled) throw pg::Error("57014", "canceling the full sync due to user request");
    auto gone = std::remove_if(done.jobs.begin(), done.jobs.end(), [](const Outcome& outcome) {
        return outcome.error != nullptr && outcome.error->sqlstate == "P0002";
    });
    auto count = done.jobs.end() - gone;
    done.jobs.erase(gone, done.jobs.end());
    done[Count::failed] -= count;
    checkpoint_.done[FullSyncCount::gone] += count;
    for (std::size_t i = 0; i < done.counts.size(); i++) checkpoint_.done[i] += done.counts[i];
    record_documents(done);
}

// Commits the checkpoint together with the work that it describes; after that the documents are free again.
void FullSync::commit(bool moved) {
    const FullSyncCounts& counts = checkpoint_.done;
    if (moved) check_limits(counts[FullSyncCount::updated], counts[FullSyncCount::deleted], counts[FullSyncCount::inserted]);
    auto stored = lock_job(run_.id());
    if (!stored || stored->job.status() != Status::started)
        throw pg::Error("55000", "the run was ended by somebody else");
    auto now = find_job_type(type_.name);
    require_same_type(now.get());
    if (full_sync_checkpoint_of(stored->job).pause) {
        stops_ = true;
        sync_.status = Status::pending;
    }
    // A chunk lost in a crash is done again, so its commit need not be flushed at once. But the fact that the run has moved must not be
    // lost, nor what code has done elsewhere.
    bool flush_later = checkpoint_.moved && mapping_ != nullptr && !stops_;
    checkpoint_.moved = checkpoint_.moved || moved;
    checkpoint_.pause = false;
    Job job = stored->job.copy();
    job.set(C::checkpoint, as_json(checkpoint_));
    store_job({job, stored->partition});
    {
        std::optional<pg::FlushLater> later;
        if (flush_later) later.emplace();
        pg::spi_commit();
    }
    release_documents();
    committed_ = counts;
}

}  // namespace sync_job
