#include "engine/set_of_jobs.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "document/deleted_document.hpp"
#include "engine/claim.hpp"
#include "engine/sync.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

using C = JobColumn;

namespace {

pg::Value context_for(const Job& job, bool deleted) {
    if (!deleted && job.is_null(C::context)) return {};
    Job seen = job.copy();
    correct_operation_hint(seen, deleted);
    return {seen.datum(C::context), seen.is_null(C::context)};
}

}  // namespace

pg::Value Contexts::of(const Job& job) {
    if (last_ == nullptr || !same(job)) corrected_ = context_for(job, false);
    last_ = &job;
    return corrected_;
}

bool Contexts::same(const Job& job) const {
    if (job.is_null(C::context) || last_->is_null(C::context)) return job.is_null(C::context) == last_->is_null(C::context);
    return pg::same_image(job.datum(C::context), last_->datum(C::context), false, -1);
}

std::vector<std::optional<Outcome>> Set::run() {
    load_sources();
    std::vector<Member> existing, missing;
    find_targets(existing, missing);
    if (controller_.computes_many()) compute(existing, missing);
    update(existing);
    insert(missing);
    return ended_now();
}

std::vector<std::optional<Outcome>> Set::run_as(LastSet::All all, const ColumnSet& columns) {
    bool inserts = all == LastSet::All::inserted;
    if (mapping_.is_match_only()) {
        inserts ? compute_and_insert_all() : compute_and_update_all();
    } else {
        inserts ? insert_all() : update_all(columns);
    }
    return ended_now();
}

void Set::note_in(LastSet& last) const {
    bool inserted = inserted_ == jobs_.size(), updated = updated_ == jobs_.size() && updates_ == 1;
    using All = LastSet::All;
    if (mapping_.is_match_only()) updated = updated_ == jobs_.size();  // whichever columns were updated
    last.note(type_.name, inserted ? All::inserted : updated ? All::updated : All::various, updated_columns_);
}

std::vector<std::optional<Outcome>> Set::ended_now() {
    pg::Timestamp now = pg::now();
    for (auto& outcome : outcomes_) {
        if (outcome && outcome->verdict == Verdict::ended) stamp_end(outcome->job, now);
    }
    return std::move(outcomes_);
}

// Ends a job that has no outcome yet.
Job& Set::end(const Member& member, Status status) {
    outcomes_[member.number].emplace();
    Job& job = outcomes_[member.number]->job;
    job = jobs_[member.number];  // nobody reads it any more
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

// A document for which triggers have kept rows is synced by itself. Other jobs for its targets have to wait for it.
void Set::look_at_kept(Member& member, const std::string& name) {
    const Job& job = jobs_[member.number];
    member.by_itself = true;
    pg::Value context = context_for(job, member.wanted.values == nullptr);
    for (const KeptRow& row : kept_rows(mapping_.source(), type_.name, name)) {
        member.kept.push_back(mapping_.evaluate_match(read_kept(mapping_.source(), name, row), context));
    }
}

// A document that occurs a second time has to wait for the first. A document that is gone, or whose match values were changed, is not part
// of the set. Kept rows of a document whose target cannot change are of no use. Kept rows are read before the documents, as in
// load_source().
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

// Moves the job to those that run by themselves; each of these may wait.
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
        std::vector<RowLocation> locations;
        for (const Member* member : changed) {
            before.push_back(member->before);
            wanted.push_back(member->wanted);
            if (!member->location.ctid.null) locations.push_back(member->location);
        }
        std::vector<pg::RowValues> after = target.update_many(before, wanted, columns, locations);
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

// The job as a controller sees it.
Job Set::seen(const Member& member, Contexts& contexts) const {
    Job job = jobs_[member.number].copy();
    job.set(C::context, contexts.of(jobs_[member.number]));
    for (Operation operation : {Operation::insert, Operation::update, Operation::remove}) {
        if (!type_.enables(operation)) job.set(Job::enabled_column(operation), pg::bool_datum(false));
    }
    return job;
}

// Asks a native controller for all targets in one call. It is not asked about targets that must not be written.
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
    bool closed = !type_.insert_enabled || !type_.update_enabled || !type_.delete_enabled;
    for (const Member* member : members) {
        const Job& job = jobs_[member->number];
        bool as_it_is = !closed && job.is_null(C::context);
        if (!as_it_is) jobs.push_back(seen(*member, contexts));
        SetDocument& document = documents.emplace_back();
        document.job = as_it_is ? &job : &jobs.back();
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

}  // namespace sync_job
