#include "queue/deduplication.hpp"

#include <algorithm>
#include <vector>

#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "queue/push.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Op = pg::ScanCondition::Operator;

bool same_text(const Job& one, const Job& other, C column) {
    return one.is_null(column) == other.is_null(column) && one.text(column) == other.text(column);
}

bool same_json(const Job& one, const Job& other, C column) {
    if (one.is_null(column) || other.is_null(column)) return one.is_null(column) == other.is_null(column);
    return pg::json_equal(one.datum(column), other.datum(column));
}

std::int64_t parent_of(const Job& job) { return job.is_null(C::parent_sync_job) ? 0 : job.int64(C::parent_sync_job); }

bool due_no_later(const Job& waiting, const Job& wanted) {
    if (waiting.is_null(C::scheduled_at)) return true;
    std::int64_t by = wanted.is_null(C::scheduled_at) ? pg::now() : wanted.int64(C::scheduled_at);
    return waiting.int64(C::scheduled_at) <= by;
}

// Whether the waiting job would do exactly what is wanted.
bool fulfils(const Job& waiting, const Job& wanted) {
    if (requests_of(waiting) > 0) return false;  // it may send again a request rendered before this change
    for (C column : {C::sync_job_type, C::source_document_name, C::target_document_name, C::operation, C::job_id,
                     C::procedure, C::on_success, C::on_failure}) {
        if (!same_text(waiting, wanted, column)) return false;
    }
    for (C column : {C::source_document_type, C::target_document_type, C::run_as, C::owner}) {
        if (waiting.oid(column) != wanted.oid(column)) return false;
    }
    for (C column : {C::insert_enabled, C::update_enabled, C::delete_enabled, C::update_without_changes_enabled,
                     C::verbose_logging, C::dry_run}) {
        if (waiting.flag(column) != wanted.flag(column)) return false;
    }
    // Somebody may wait for the group, so its job must be in it. Background work is identified by its job_id instead.
    bool of_group = wanted.is_null(C::job_group) || !wanted.is_null(C::procedure) || same_text(waiting, wanted, C::job_group);
    return of_group && same_json(waiting, wanted, C::context) && parent_of(waiting) == parent_of(wanted);
}

}  // namespace

std::optional<std::int64_t> absorb(const Job& wanted) {
    bool by_job_id = !wanted.is_null(C::job_id);
    if (!by_job_id && wanted.is_null(C::source_document_name)) {
        throw pg::Error("22023", "deduplicate needs a job_id or a source document")
            .hint("Without either, nothing tells which requests are the same.");
    }
    if (wanted.status() != Status::queued) return std::nullopt;
    const SchemaObjects& o = schema_objects();
    pg::Table table(o.live, pg::TableLock::write);
    std::vector<pg::ScanCondition> conditions;
    if (by_job_id) {
        conditions = {{1, Op::equal_text, wanted.datum(C::job_id)}};
    } else {
        conditions = of_source(wanted.datum(C::sync_job_type), wanted.datum(C::source_document_name));
    }
    auto absorbs = [&](const Job& seen) {
        // A job that began in this transaction read its source before this change.
        bool running = seen.status() == Status::started || is_in_progress(seen.id());
        if (running && by_job_id && wanted.is_null(C::source_document_name)) return true;
        if (running || seen.status() != Status::queued || !due_no_later(seen, wanted)) return false;
        pg::StoredRow row;
        if (table.lock(seen.place, false, &row) != pg::LockResult::locked) return false;
        wake_at_commit(seen);  // a worker that passed over it while it was locked has gone on
        return true;
    };
    std::vector<Job> alike;  // with the same job_id: a hash index returns them in no particular order
    pg::IndexScan scan(table, by_job_id ? o.live_job_id : o.live_source, conditions);
    while (scan.next()) {
        Job seen(scan.row());
        if (!fulfils(seen, wanted)) continue;
        if (by_job_id) {
            alike.push_back(seen);
        } else if (absorbs(seen)) {
            return seen.id();
        }
    }
    std::sort(alike.begin(), alike.end(), [](const Job& one, const Job& other) { return one.id() < other.id(); });
    auto first = std::find_if(alike.begin(), alike.end(), absorbs);
    return first == alike.end() ? std::nullopt : std::optional(first->id());
}

bool any_live(std::string_view type_name) {
    pg::Table table(schema_objects().live, pg::TableLock::read);
    pg::IndexScan scan(table, schema_objects().live_source, {{1, Op::equal_text, pg::text_datum(type_name)}});
    return scan.next().has_value();
}

}  // namespace sync_job
