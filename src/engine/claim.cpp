#include "engine/claim.hpp"

#include <functional>

#include "engine/activity.hpp"
#include "engine/running.hpp"
#include "engine/job_type.hpp"
#include "engine/objects.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Op = pg::ScanCondition::Operator;

// So many jobs are passed over before a claim gives up: a long queue behind one busy document is not read to its end.
constexpr int most_passed_over = 10000;

// The columns of the row under a scan, read one by one.
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

std::uint64_t key_for(std::string_view type, char side, Oid relation, std::string_view name) {
    std::uint64_t hash = mix(std::hash<std::string_view>()(type), static_cast<std::uint64_t>(side));
    hash = mix(mix(hash, relation), std::hash<std::string_view>()(name));
    return hash == 0 ? 1 : hash;
}

template <class Columns>
std::uint64_t key_of(Columns& columns) {
    pg::Value target = columns.at(C::target_document_name);
    if (!target.null) {
        return key_for(columns.text(C::sync_job_type), 't', pg::datum_oid(columns.at(C::target_document_type).datum),
                       pg::datum_text(target.datum));
    }
    pg::Value source = columns.at(C::source_document_name);
    if (source.null || !columns.at(C::parent_sync_job).null) return 0;
    return key_for(columns.text(C::sync_job_type), 's', pg::datum_oid(columns.at(C::source_document_type).datum),
                   pg::datum_text(source.datum));
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

}  // namespace

std::uint64_t document_key(const Job& job) {
    JobColumns columns{job};
    return key_of(columns);
}

bool any_claimable(const std::string& queue, Oid run_as, ClaimPosition start) {
    pg::Table table(objects().live, pg::TableLock::read);
    pg::IndexScan scan(table, objects().live_claim, of_queue(queue, run_as),
                       pg::ScanStart{3, start.priority, start.id});
    return scan.next().has_value();
}

bool keep_type(const std::string& name) {
    auto type = find_job_type(name);
    if (type == nullptr || !type->concurrency_limit) return true;
    return keep_limited_type(std::hash<std::string>()(type->name), *type->concurrency_limit);
}

Claim::Claim(const std::string& queue, Oid run_as, ClaimPosition start)
    : table_(objects().live, pg::TableLock::write),
      ready_{
          {table_, objects().live_claim, of_queue(queue, run_as), pg::ScanStart{3, start.priority, start.id}}, {}, {}},
      scheduled_{{table_, objects().live_scheduled, due_in(queue, run_as)}, {}, {}},
      resume_(start) {}

void Claim::advance(Source& source) {
    source.started = true;
    source.head = source.scan.next();
    if (!source.head) return;
    bool is_null;
    source.position.priority = pg::datum_int32(source.scan.column(static_cast<int>(C::priority), &is_null));
    source.position.id = pg::datum_int64(source.scan.column(static_cast<int>(C::id), &is_null));
}

Claim::Source* Claim::first() {
    for (Source* source : {&ready_, &scheduled_}) {
        if (!source->started) advance(*source);
    }
    if (!ready_.head) return scheduled_.head ? &scheduled_ : nullptr;
    if (!scheduled_.head) return &ready_;
    return scheduled_.position < ready_.position ? &scheduled_ : &ready_;
}

bool Claim::may_run(Source& source, std::uint64_t document) {
    if (document != 0 && (behind_.count(document) > 0 || !keep_document(document))) return false;
    ScannedColumns columns{source.scan};
    return keep_type(std::string(columns.text(C::sync_job_type)));
}

std::optional<Job> Claim::next() {
    while (Source* source = first()) {
        ScannedColumns columns{source->scan};
        std::uint64_t document = key_of(columns);
        pg::StoredRow row;
        pg::LockResult result = pg::LockResult::busy;
        bool ours = is_under_way(source->position.id);  // a job within which jobs are run
        if (!ours && may_run(*source, document)) result = table_.lock(*source->head, false, &row);
        ClaimPosition position = source->position;
        bool ready = source == &ready_;
        advance(*source);
        if (result == pg::LockResult::locked) {
            if (ready) resume_ = {position.priority, position.id + 1};
            return Job(row);
        }
        if (ready && !first_left_) first_left_ = position;
        if (result == pg::LockResult::busy && document != 0) behind_.insert(document);
        if (++passed_over_ >= most_passed_over) break;
    }
    return std::nullopt;
}

void Claim::leave(const Job& job) {
    if (!job.is_null(C::scheduled_at)) return;
    ClaimPosition position{job.int32(C::priority), job.id()};
    first_left_ = first_left_ ? std::min(*first_left_, position) : position;
}

ClaimPosition Claim::resume() const { return first_left_ ? std::min(*first_left_, resume_) : resume_; }

}  // namespace sync_job
