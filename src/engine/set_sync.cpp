#include "engine/set_sync.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_set>

#include "controller/controller.hpp"
#include "controller/kinds.hpp"
#include "controller/mapping.hpp"
#include "controller/search_path.hpp"
#include "document/deleted_document.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/interruption.hpp"
#include "engine/set_of_jobs.hpp"
#include "engine/sync.hpp"
#include "pg/deadline.hpp"
#include "pg/error.hpp"
#include "pg/hooks.hpp"
#include "pg/lock_patience.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "queue/outcome.hpp"
#include "queue/rights.hpp"
#include "shared/activity.hpp"

namespace sync_job {

using C = JobColumn;

// Running on a guess takes fewer statements, and raises an error if the guess was wrong.
Set::Sources Set::sources_for(Operation operation) const {
    Sources sources;
    Contexts corrected;
    bool may = type_.enables(operation);
    for (const Job& job : jobs_) {
        may = may && job.enables(operation);
        sources.names.emplace_back(job.text(C::source_document_name));
        sources.contexts.push_back(corrected.of(job));
    }
    if (!may || !kept_rows_of(mapping_.source(), type_.name, sources.names).empty()) {
        throw pg::Error("0A000", "documents that may not be written unseen");
    }
    return sources;
}

void Set::insert_all() {
    if (!mapping_.inserts_sources()) throw pg::Error("0A000", "targets that have to be looked for");
    Sources sources = sources_for(Operation::insert);
    std::vector<pg::RowValues> after = mapping_.insert_sources(sources.names, sources.contexts);
    if (after.size() != jobs_.size()) throw pg::Error("0A000", "documents that cannot all be inserted");
    Member member;
    for (; member.number < after.size(); member.number++) end_inserted(member, after[member.number]);
}

void Set::update_all(const ColumnSet& columns) {
    if (!mapping_.updates_sources()) throw pg::Error("0A000", "targets that have to be locked first");
    Sources sources = sources_for(Operation::update);
    std::vector<Mapping::Updated> rows = mapping_.update_sources(sources.names, sources.contexts, columns);
    if (rows.size() != jobs_.size()) throw pg::Error("0A000", "documents that cannot all be updated");
    std::vector<pg::RowValues> before, after;
    for (const Mapping::Updated& row : rows) before.push_back(row.before), after.push_back(row.after);
    require_small(before, mapping_.target());
    require_small(after, mapping_.target());
    for (const Mapping::Updated& row : rows) {
        bool as_expected = !outcomes_[row.number] &&
                           mapping_.target().changed_columns(row.before, row.wanted, mapping_.set_columns()) == columns;
        if (!as_expected) throw pg::Error("0A000", "documents that do not all change in the same columns");
        Member member;
        member.number = row.number;
        end_updated(member, row.before, row.after);
    }
    updates_ = 1;
    updated_columns_ = columns;
}

// The same for a native controller, which computes between two statements; without the guess there would be three.
void Set::compute_and_insert_all() {
    if (!mapping_.inserts_unseen()) throw pg::Error("0A000", "targets that have to be looked for");
    Sources sources = sources_for(Operation::insert);
    std::vector<Member> members, none;
    for (const Mapping::Evaluated& row : mapping_.evaluate_many(sources.names, sources.contexts)) {
        if (row.row.values == nullptr) throw pg::Error("0A000", "documents that the type leaves out");
        Member& member = members.emplace_back();
        member.number = row.number;
        member.wanted = row.row;
        member.source = row.source;
    }
    require_all_different(members);
    compute(none, members);
    insert(members);
}

void Set::compute_and_update_all() {
    if (!mapping_.matches_sources()) throw pg::Error("0A000", "targets that have to be looked for");
    Sources sources = sources_for(Operation::update);
    std::vector<Member> members, none;
    std::vector<pg::RowValues> before;
    for (const Mapping::Matched& row : mapping_.match_sources(sources.names, sources.contexts)) {
        Member& member = members.emplace_back();
        member.number = row.number;
        member.wanted = row.wanted;
        member.source = row.source;
        member.before = row.target;
        member.location = row.location;
        before.push_back(row.target);
    }
    require_all_different(members);
    require_small(before, mapping_.target());
    compute(members, none);
    update(members);
}

// Raises an error unless each job has its document and no two jobs have the same target.
void Set::require_all_different(const std::vector<Member>& members) const {
    std::unordered_set<std::uint64_t> targets;
    for (const Member& member : members) {
        if (mapping_.matches_nothing(member.wanted) || !targets.insert(mapping_.match_hash(member.wanted)).second) {
            throw pg::Error("0A000", "documents that do not have a target each");
        }
    }
    if (members.size() != jobs_.size()) throw pg::Error("0A000", "documents without a target");
}

namespace {

// The smallest limit of the jobs; 0: none.
std::int64_t time_limit(const std::vector<Job>& jobs) {
    std::int64_t least = 0;
    for (const Job& job : jobs) {
        std::int64_t timeout = job.microseconds(C::timeout);
        if (timeout > 0 && (least == 0 || timeout < least)) least = timeout;
    }
    return least;
}

}  // namespace

bool suits_set(const Job& job) {
    for (C column : {C::dry_run, C::update_without_changes_enabled}) {
        if (job.flag(column)) return false;
    }
    if (job.flag(C::verbose_logging) && !is_part_of_set(job)) return false;
    if (!job.is_null(C::operation) || !job.is_null(C::target_document_name) || job.is_null(C::source_document_name)) {
        return false;
    }
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    return type != nullptr && syncs_by_statements(*type) && job.oid(C::source_document_type) == type->source &&
           job.oid(C::target_document_type) == type->target;
}

namespace {

using Outcomes = std::vector<std::optional<Outcome>>;

Outcomes sync_here(const std::vector<Job>& started, const JobType& type, Controller& controller, Mapping& mapping, LastSet& last,
                   LastSet::All guess) {
    if (!mapping.supports_many() || !mapping.target().locks_rows()) return Outcomes(started.size());
    Set set(started, type, controller, mapping);
    Outcomes outcomes = guess == LastSet::All::various ? set.run() : set.run_as(guess, last.columns());
    set.note_in(last);
    return outcomes;
}

// Runs a set for each shard on this node. Documents on other nodes run by themselves.
Outcomes sync_shards(const std::vector<Job>& started, const JobType& type, Controller& controller, LastSet& last, LastSet::All guess) {
    Mapping& whole = *controller.match();
    std::map<std::size_t, std::vector<std::size_t>> by_shard;
    for (std::size_t i = 0; i < started.size(); i++) {
        auto shard = whole.source().shard_of(std::string(started[i].text(C::source_document_name)));
        if (shard) by_shard[*shard].push_back(i);
    }
    Outcomes outcomes(started.size());
    for (const auto& [shard, numbers] : by_shard) {
        Mapping* mapping = whole.on_shard(shard);
        if (mapping == nullptr) continue;
        std::vector<Job> jobs;
        for (std::size_t number : numbers) jobs.push_back(started[number].copy());
        Outcomes of_shard = sync_here(jobs, type, controller, *mapping, last, guess);
        for (std::size_t i = 0; i < numbers.size(); i++) outcomes[numbers[i]] = std::move(of_shard[i]);
    }
    return outcomes;
}

Outcomes sync_within(const std::vector<Job>& jobs, LastSet& last, LastSet::All guess, std::int64_t batch_microseconds,
                     std::int64_t lock_patience_microseconds) {
    auto type = require_job_type(std::string(jobs[0].text(C::sync_job_type)));
    for (const Job& job : jobs) require_trusted_type(*type, job);
    std::vector<Job> started;
    started.reserve(jobs.size());
    for (const Job& job : jobs) started.push_back(is_part_of_set(job) ? job.copy() : as_started(job));  // a set job has begun already
    std::string subject = describe(jobs[0]);
    pg::ErrorContext context("sync of " + std::to_string(jobs.size()) + " documents, " + subject + " first");
    int depth = 0;
    for (const Job& job : jobs) depth = std::max(depth, depth_of(job));
    CurrentJobScope current(started[0], subject, depth);
    for (const Job& job : started) mark_in_progress(job.id());
    pg::SettingsScope settings;
    set_search_path(*type);
    set_trace(jobs[0], *type);
    std::int64_t limit = time_limit(jobs);
    bool of_batch = limit == 0 || batch_microseconds < limit;
    pg::LockPatience patience(lock_patience_microseconds);
    pg::Deadline deadline(of_batch ? batch_microseconds : limit);
    Outcomes outcomes(jobs.size());
    try {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        auto controller = find_controller(*type);
        Mapping& mapping = *controller->match();
        require_own_documents(mapping.source());
        require_own_documents(mapping.target());
        outcomes = mapping.has_shards() ? sync_shards(started, *type, *controller, last, guess)
                                        : sync_here(started, *type, *controller, mapping, last, guess);
    } catch (const pg::Error& error) {
        if (!deadline.passed() && !patience.gave_up()) note_interruption(error);
        throw;
    }
    deadline.stop();
    patience.stop();
    // A trigger caught the cancellation and went on: running the jobs by themselves shows whose fault that was.
    if ((deadline.passed() && !of_batch) || patience.gave_up()) throw pg::Error("57014", "a set of sync jobs took too long");
    return outcomes;
}

// The subtransaction encloses everything, because the callers go on after any error.
Outcomes sync_guessing(const std::vector<Job>& jobs, LastSet& last, LastSet::All guess, std::int64_t batch_microseconds,
                       std::int64_t lock_patience_microseconds) {
    pg::Subtransaction subtransaction;
    Outcomes outcomes = sync_within(jobs, last, guess, batch_microseconds, lock_patience_microseconds);
    subtransaction.commit();
    return outcomes;
}

}  // namespace

void LastSet::note(const std::string& type_name, All all, const ColumnSet& columns) {
    type_name_ = type_name;
    all_ = all;
    columns_ = columns;
}

LastSet::All LastSet::guess(const std::string& type_name) {
    if (sets_before_next_guess_ > 0) {
        sets_before_next_guess_--;
        return All::various;
    }
    return type_name == type_name_ ? all_ : All::various;
}

void LastSet::guessed_wrong() {
    constexpr int some_sets = 8;
    sets_before_next_guess_ = some_sets;
}

std::vector<std::optional<Outcome>> sync_set(const std::vector<Job>& jobs, LastSet& last, std::int64_t batch_microseconds,
                                             std::int64_t lock_patience_microseconds) {
    // A guess waits for locks, where the usual way passes the document over.
    constexpr std::int64_t patience_of_guess = 20'000;
    LastSet::All guess = last.guess(std::string(jobs[0].text(C::sync_job_type)));
    if (guess != LastSet::All::various) {
        try {
            return sync_guessing(jobs, last, guess, batch_microseconds, patience_of_guess);
        } catch (const pg::Error&) {
            if (is_interrupted() || cancel_requested(jobs[0].id())) throw;
            last.guessed_wrong();
        }
    }
    return sync_guessing(jobs, last, LastSet::All::various, batch_microseconds, lock_patience_microseconds);
}

}  // namespace sync_job
