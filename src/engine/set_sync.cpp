#include "engine/set_sync.hpp"

#include <algorithm>
#include <map>
#include <set>
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

namespace {

using C = JobColumn;

// One job on its way through the set.
struct Member {
    std::size_t number = 0;  // of its job
    bool is_there = false;   // its document exists, though maybe not for the type
    bool by_itself = false;  // runs after the set, as do later jobs of its target
    pg::RowValues source, wanted, before;
    ColumnSet columns;  // of an update, those that change; of an insert, those that are written
    std::vector<pg::RowValues> kept;  // what it matched before: other documents may match that now
};

pg::Value context_for(const Job& job, bool deleted) {
    if (!deleted && job.is_null(C::context)) return {};
    Job seen = job.copy();
    correct_operation_hint(seen, deleted);
    return {seen.datum(C::context), seen.is_null(C::context)};
}

// Jobs that one statement has enqueued all have the same context.
class Contexts {
public:
    pg::Value of(const Job& job) {
        if (last_ == nullptr || !same(job)) corrected_ = context_for(job, false);
        last_ = &job;
        return corrected_;
    }

private:
    bool same(const Job& job) const {
        if (job.is_null(C::context) || last_->is_null(C::context))
            return job.is_null(C::context) == last_->is_null(C::context);
        return pg::same_image(job.datum(C::context), last_->datum(C::context), false, -1);
    }

    const Job* last_ = nullptr;
    pg::Value corrected_;
};

class Set {
public:
    Set(const std::vector<Job>& jobs, const JobType& type, Controller& controller)
        : jobs_(jobs), type_(type), controller_(controller), mapping_(*controller.match()), outcomes_(jobs.size()) {}

    std::vector<std::optional<Outcome>> run() {
        load_sources();
        std::vector<Member> existing, missing;
        find_targets(existing, missing);
        if (controller_.computes_many()) compute(existing, missing);
        update(existing);
        insert(missing);
        return ended_now();
    }
    // Whatever is otherwise raises an error: a target that is there or not, a document that comes twice, is gone or was deleted
    // before, or that the type leaves out.
    std::vector<std::optional<Outcome>> run_as(LastSet::All all, const ColumnSet& columns) {
        all == LastSet::All::inserted ? insert_all() : update_all(columns);
        return ended_now();
    }
    void note_in(LastSet& last) const {
        bool inserted = inserted_ == jobs_.size(), updated = updated_ == jobs_.size() && updates_ == 1;
        using All = LastSet::All;
        if (mapping_.is_match_only()) return last.note(type_.name, All::various, {});
        last.note(type_.name, inserted ? All::inserted : updated ? All::updated : All::various, updated_columns_);
    }

private:
    struct Sources {
        std::vector<std::string> names;
        std::vector<pg::Value> contexts;
    };
    Sources sources_for(Operation operation) const;
    std::vector<std::optional<Outcome>> ended_now() {
        pg::Timestamp now = pg::now();
        for (auto& outcome : outcomes_) {
            if (outcome && outcome->verdict == Verdict::ended) stamp_end(outcome->job, now);
        }
        return std::move(outcomes_);
    }
    void insert_all();
    void update_all(const ColumnSet& columns);
    void load_sources();
    void look_at_kept(Member& member, const std::string& name);
    void find_targets(std::vector<Member>& existing, std::vector<Member>& missing);
    void compute(std::vector<Member>& existing, std::vector<Member>& missing);
    void compute(std::vector<Member*> members);
    void update(std::vector<Member>& members);
    void insert(std::vector<Member>& members);
    void end_inserted(const Member& member, const pg::RowValues& after);
    void end_updated(const Member& member, const pg::RowValues& before, const pg::RowValues& after);
    void leave(Member& member);
    bool enabled(Member& member, Operation operation);
    Job seen(const Member& member, Contexts& contexts) const;
    Job& end(const Member& member, Status status);
    Job& end(const Member& member, Status status, Operation operation, const pg::RowValues& target);

    const std::vector<Job>& jobs_;
    const JobType& type_;
    Controller& controller_;
    Mapping& mapping_;
    std::vector<Member> members_;
    std::vector<std::optional<Outcome>> outcomes_;
    std::size_t inserted_ = 0, updated_ = 0, updates_ = 0;  // documents, and statements that updated
    ColumnSet updated_columns_;                             // by the last of these
};

// Ends the job, which has no outcome yet.
Job& Set::end(const Member& member, Status status) {
    outcomes_[member.number].emplace();
    Job& job = outcomes_[member.number]->job;
    job = jobs_[member.number];  // nobody looks at it any more
    job.set_status(status);
    for (C column : {C::target_document_name, C::operation, C::diff_summary, C::result, C::messages, C::current_data,
                     C::updated_data}) {
        job.clear(column);
    }
    return job;
}

Job& Set::end(const Member& member, Status status, Operation operation, const pg::RowValues& target) {
    Job& job = end(member, status);
    job.set_text(C::operation, to_text(operation));
    if (target.values != nullptr) job.set_text(C::target_document_name, mapping_.target().name_of(target));
    if (!is_part_of_set(job)) job.set_title(type_.source_label, type_.target_label);
    return job;
}

// Many large documents are for several statements: each of these has all their values in memory some times over.
void require_small(const std::vector<pg::RowValues>& rows, const DocumentType& type) {
    constexpr std::int64_t most_bytes = 2 << 20;
    if (rows.size() <= fewest_in_set) return;
    std::int64_t bytes = 0;
    for (const pg::RowValues& row : rows) {
        for (const pg::Column& column : type.relation().columns) {
            pg::Value value = row.at(column.number);
            if (!column.dropped && !value.null) bytes += pg::full_size(value.datum, column.by_value, column.length);
        }
    }
    if (bytes > most_bytes) throw pg::Error("54000", "too large documents for one statement");
}

// A document of which the triggers have kept rows is synced by itself; other jobs for its targets have to wait for it.
void Set::look_at_kept(Member& member, const std::string& name) {
    const Job& job = jobs_[member.number];
    member.by_itself = true;
    pg::Value context = context_for(job, member.wanted.values == nullptr);
    for (const KeptRow& row : kept_rows(mapping_.source(), type_.name, name)) {
        member.kept.push_back(mapping_.evaluate_match(read_kept(mapping_.source(), name, row), context));
    }
}

// A document that comes a second time has to wait for the first time. One that is gone, or was changed in what it matches,
// is not part of the set; kept rows of a document whose target cannot change are of no use. Kept rows are read before the
// documents, as in load_source().
void Set::load_sources() {
    std::unordered_set<std::uint64_t> documents;
    std::vector<std::string> names;
    std::vector<pg::Value> contexts;
    Contexts corrected;
    for (std::size_t i = 0; i < jobs_.size(); i++) {
        const Job& job = jobs_[i];
        std::uint64_t document = document_key(job);
        Member& member = members_.emplace_back();
        member.number = i;
        member.by_itself = document != 0 && !documents.insert(document).second;
        names.emplace_back(job.text(C::source_document_name));
        contexts.push_back(corrected.of(job));
    }
    auto with_kept = kept_rows_of(mapping_.source(), type_.name, names);
    for (Mapping::Evaluated& found : mapping_.evaluate_many(names, contexts)) {
        members_[found.number].wanted = found.row;
        members_[found.number].source = found.source;
        members_[found.number].is_there = true;
    }
    std::vector<KeptRow> no_use;
    for (Member& member : members_) {
        const std::string& name = names[member.number];
        auto kept = with_kept.find(name);
        bool in_scope = member.wanted.values != nullptr;
        if (kept == with_kept.end() && member.is_there) {
            if (!in_scope && !member.by_itself) end(member, Status::no_target);
        } else if (in_scope && !mapping_.match_may_change()) {
            no_use.insert(no_use.end(), kept->second.begin(), kept->second.end());
        } else {
            look_at_kept(member, name);
        }
    }
    forget_earlier_lives(no_use);
}

void Set::find_targets(std::vector<Member>& existing, std::vector<Member>& missing) {
    std::unordered_set<std::uint64_t> targets;
    std::vector<Member> with_match;
    std::vector<pg::RowValues> wanted;
    for (Member& member : members_) {
        for (const pg::RowValues& kept : member.kept) {
            if (!mapping_.matches_nothing(kept)) targets.insert(mapping_.match_hash(kept));
        }
        if (member.wanted.values == nullptr) continue;
        if (mapping_.matches_nothing(member.wanted)) {
            if (!member.by_itself) end(member, Status::no_target);
        } else if (targets.insert(mapping_.match_hash(member.wanted)).second && !member.by_itself) {
            wanted.push_back(member.wanted);
            with_match.push_back(std::move(member));
        }
    }
    require_small(wanted, mapping_.target());
    std::vector<std::size_t> busy;
    std::vector<pg::RowValues> before;
    for (NumberedRow& found : mapping_.lock_many(wanted, busy)) {
        with_match[found.number].before = found.row;
        before.push_back(found.row);
    }
    require_small(before, mapping_.target());
    for (std::size_t i : busy) leave(with_match[i]);
    for (Member& member : with_match) {
        if (!member.by_itself) (member.before.values != nullptr ? existing : missing).push_back(std::move(member));
    }
}

// To the jobs that run by themselves, each of which may wait.
void Set::leave(Member& member) {
    member.by_itself = true;
    const Job& job = jobs_[member.number];
    if (!is_part_of_set(job)) return;
    outcomes_[member.number].emplace();
    outcomes_[member.number]->job = job;
    outcomes_[member.number]->verdict = Verdict::run_alone;
}

bool Set::enabled(Member& member, Operation operation) {
    if (jobs_[member.number].enables(operation) && type_.enables(operation)) return true;
    end(member, Status::skipped, operation, member.before);
    return false;
}

void Set::update(std::vector<Member>& members) {
    DocumentType& target = mapping_.target();
    std::map<ColumnSet, std::vector<Member*>> by_change;
    for (Member& member : members) {
        if (!enabled(member, Operation::update)) continue;
        if (!mapping_.is_match_only()) mapping_.apply_rules(member.wanted, member.before);
        member.columns = mapping_.is_match_only() ? target.changed_columns(member.before, member.wanted)
                                                  : target.changed_columns(member.before, member.wanted, mapping_.set_columns());
        if (member.columns.empty()) {
            end(member, Status::skipped, Operation::update, member.before);
        } else {
            by_change[member.columns].push_back(&member);
        }
    }
    for (auto& [columns, changed] : by_change) {
        std::vector<pg::RowValues> before, wanted;
        for (const Member* member : changed) before.push_back(member->before), wanted.push_back(member->wanted);
        std::vector<pg::RowValues> after = target.update_many(before, wanted, columns);
        for (std::size_t i = 0; i < changed.size(); i++) end_updated(*changed[i], changed[i]->before, after[i]);
        updates_++;
        updated_columns_ = columns;
    }
}

void Set::end_updated(const Member& member, const pg::RowValues& before, const pg::RowValues& after) {
    Job& job = end(member, Status::finished, Operation::update, after);
    job.set(C::diff_summary, mapping_.target().diff(before, after, type_.secret_columns));
    updated_++;
}

void Set::insert(std::vector<Member>& members) {
    DocumentType& target = mapping_.target();
    std::map<ColumnSet, std::vector<const Member*>> by_columns;
    for (Member& member : members) {
        if (!enabled(member, Operation::insert)) continue;
        by_columns[mapping_.is_match_only() ? target.inserted_columns(member.wanted, member.columns) : mapping_.all_columns()].push_back(&member);
    }
    for (auto& [columns, inserted] : by_columns) {
        std::vector<pg::RowValues> wanted;
        for (const Member* member : inserted) wanted.push_back(member->wanted);
        std::vector<pg::RowValues> after = target.insert_many(wanted, columns);
        for (std::size_t i = 0; i < inserted.size(); i++) end_inserted(*inserted[i], after[i]);
    }
}

// Jobs as a controller sees them.
Job Set::seen(const Member& member, Contexts& contexts) const {
    Job job = jobs_[member.number].copy();
    job.set(C::context, contexts.of(jobs_[member.number]));
    for (Operation operation : {Operation::insert, Operation::update, Operation::remove}) {
        if (!type_.enables(operation)) job.set(Job::enabled_column(operation), pg::bool_datum(false));
    }
    return job;
}

// What a native controller wants, of all in one call. It is not asked about what may not be written.
void Set::compute(std::vector<Member>& existing, std::vector<Member>& missing) {
    std::vector<Member*> asked;
    for (Member& member : existing) {
        if (enabled(member, Operation::update)) asked.push_back(&member);
    }
    for (Member& member : missing) {
        if (enabled(member, Operation::insert)) asked.push_back(&member);
    }
    if (!asked.empty()) compute(asked);
}

void Set::compute(std::vector<Member*> members) {
    Contexts contexts;
    std::vector<Job> jobs;
    std::vector<SetDocument> documents;
    jobs.reserve(members.size());
    for (const Member* member : members) {
        jobs.push_back(seen(*member, contexts));
        SetDocument& document = documents.emplace_back();
        document.job = &jobs.back();
        document.source = member->source;
        document.is_new = member->before.values == nullptr;
        document.base = document.is_new ? member->wanted : member->before;
        if (document.is_new) document.explicit_columns = mapping_.all_columns();
    }
    controller_.update_many(documents);
    for (std::size_t i = 0; i < members.size(); i++) {
        members[i]->wanted = documents[i].wanted;
        members[i]->columns = documents[i].explicit_columns;
    }
}

void Set::end_inserted(const Member& member, const pg::RowValues& after) {
    Job& job = end(member, Status::finished, Operation::insert, after);
    inserted_++;
    DocumentType& target = mapping_.target();
    pg::Value fingerprint = target.fingerprint(after, type_.secret_columns);
    if (!is_part_of_set(job)) {
        if (!fingerprint.null) job.set(C::fingerprint, fingerprint.datum);
        return;
    }
    outcomes_[member.number]->fingerprint = fingerprint;
    if (!job.flag(C::verbose_logging)) return;
    job.set(C::diff_summary, target.diff(pg::empty_row(target.relation()), after, type_.secret_columns));
}

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

Outcomes sync_within(const std::vector<Job>& jobs, LastSet& last, LastSet::All guess, std::int64_t batch_microseconds,
                     std::int64_t lock_patience_microseconds) {
    auto type = require_job_type(std::string(jobs[0].text(C::sync_job_type)));
    for (const Job& job : jobs) require_trusted_type(*type, job);
    std::vector<Job> started;
    started.reserve(jobs.size());
    for (const Job& job : jobs) started.push_back(is_part_of_set(job) ? job.copy() : as_started(job));  // the set has begun
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
        if (mapping.supports_many() && mapping.target().locks_rows()) {
            Set set(started, *type, *controller);
            outcomes = guess == LastSet::All::various ? set.run() : set.run_as(guess, last.columns());
            set.note_in(last);
        }
    } catch (const pg::Error& error) {
        if (!deadline.passed() && !patience.gave_up()) note_interruption(error);
        throw;
    }
    deadline.stop();
    patience.stop();
    // A trigger has caught the cancellation and gone on: running the jobs by themselves shows whose fault that was.
    if ((deadline.passed() && !of_batch) || patience.gave_up()) throw pg::Error("57014", "a set of sync jobs took too long");
    return outcomes;
}

// The subtransaction is around everything, as the callers go on after any error.
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
    // What is guessed waits for locks, where the usual way passes the document over.
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
