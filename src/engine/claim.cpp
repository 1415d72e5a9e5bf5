#include "engine/claim.hpp"

#include "engine/objects.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using Op = pg::ScanCondition::Operator;

std::vector<pg::ScanCondition> of_queue(const std::string& queue, Oid run_as) {
    return {{1, Op::equal_text, pg::text_datum(queue)}, {2, Op::equal_oid, pg::oid_datum(run_as)}};
}

std::vector<pg::ScanCondition> due_in(const std::string& queue, Oid run_as) {
    auto conditions = of_queue(queue, run_as);
    conditions.push_back({3, Op::at_most_timestamp, pg::int64_datum(pg::now())});
    return conditions;
}

}  // namespace

Claim::Claim(const std::string& queue, Oid run_as)
    : table_(objects().live, pg::TableLock::write),
      ready_{{table_, objects().live_claim, of_queue(queue, run_as)}, {}},
      scheduled_{{table_, objects().live_scheduled, due_in(queue, run_as)}, {}} {}

void Claim::advance(Source& source) {
    source.started = true;
    source.head = source.scan.next();
    if (!source.head) return;
    bool is_null;
    source.priority = pg::datum_int32(source.scan.column(static_cast<int>(JobColumn::priority), &is_null));
    source.id = pg::datum_int64(source.scan.column(static_cast<int>(JobColumn::id), &is_null));
}

Claim::Source* Claim::first() {
    for (Source* source : {&ready_, &scheduled_}) {
        if (!source->started) advance(*source);
    }
    if (!ready_.head) return scheduled_.head ? &scheduled_ : nullptr;
    if (!scheduled_.head) return &ready_;
    bool scheduled_first = std::pair(scheduled_.priority, scheduled_.id) < std::pair(ready_.priority, ready_.id);
    return scheduled_first ? &scheduled_ : &ready_;
}

std::optional<Job> Claim::next() {
    while (Source* source = first()) {
        pg::StoredRow row;
        pg::LockResult result = table_.lock(*source->head, false, &row);
        advance(*source);
        if (result == pg::LockResult::locked) return Job(row);
    }
    return std::nullopt;
}

}  // namespace sync_job
