#include "engine/full_sync.hpp"

#include <algorithm>
#include <chrono>
#include <functional>

#include "controller/mapping.hpp"
#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/compare.hpp"
#include "engine/full_sync_job.hpp"
#include "engine/set_sync.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/record.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"
#include "shared/activity.hpp"
#include "shared/document_locks.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;

// Names of documents, perhaps millions: one after the other in one piece of memory.
class NameList {
public:
    void add(const std::string& name) {
        auto length = static_cast<std::uint32_t>(name.size());
        bytes_.append(reinterpret_cast<const char*>(&length), sizeof(length)).append(name);
        size_++;
    }
    std::size_t size() const { return size_; }
    // The next ones, at most so many.
    std::vector<std::string> take(std::size_t most) {
        std::vector<std::string> names;
        while (names.size() < most && at_ < bytes_.size()) {
            std::uint32_t length;
            bytes_.copy(reinterpret_cast<char*>(&length), sizeof(length), at_);
            names.push_back(bytes_.substr(at_ + sizeof(length), length));
            at_ += sizeof(length) + length;
        }
        return names;
    }

private:
    std::string bytes_;
    std::size_t size_ = 0, at_ = 0;
};

class FullSync {
public:
    FullSync(SyncContext& sync, const JobType& type, Mapping& mapping)
        : sync_(sync), type_(type), mapping_(mapping), run_(sync.job.copy()) {}

    void run() {
        read_context();
        read_checkpoint();
        require_alone();
        if (!request_.dry_run) {
            commit(false);
            pg::ensure_portal_snapshot();
        }
        compare();
        check_limits();
        if (!request_.dry_run) {
            walk(to_sync_, [&](const std::vector<std::string>& names) { sync_documents(names); });
            walk(to_delete_, [&](const std::vector<std::string>& names) { delete_surplus(names); });
            pg::ensure_portal_snapshot();
        }
        sync_.result = {result(), false};
    }

private:
    void read_context();
    void read_checkpoint();
    [[noreturn]] void type_was_changed() const;
    void require_alone() const;
    void compare();
    void count_scope();
    void check_limits() const;
    [[noreturn]] void stop(const std::string& why) const;
    std::string counts() const;
    void walk(NameList& names, const std::function<void(const std::vector<std::string>&)>& work);
    void sync_documents(const std::vector<std::string>& names);
    void sync_jobs(const std::vector<Job>& jobs);
    bool sync_as_set(const std::vector<Job>& jobs);
    void sync_one(const Job& job);
    void delete_surplus(const std::vector<std::string>& names);
    void count(const Outcome& outcome);
    void hand_over(const Job& job, const Outcome* outcome);
    Job document_job() const;
    void commit(bool moved);
    void throttle(std::size_t documents, Clock::time_point since) const;
    Datum result() const;
    std::int64_t changes() const { return done_[FullSyncCount::updated] + done_[FullSyncCount::deleted]; }

    SyncContext& sync_;
    const JobType& type_;
    Mapping& mapping_;
    Job run_;
    FullSyncRequest request_;
    NameList to_sync_, to_delete_;
    // Of this attempt's comparison.
    std::int64_t missing_ = 0, different_ = 0, surplus_ = 0, ambiguous_ = 0, sources_ = 0, targets_ = 0;
    std::string surplus_unknown_;
    FullSyncCounts done_ = {};  // in all attempts
    std::size_t walked_ = 0;
    bool paused_ = false;
};

std::string number(std::int64_t value) { return std::to_string(value); }

void FullSync::read_context() {
    request_ = full_sync_request_of(run_);
    Oid owner = run_.oid(C::owner);
    if (!may_do_all(type_, owner)) {  // also where somebody has changed the context since
        throw pg::Error("42501", "permission denied for a full sync by role " + quoted(pg::role_name(owner)));
    }
    require_full_sync(type_, request_);
    check_condition(type_, request_.condition);
    if (mapping_.reads_target()) {
        throw pg::Error("0A000", "documents of sync job type " + quoted(type_.name) + " cannot be synced by a full sync")
            .detail("An expression of field_map reads target or sync_job_id: what differs cannot be told without running each job.")
            .hint("Enqueue its documents with enqueue_sync_jobs().");
    }
    if (request_.delete_surplus && !mapping_.target().supports_many()) {
        throw pg::Error("0A000", "surplus documents of type " + quoted(mapping_.target().label()) +
                                     " cannot be deleted by a full sync")
            .detail("A column of its key is an array or composite.");
    }
}

void FullSync::read_checkpoint() {
    FullSyncCheckpoint checkpoint = full_sync_checkpoint_of(run_);
    if (checkpoint.definition != 0 && checkpoint.definition != definition_of(type_)) type_was_changed();
    done_ = checkpoint.done;
}

void FullSync::type_was_changed() const {
    throw pg::Error("55000", "sync job type " + quoted(type_.name) + " was changed during the run")
        .hint("Enqueue another full sync.");
}

void FullSync::require_alone() const {
    auto other = other_full_sync(type_.name, run_.id(), true);
    if (!other || *other > run_.id()) return;
    throw pg::Error("55006",
                    "full sync " + number(*other) + " of sync job type " + quoted(type_.name) + " runs right now");
}

// --- What there is to do ---

void FullSync::compare() {
    pg::Subtransaction subtransaction;  // what the code of the type writes is rolled back
    {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        mapping_.each_unequal(request_.condition, [&](const Mapping::Unequal& pair) {
            if (!pair.ambiguous && !type_.enables(pair.missing ? Operation::insert : Operation::update)) return;
            (pair.ambiguous ? ambiguous_ : pair.missing ? missing_ : different_)++;
            if (!pair.ambiguous) to_sync_.add(mapping_.source().name_of(pair.source));
        });
        if (pg::row_security_applies(mapping_.source().relation().oid)) {
            surplus_unknown_ = "row-level security of the source";
        } else if (may_remove_targets(type_)) {
            mapping_.each_surplus([&](const pg::RowValues& target) {
                surplus_++;
                if (request_.delete_surplus) to_delete_.add(mapping_.target().name_of(target));
            });
        }
        count_scope();
    }
    subtransaction.rollback();
}

void FullSync::count_scope() {
    auto count = [](const std::string& sql) { return pg::execute_sql(sql).int64(0, 0); };
    std::string source = mapping_.source().relation().quoted + " AS source";
    std::string where = type_.source_condition.empty() ? " WHERE true" : " WHERE " + condition_sql(type_);
    if (!request_.condition.empty()) where += " AND (" + request_.condition + "\n)";
    sources_ = count("SELECT pg_catalog.count(*) FROM " + source + where);
    // With a condition: the targets of the sources for which it holds, give or take those that several sources have.
    targets_ = request_.condition.empty()
                   ? count("SELECT pg_catalog.count(*) FROM " + mapping_.target().relation().quoted)
                   : std::max<std::int64_t>(sources_ - missing_, 0) + surplus_;
}

std::string FullSync::counts() const {
    return number(sources_) + " sources, " + number(targets_) + " targets: " + number(missing_) + " missing, " +
           number(different_) + " different, " + number(surplus_) + " surplus, " + number(ambiguous_) + " ambiguous";
}

void FullSync::stop(const std::string& why) const {
    std::string done = walked_ == 0 ? "Nothing was written"
                                    : number(done_[FullSyncCount::inserted]) + " inserted, " +
                                          number(done_[FullSyncCount::updated]) + " updated, " +
                                          number(done_[FullSyncCount::deleted]) + " deleted until then";
    throw pg::Error("54000", "full sync of sync job type " + quoted(type_.name) + " stops: " + why)
        .detail("Compared: " + counts() + ". " + done + ".")
        .hint("If that is as it should be, enqueue it with a higher limit.");
}

// Before the first write; the counts of earlier attempts are part of it.
void FullSync::check_limits() const {
    std::int64_t deletes = done_[FullSyncCount::deleted] + (request_.delete_surplus ? surplus_ : 0);
    std::int64_t updates = done_[FullSyncCount::updated] + different_;
    auto percent = [&](std::int64_t part) {
        return 100.0 * static_cast<double>(part) /
               static_cast<double>(std::max<std::int64_t>(targets_ + done_[FullSyncCount::deleted], 1));
    };
    auto beyond = [&](const char* what, std::int64_t part, const char* limit, double most) {
        if (part == 0 || percent(part) <= most) return;
        std::string shown = number(static_cast<std::int64_t>(most)) + " %";
        stop("it would " + std::string(what) + " " + number(part) + " of " +
             number(targets_ + done_[FullSyncCount::deleted]) + " targets, more than " + limit + " (" + shown + ")");
    };
    beyond("delete", deletes, "max_delete_percent", request_.max_delete_percent);
    beyond("update or delete", updates + deletes, "max_change_percent", request_.max_change_percent);
    std::int64_t all = updates + deletes + done_[FullSyncCount::inserted] + missing_;
    if (!request_.max_changes || all <= *request_.max_changes) return;
    stop("it would change " + number(all) + " documents, more than max_changes (" + number(*request_.max_changes) +
         ")");
}

// --- Doing it ---

void FullSync::walk(NameList& names, const std::function<void(const std::vector<std::string>&)>& work) {
    auto chunk_size = static_cast<std::size_t>(std::clamp(request_.chunk_size, 1, most_in_chunk));
    while (!paused_) {
        auto since = Clock::now();
        std::vector<std::string> chunk = names.take(chunk_size);
        if (chunk.empty()) return;
        pg::ensure_portal_snapshot();
        pg::Memory memory("chunk of a full sync");
        {
            pg::MemorySwitch in_it(memory);
            work(chunk);
            walked_ += chunk.size();
            commit(true);
        }
        std::size_t all = to_sync_.size() + to_delete_.size();
        show_progress(100.0 * static_cast<double>(walked_) / static_cast<double>(all), std::nullopt,
                      std::to_string(walked_) + " of " + std::to_string(all) + " documents");
        throttle(chunk.size(), since);
    }
}

// Without a snapshot or a lock.
void FullSync::throttle(std::size_t documents, Clock::time_point since) const {
    if (!request_.documents_per_second) return;
    auto due =
        since + std::chrono::milliseconds(1000 * documents / static_cast<std::size_t>(*request_.documents_per_second));
    while (Clock::now() < due) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
        pg::pause(std::min<long>(left, 100));
    }
}

// A job of one document, with what the run says of all.
Job FullSync::document_job() const {
    Job job = run_.copy();
    for (C column : {C::operation, C::context, C::job_id, C::checkpoint, C::result, C::scheduled_at}) job.clear(column);
    return job;
}

// The documents' locks first, then a snapshot, then what they are like: nothing older comes over something newer.
void FullSync::sync_documents(const std::vector<std::string>& names) {
    std::vector<Job> jobs;
    for (const std::string& name : names) {
        Job job = document_job();
        job.set_text(C::source_document_name, name);
        job.set_title(type_.source_label, type_.target_label);
        if (lock_document(document_key(job))) {
            jobs.push_back(job);
        } else {  // another job of it runs, which may have read it before it changed
            done_[FullSyncCount::handed_over]++;
            hand_over(job, nullptr);
        }
    }
    sync_jobs(jobs);
    if (done_[FullSyncCount::gone] > static_cast<std::int64_t>(walked_ + names.size()) / 10 + 10) {
        stop(number(done_[FullSyncCount::gone]) + " sources have gone during the run");
    }
}

void FullSync::sync_jobs(const std::vector<Job>& jobs) {
    constexpr std::size_t one_by_one = 8, parts = 4;
    if (jobs.size() < one_by_one) {
        for (const Job& job : jobs) sync_one(job);
        return;
    }
    if (sync_as_set(jobs)) return;
    std::size_t size = (jobs.size() + parts - 1) / parts;
    for (std::size_t from = 0; from < jobs.size(); from += size) {
        auto first = jobs.begin() + static_cast<std::ptrdiff_t>(from);
        sync_jobs({first, jobs.begin() + static_cast<std::ptrdiff_t>(std::min(from + size, jobs.size()))});
    }
}

// False where some document of them does not work out; then nothing is written. Deferred constraints count as well, as
// the commit would meet them.
bool FullSync::sync_as_set(const std::vector<Job>& jobs) {
    constexpr std::int64_t longest = 600'000'000;
    std::int64_t timeout = run_.microseconds(C::timeout) == 0 ? longest : run_.microseconds(C::timeout);
    pg::Timestamp since = pg::now();
    std::vector<std::optional<Outcome>> outcomes;
    try {
        pg::Subtransaction subtransaction;
        outcomes = sync_set(jobs, timeout);
        pg::command_counter_increment();
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            pg::fire_deferred_triggers();
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        bool too_slow = error.sqlstate() == "57014" && pg::now() - since >= timeout;  // all together
        if (cancel_requested(run_.id()) || !(too_slow || pg::is_specific(error) || is_repeatable(error.sqlstate())))
            throw;
        return false;
    }
    for (std::size_t i = 0; i < jobs.size(); i++) {
        if (outcomes[i]) {
            count(*outcomes[i]);
        } else {
            sync_one(jobs[i]);
        }
    }
    return true;
}

void FullSync::sync_one(const Job& job) {
    Outcome outcome;
    try {
        pg::Subtransaction subtransaction;
        outcome = attempt(job, {0, true, false, true});
        pg::command_counter_increment();
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            pg::fire_deferred_triggers();
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (cancel_requested(run_.id()) || !pg::is_specific(error)) throw;
        outcome = failed_outcome(as_started(job), error, true);
    }
    if (outcome.job.status() == Status::canceled)
        throw pg::Error("57014", "canceling the full sync due to user request");
    count(outcome);
}

void FullSync::delete_surplus(const std::vector<std::string>& names) {
    std::vector<std::string> still;
    {
        pg::SpiScope spi;
        {
            pg::SnapshotScope before;
            mapping_.lock_targets(names);
        }
        pg::SnapshotScope snapshot;  // newer than whoever had the locks before
        still = mapping_.still_surplus(names);
    }
    for (const std::string& name : still) {
        Job job = document_job();
        job.set_text(C::operation, to_text(Operation::remove));
        job.set_text(C::target_document_name, name);
        job.set_title(type_.source_label, type_.target_label);
        sync_one(job);
    }
}

// --- What came of it ---

void FullSync::count(const Outcome& outcome) {
    const Job& job = outcome.job;
    if (outcome.verdict != Verdict::ended) {
        done_[FullSyncCount::handed_over]++;
        return hand_over(job, nullptr);
    }
    switch (job.status()) {
        case Status::finished: {
            Operation operation = job.operation().value_or(Operation::update);
            done_[operation == Operation::insert   ? FullSyncCount::inserted
                  : operation == Operation::remove ? FullSyncCount::deleted
                                                   : FullSyncCount::updated]++;
            return;
        }
        case Status::no_target:
            done_[FullSyncCount::no_target]++;
            return;
        case Status::failed:
            if (outcome.error->sqlstate == "P0002") {  // what changes meanwhile is the triggers' to tell
                done_[FullSyncCount::gone]++;
                return;
            }
            done_[FullSyncCount::failed]++;
            return hand_over(job, &outcome);
        default:
            done_[FullSyncCount::skipped]++;
    }
}

// As a job of its own: to be run, or Failed with its error, and retried as every other.
void FullSync::hand_over(const Job& job, const Outcome* outcome) {
    Job own = job.copy();
    own.set(C::id, pg::int64_datum(pg::next_sequence_value(schema_objects().id_sequence)));
    own.set(C::parent_sync_job, pg::int64_datum(run_.id()));
    own.set(C::created_at, pg::int64_datum(pg::transaction_start()));
    own.set(C::max_retries, pg::int32_datum(type_.max_retries));
    own.set(C::priority, pg::int32_datum(type_.priority));
    own.set(C::retry_count, pg::int32_datum(0));
    if (outcome == nullptr) {
        own.set_status(Status::queued);
        for (C column : {C::started_at, C::ended_at, C::time_taken, C::retry_after}) own.clear(column);
        insert_job(own);
        return wake_at_commit(own);
    }
    Outcome failure =
        failed_outcome(own, pg::Error(std::make_shared<pg::ErrorReport>(*outcome->error)), outcome->counted);
    insert_job(failure.job);
    record_error(failure.job, *outcome->error, outcome->counted);
    if (!failure.job.is_null(C::retry_after)) wake_at(failure.job.int64(C::retry_after));
}

Datum FullSync::result() const {
    pg::JsonBuilder json;
    json.begin_object();
    auto add = [&](const char* name, std::int64_t value) {
        json.key(name);
        json.number(value);
    };
    add("missing", missing_);
    add("different", different_);
    add("surplus", surplus_);
    add("ambiguous", ambiguous_);
    add("sources", sources_);
    add("targets", targets_);
    for (int i = 0; i < FullSyncCount::all; i++) add(full_sync_count_names[i], done_[i]);
    if (!surplus_unknown_.empty()) json.field("surplus_unknown", surplus_unknown_);
    json.end_object();
    return json.finish();
}

// The checkpoint goes with what it tells of; then the documents are free again.
void FullSync::commit(bool moved) {
    auto stored = lock_job(run_.id());
    if (!stored || stored->job.status() != Status::started)
        throw pg::Error("55000", "the run was ended by somebody else");
    auto now = find_job_type(type_.name);
    if (now == nullptr || definition_of(*now) != definition_of(type_)) type_was_changed();
    paused_ = full_sync_checkpoint_of(stored->job).pause;
    Job job = stored->job.copy();
    job.set(C::checkpoint, as_json({done_, definition_of(type_), moved, false}));
    store_job({job, stored->partition});
    pg::spi_commit();
    release_documents();
    if (paused_) sync_.status = Status::pending;
}

}  // namespace

void run_full_sync(SyncContext& sync, const JobType& type) {
    require_trusted_type(type, sync.job);
    require_full_sync(type, {});
    auto controller = find_controller(type);
    Mapping& mapping = *controller->mapping();
    require_own_documents(mapping.source());
    require_own_documents(mapping.target());
    FullSync(sync, type, mapping).run();
}

}  // namespace sync_job
