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
#include "engine/document_batch.hpp"
#include "engine/full_sync_job.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"
#include "shared/activity.hpp"
#include "shared/document_locks.hpp"

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
    DocumentsDone run_chunk(const Job& job, const std::vector<std::string>& names);
    static void check_deferred();
    void delete_surplus(const std::vector<std::string>& names);
    DocumentsDone delete_target(const std::string& name);
    void add(DocumentsDone done);
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
    StatementSize statement_size_;
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

// What the jobs of its documents are made of, and those that leave it.
Job FullSync::document_job() const {
    Job job = run_.copy();
    for (C column : {C::operation, C::context, C::job_id, C::checkpoint, C::result, C::scheduled_at}) job.clear(column);
    job.set(C::max_retries, pg::int32_datum(type_.max_retries));
    job.set(C::priority, pg::int32_datum(type_.priority));
    return job;
}

// The documents' locks first, then a snapshot, then what they are like: nothing older comes over something newer.
void FullSync::sync_documents(const std::vector<std::string>& names) {
    Job job = document_job();
    std::vector<std::string> free, busy;
    for (const std::string& name : names) {
        job.set_text(C::source_document_name, name);
        (lock_document(document_key(job)) ? free : busy).push_back(name);
    }
    job.clear(C::source_document_name);
    add(hand_over(job, busy));  // their jobs may have read them before they changed
    add(run_chunk(job, free));
    if (done_[FullSyncCount::gone] > static_cast<std::int64_t>(walked_ + names.size()) / 10 + 10) {
        stop(number(done_[FullSyncCount::gone]) + " sources have gone during the run");
    }
}

// With the deferred constraints, as the commit would meet them: where one fails, the documents run one by one.
DocumentsDone FullSync::run_chunk(const Job& job, const std::vector<std::string>& names) {
    DocumentLimits limits{{run_.microseconds(C::timeout), true, false, true}};
    auto run = [&](const std::vector<std::string>& some) {
        pg::Subtransaction subtransaction;
        DocumentsDone done = run_documents(job, some, limits, statement_size_);
        check_deferred();
        subtransaction.commit();
        return done;
    };
    try {
        return run(names);
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    DocumentsDone failures;
    for (const std::string& name : names) {
        try {
            add(run({name}));
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            Outcome outcome = failed_outcome(as_started(job), error, true);
            outcome.job = job_of_its_own(job, name, &outcome.job);
            failures[Count::failed]++;
            failures.jobs.push_back(std::move(outcome));
        }
    }
    return failures;
}

void FullSync::check_deferred() {
    pg::command_counter_increment();
    pg::SpiScope spi;
    pg::SnapshotScope snapshot;
    pg::fire_deferred_triggers();
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
    for (const std::string& name : still) add(delete_target(name));
}

DocumentsDone FullSync::delete_target(const std::string& name) {
    Job job = document_job();
    job.set_text(C::operation, to_text(Operation::remove));
    job.set_text(C::target_document_name, name);
    DocumentsDone done;
    Outcome outcome;
    try {
        pg::Subtransaction subtransaction;
        outcome = attempt(job, {run_.microseconds(C::timeout), true, false, false});
        check_deferred();
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        outcome = failed_outcome(as_started(job), error, true);
    }
    done.canceled = outcome.job.status() == Status::canceled;
    if (outcome.verdict == Verdict::ended && outcome.error == nullptr) {
        Status status = outcome.job.status();
        bool marked = outcome.job.operation() == Operation::update;  // as gone: see on_delete
        done[status == Status::finished  ? (marked ? Count::updated : Count::deleted)
             : status == Status::skipped ? Count::skipped
                                         : Count::no_target]++;
        if (status == Status::finished) done.documents.push_back(document_row("", outcome));
        return done;
    }
    bool failed = outcome.error != nullptr && outcome.verdict == Verdict::ended;
    done[failed ? Count::failed : Count::handed_over]++;
    outcome.job = job_of_its_own(job, "", failed ? &outcome.job : nullptr);
    outcome.job.clear(C::source_document_name);
    done.jobs.push_back(std::move(outcome));
    return done;
}

// --- What came of it ---

// What changes meanwhile is the triggers' to tell: a source that is no longer there is no failure of its own.
void FullSync::add(DocumentsDone done) {
    if (done.canceled) throw pg::Error("57014", "canceling the full sync due to user request");
    auto gone = std::remove_if(done.jobs.begin(), done.jobs.end(), [](const Outcome& outcome) {
        return outcome.error != nullptr && outcome.error->sqlstate == "P0002";
    });
    auto count = done.jobs.end() - gone;
    done.jobs.erase(gone, done.jobs.end());
    done[Count::failed] -= count;
    done_[FullSyncCount::gone] += count;
    for (std::size_t i = 0; i < done.counts.size(); i++) done_[i] += done.counts[i];
    record_documents(done);
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
