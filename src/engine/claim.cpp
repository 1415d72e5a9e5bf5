#include "engine/claim.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "controller/controller.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "queue/record.hpp"
#include "queue/task.hpp"
#include "shared/document_locks.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Op = pg::ScanCondition::Operator;

// A claim gives up after passing over this many jobs; the next claim goes on after them.
constexpr int most_passed_over = 2000;
// At most this many due scheduled jobs are sorted into claim order, earliest first.
constexpr std::size_t most_scheduled = 500;
// A set job counts as one job for each this many documents, because their names are read.
constexpr std::size_t documents_as_one = 50;
// The last column that is read before a job is taken; the row of a set is read as a whole.
constexpr int columns_read = static_cast<int>(C::scheduled_at);

// The columns of a scan's current row, read one by one.
struct ScannedColumns {
    pg::IndexScan& scan;

    pg::Value at(C column) {
        pg::Value value;
        value.datum = scan.column(static_cast<int>(column), &value.null);
        return value;
    }
    std::string_view text(C column) {
        pg::Value value = at(column);
        return value.null ? std::string_view() : pg::datum_text(value.datum);
    }
};

std::uint64_t mix(std::uint64_t hash, std::uint64_t more) {
    return (hash ^ more) * 0x9E3779B97F4A7C15ull + (hash >> 29);
}

// One key for all jobs that were running at a crash, so that they run one at a time.
constexpr std::uint64_t suspects_key = 0x5355535045435453;

std::uint64_t key_for(std::string_view type, char side, Oid relation, std::string_view name) {
    std::uint64_t hash = mix(std::hash<std::string_view>()(type), static_cast<std::uint64_t>(side));
    hash = mix(mix(hash, relation), std::hash<std::string_view>()(name));
    return hash == 0 ? 1 : hash;
}

// Whether the parent is Relayed: then the parent's controller has determined the job's target.
bool is_child_of_relay(std::int64_t parent) {
    static auto& relayed = *new std::unordered_set<std::int64_t>;  // this state is final
    constexpr std::size_t most = 10000;
    if (relayed.count(parent) > 0) return true;
    auto stored = find_job(parent);
    if (!stored || stored->job.status() != Status::relayed) return false;
    if (relayed.size() >= most) relayed.clear();
    relayed.insert(parent);
    return true;
}

template <class Columns>
std::uint64_t key_of(Columns& columns) {
    pg::Value target = columns.at(C::target_document_name);
    if (!target.null) {
        return key_for(columns.text(C::sync_job_type), 't', pg::datum_oid(columns.at(C::target_document_type).datum),
                       pg::datum_text(target.datum));
    }
    pg::Value source = columns.at(C::source_document_name);
    if (source.null) return 0;
    pg::Value parent = columns.at(C::parent_sync_job);
    bool may_be_child = !parent.null && !columns.at(C::operation).null;
    if (may_be_child && is_child_of_relay(pg::datum_int64(parent.datum))) return 0;
    return key_for(columns.text(C::sync_job_type), 's', pg::datum_oid(columns.at(C::source_document_type).datum),
                   pg::datum_text(source.datum));
}

// A set job has neither a document nor the context of a procedure in its row, so few other jobs need a closer look.
std::vector<std::uint64_t> keys_of_set(pg::IndexScan& scan, ScannedColumns& columns) {
    bool may_be_set = columns.at(C::source_document_name).null && !columns.at(C::source_document_type).null &&
                      columns.at(C::target_document_name).null;
    if (!may_be_set) return {};
    Job job(scan.row());
    return is_set(job) ? document_keys(job) : std::vector<std::uint64_t>();
}

// The source whose targets the job still has to find, if there may be several of them.
template <class Columns>
std::string source_to_relay(Columns& columns) {
    for (C given : {C::parent_sync_job, C::operation, C::target_document_name}) {
        if (!columns.at(given).null) return {};
    }
    return std::string(columns.text(C::source_document_name));
}

bool has_children(pg::Table& live, const std::string& type, Oid source_type, const std::string& source) {
    pg::IndexScan scan(live, schema_objects().live_source, of_source(pg::text_datum(type), pg::text_datum(source)),
                       std::nullopt, columns_read);
    ScannedColumns columns{scan};
    while (scan.next()) {
        if (columns.text(C::source_document_name) != source) continue;  // another name with the same hash
        if (columns.at(C::parent_sync_job).null || columns.at(C::operation).null) continue;
        if (!columns.at(C::scheduled_at).null || columns.text(C::status) == "Pending") continue;  // no child of a relay
        if (pg::datum_oid(columns.at(C::source_document_type).datum) == source_type) return true;
    }
    return false;
}

// Looks twice: whoever ends a child after the first look sees the mark that somebody is waiting.
bool waits_for_children(pg::Table& live, const std::string& type_name, Oid source_type, const std::string& source) {
    if (source.empty()) return false;
    auto type = find_job_type(type_name);
    if (type == nullptr || !controller_kind(*type).relays) return false;
    auto look = [&] { return has_children(live, type_name, source_type, source); };
    if (!look()) return false;
    mark_blocked();
    return look();
}

struct JobColumns {
    const Job& job;
    pg::Value at(C column) { return {job.datum(column), job.is_null(column)}; }
    std::string_view text(C column) { return job.text(column); }
};

std::vector<pg::ScanCondition> of_queue(const std::string& queue, Oid run_as) {
    return {{1, Op::equal_text, pg::text_datum(queue)}, {2, Op::equal_oid, pg::oid_datum(run_as)}};
}

std::vector<pg::ScanCondition> due_in(const std::string& queue, Oid run_as) {
    auto conditions = of_queue(queue, run_as);
    conditions.push_back({3, Op::at_most_timestamp, pg::int64_datum(pg::now())});
    return conditions;
}

bool is_push_type(const std::string& name) {
    auto type = find_job_type(name);
    return type != nullptr && type->is_push();
}

bool is_paused(const std::string& name) {
    auto type = find_job_type(name);
    return type != nullptr && type->paused;
}

// The position of the first held job of the type.
std::optional<ClaimPosition> first_held(pg::Table& live, const std::string& type, const pg::IndexScan* as_of) {
    pg::IndexScan scan(live, schema_objects().live_held, {{1, Op::equal_text, pg::text_datum(type)}}, std::nullopt,
                       columns_read, as_of);
    if (!scan.next()) return std::nullopt;
    ScannedColumns columns{scan};
    return ClaimPosition{pg::datum_int32(columns.at(C::priority).datum), pg::datum_int64(columns.at(C::id).datum)};
}

bool is_held(std::int64_t id) {
    auto stored = find_job(id);
    return stored && stored->job.is_held();
}

}  // namespace

std::uint64_t document_key(const Job& job) {
    JobColumns columns{job};
    return key_of(columns);
}

std::vector<std::uint64_t> document_keys(const Job& set) {
    std::string type(set.text(C::sync_job_type));
    Oid source = set.oid(C::source_document_type);
    std::vector<std::uint64_t> keys;
    for (const std::string& name : pg::datum_text_array(set.datum(C::source_documents))) {
        keys.push_back(key_for(type, 's', source, name));
    }
    return keys;
}

bool waits_for_children(const Job& job) {
    JobColumns columns{job};
    pg::Table live(schema_objects().live, pg::TableLock::read);
    return waits_for_children(live, std::string(job.text(C::sync_job_type)), job.oid(C::source_document_type),
                              source_to_relay(columns));
}

bool any_claimable(const std::string& queue, Oid run_as, ClaimPosition start) {
    pg::Table table(schema_objects().live, pg::TableLock::read);
    pg::IndexScan scan(table, schema_objects().live_claim, of_queue(queue, run_as),
                       pg::ScanStart{3, start.priority, start.id});
    return scan.next().has_value();
}

std::optional<ClaimPosition> first_due(const std::string& queue, Oid run_as, ClaimPosition start) {
    pg::Table table(schema_objects().live, pg::TableLock::read);
    pg::IndexScan ready(table, schema_objects().live_claim, of_queue(queue, run_as), pg::ScanStart{3, start.priority, start.id}, columns_read);
    pg::IndexScan scheduled(table, schema_objects().live_scheduled, due_in(queue, run_as), std::nullopt, columns_read);
    std::optional<ClaimPosition> first;
    for (pg::IndexScan* scan : {&ready, &scheduled}) {
        if (!scan->next()) continue;
        ScannedColumns columns{*scan};
        ClaimPosition position{pg::datum_int32(columns.at(C::priority).datum), pg::datum_int64(columns.at(C::id).datum)};
        first = first ? std::min(*first, position) : position;
    }
    return first;
}

std::uint64_t type_key(const std::string& name) { return std::hash<std::string>()(name); }

bool may_have_document(const Job& job) {
    std::uint64_t key = document_key(job);
    return !is_type_locked(type_key(std::string(job.text(C::sync_job_type)))) && (key == 0 || lock_document(key));
}

bool type_is_held(const std::string& name) {
    if (is_paused(name) || is_push_type(name)) return true;
    pg::Table live(schema_objects().live, pg::TableLock::read);
    return first_held(live, name, nullptr).has_value();
}

bool take_type_slot_for(const std::string& name) {
    auto type = find_job_type(name);
    if (type == nullptr || !type->concurrency_limit) return true;
    return take_type_slot(type_key(type->name), *type->concurrency_limit);
}

Claim::Claim(const std::string& queue, Oid run_as, ClaimPosition start, Sweep& sweep, bool cautious,
             std::function<bool(std::int64_t)> left_out)
    : left_out_(std::move(left_out)),
      table_(schema_objects().live, pg::TableLock::write),
      ready_scan_(table_, schema_objects().live_claim, of_queue(queue, run_as), pg::ScanStart{3, start.priority, start.id},
                  columns_read),
      scheduled_scan_(table_, schema_objects().live_scheduled, due_in(queue, run_as), std::nullopt, columns_read, &ready_scan_),
      sweep_(sweep),
      cautious_(cautious),
      resume_(start),
      read_(start) {
    require_writable_tables();
    sweep_.gave_up = false;
}

Claim::Candidate Claim::candidate(pg::IndexScan& scan, pg::RowPlace place, bool ready) {
    ScannedColumns columns{scan};
    ClaimPosition position{pg::datum_int32(columns.at(C::priority).datum), pg::datum_int64(columns.at(C::id).datum)};
    pg::Value source_type = columns.at(C::source_document_type);
    return {position,
            place,
            std::string(columns.text(C::sync_job_type)),
            source_to_relay(columns),
            source_type.null ? pg::no_oid : pg::datum_oid(source_type.datum),
            key_of(columns),
            keys_of_set(scan, columns),
            ready,
            runs_while_paused(columns.text(C::operation)),
            is_task(columns.text(C::operation))};
}

void Claim::read_ready() {
    if (ready_ || ready_at_end_) return;
    auto place = ready_scan_.next();
    if (place) {
        ready_ = candidate(ready_scan_, *place, true);
    } else {
        ready_at_end_ = true;
    }
}

// Their index is ordered by time, so they are sorted here.
void Claim::read_scheduled() {
    if (!scheduled_.empty() || scheduled_at_end_) return;
    while (!scheduled_at_end_ && scheduled_.size() < most_scheduled) {
        auto place = scheduled_scan_.next();
        if (place) {
            scheduled_.push_back(candidate(scheduled_scan_, *place, false));
        } else {
            scheduled_at_end_ = true;
        }
    }
    std::sort(scheduled_.begin(), scheduled_.end(),
              [](const Candidate& one, const Candidate& other) { return one.position > other.position; });
}

std::optional<Claim::Candidate> Claim::take_first() {
    read_ready();
    read_scheduled();
    if (scheduled_.empty() || (ready_ && ready_->position < scheduled_.back().position)) {
        return std::exchange(ready_, std::nullopt);
    }
    Candidate first = std::move(scheduled_.back());
    scheduled_.pop_back();
    return first;
}

Claim::May Claim::may_run(const Candidate& candidate) {
    auto full = [&] {
        sweep_.full_types.insert(candidate.type);
        return May::behind_its_type;
    };
    // The documents of such jobs need not be remembered: later jobs of the same document are of the same type.
    if (sweep_.full_types.count(candidate.type) > 0) return May::behind_its_type;
    if (is_type_locked(type_key(candidate.type)) || comes_after_held(candidate)) return full();
    std::uint64_t document = candidate.document;
    if (document != 0 && (sweep_.behind.count(document) > 0 || !lock_document(document))) return May::wait;
    // Checked only after the document is locked: its last job unlocked it when the children were already visible.
    if (waits_for_children(table_, candidate.type, candidate.source_type, candidate.source)) return May::wait;
    if (cautious_ && cut_short_by_crash(candidate.position.id) && !lock_document(suspects_key)) return May::wait;
    return take_type_slot_for(candidate.type) ? May::run : full();
}

// Locks the set's documents, after its row, because fewer processes want the row. False: it got none of them.
bool Claim::take_documents(const Candidate& candidate) {
    had_documents_ = lock_documents(candidate.documents);
    bool any = false;
    for (std::size_t i = 0; i < candidate.documents.size(); i++) {
        if (sweep_.behind.count(candidate.documents[i]) > 0) had_documents_[i] = false;
        if (!had_documents_[i]) sweep_.behind.insert(candidate.documents[i]);
        any = any || had_documents_[i];
    }
    return any;
}

// A job of a paused type leaves the claim's indexes and keeps its place in the queue. So does a job of an HTTP push that has become due, or
// that was enqueued before its type became a push.
bool Claim::hold(const Candidate& candidate) {
    auto type = find_job_type(candidate.type);
    bool is_push = type != nullptr && type->is_push() && !candidate.is_task;
    bool held = is_push || (type != nullptr && type->paused && !candidate.while_paused);
    if (!held || is_in_progress(candidate.position.id)) return false;
    pg::StoredRow row;
    if (table_.lock(candidate.place, false, &row) != pg::LockResult::locked) return false;
    Job job(row);
    job.set(C::held, pg::bool_datum(true));
    table_.replace(candidate.place, job.row());
    pg::command_counter_increment();
    if (is_push) wake_at_commit(job);
    return true;
}

// After a pause, jobs are released in their order, a few hundred at a time. No job may overtake those that are still held.
bool Claim::comes_after_held(const Candidate& candidate) {
    if (candidate.while_paused) return false;
    auto [known, is_new] = first_held_.try_emplace(candidate.type);
    if (is_new) known->second = first_held(table_, candidate.type, &ready_scan_);
    return is_paused(candidate.type) || (known->second && *known->second < candidate.position);
}

// Returns the job, locked, unless it has to wait.
std::optional<Job> Claim::take(const Candidate& candidate) {
    std::int64_t id = candidate.position.id;
    bool none = is_in_progress(id) || (left_out_ && left_out_(id));  // in progress: this job is running jobs itself
    May may = none ? May::wait : may_run(candidate);
    pg::StoredRow row;
    pg::LockResult result = may == May::run ? table_.lock(candidate.place, false, &row) : pg::LockResult::busy;
    bool is_set = !candidate.documents.empty();
    if (result == pg::LockResult::locked && (!is_set || take_documents(candidate))) return Job(row);
    if (is_set && may != May::behind_its_type) {  // also if it has been written back with fewer documents since then
        sweep_.behind.insert(candidate.documents.begin(), candidate.documents.end());
        return std::nullopt;
    }
    bool has_document = candidate.document != 0 && may != May::behind_its_type;
    bool waits = result == pg::LockResult::busy || (result == pg::LockResult::gone && is_held(id));
    if (has_document && waits) sweep_.behind.insert(candidate.document);
    return std::nullopt;
}

std::optional<Job> Claim::next() {
    while (passed_over_ < most_passed_over) {
        auto candidate = take_first();
        if (!candidate) return std::nullopt;
        if (candidate->ready) read_ = {candidate->position.priority, candidate->position.id + 1};
        if (hold(*candidate)) {  // whoever releases it will announce that
            resume_ = candidate->ready ? read_ : resume_;
            passed_over_++;
            continue;
        }
        if (auto job = take(*candidate)) {
            if (candidate->ready) resume_ = read_;
            sweep_.found = true;
            return job;
        }
        if (candidate->ready && !sweep_.first_left) sweep_.first_left = candidate->position;
        bool counts = candidate->ready || sweep_.scheduled.insert(candidate->position.id).second;
        if (counts) passed_over_ += 1 + static_cast<int>(candidate->documents.size() / documents_as_one);
    }
    sweep_.gave_up = true;
    return std::nullopt;
}

void Claim::end() {
    if (sweep_.gave_up || sweep_.at) sweep_.at = left_ ? std::min(*left_, read_) : read_;
}

void Claim::leave(const Job& job) {
    if (!job.is_null(C::scheduled_at)) return;
    ClaimPosition position{job.int32(C::priority), job.id()};
    left_ = left_ ? std::min(*left_, position) : position;
    sweep_.first_left = sweep_.first_left ? std::min(*sweep_.first_left, position) : position;
    if (sweep_.at) sweep_.at = std::min(*sweep_.at, position);
}

ClaimPosition Claim::resume() const { return sweep_.first_left ? std::min(*sweep_.first_left, resume_) : resume_; }

}  // namespace sync_job
