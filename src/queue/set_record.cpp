#include "queue/set_record.hpp"

#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/table.hpp"
#include "pg/xact.hpp"
#include "queue/dependencies.hpp"
#include "queue/in_progress.hpp"
#include "queue/push.hpp"
#include "queue/record.hpp"
#include "queue/task.hpp"
#include "shared/activity.hpp"
#include "shared/metrics.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {
using C = JobColumn;
}

Job job_of_its_own(const Job& set, const std::string& name, const Job* ended) {
    Job job = (ended != nullptr ? *ended : set).copy();
    job.set(C::id, pg::int64_datum(pg::next_sequence_value(schema_objects().id_sequence)));
    if (ended == nullptr) job.set_status(Status::queued);
    job.set_text(C::source_document_name, name);
    job.set(C::parent_sync_job, pg::int64_datum(set.id()));
    job.set_text(C::relation, relation::set);
    job.set(C::retry_count, pg::int32_datum(0));
    for (C column : {C::documents, C::source_documents, C::job_id, C::scheduled_at, C::result, C::checkpoint}) job.clear(column);
    if (ended == nullptr) {
        for (C column : {C::started_at, C::ended_at, C::time_taken}) job.clear(column);
    }
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    if (type != nullptr) job.set_title(type->source_label, type->target_label);
    hold_push(job);
    return job;
}

pg::RowValues document_row(const pg::Value (&values)[document_columns]) {
    pg::RowValues row;
    row.count = document_columns;
    row.values = pg::allocate_array<Datum>(row.count);
    row.nulls = pg::allocate_array<bool>(row.count);
    for (int i = 0; i < row.count; i++) row.set(i + 1, values[i]);
    return row;
}

pg::RowValues document_row(const std::string& name, const Outcome& outcome) {
    const Job& job = outcome.job;
    auto of_job = [&](C column) { return pg::Value{job.datum(column), job.is_null(column)}; };
    return document_row({{job.datum(C::id), false},       {pg::text_datum(name), false},  of_job(C::target_document_name),
                         of_job(C::operation),            of_job(C::status),              of_job(C::diff_summary),
                         outcome.fingerprint});
}

namespace {

void insert_jobs(const std::vector<Outcome>& jobs) {
    std::vector<pg::RowValues> queued, failed;
    for (const Outcome& outcome : jobs) {
        (outcome.job.status() == Status::queued ? queued : failed).push_back(outcome.job.row());
    }
    pg::Table(schema_objects().live, pg::TableLock::write).insert_many(queued);
    pg::Table(schema_objects().failed, pg::TableLock::write).insert_many(failed);
    for (const Outcome& outcome : jobs) {
        const Job& job = outcome.job;
        count_job(job, Counter::enqueued);
        if (job.status() == Status::failed) count_end(job);
        if (outcome.error != nullptr) record_error(job, *outcome.error, outcome.counted);
        if (job.status() == Status::queued) {
            wake_at_commit(job);
            continue;
        }
        if (!job.is_null(C::retry_after)) wake_at(job.int64(C::retry_after));
        follow_up(outcome);
    }
}

}  // namespace

void record_rows(const std::vector<pg::RowValues>& documents) {
    if (!documents.empty()) pg::Table(schema_objects().document_table, pg::TableLock::write).insert_many(documents);
}

void record_documents(const DocumentsDone& done) {
    record_rows(done.documents);
    if (!done.jobs.empty()) insert_jobs(done.jobs);
}

Datum added_up(const DocumentsDone& done, pg::Value result) {
    auto counts = done.counts;
    if (!result.null && pg::json_kind(result.datum) == pg::JsonKind::object) {
        for (const pg::JsonField& field : pg::json_fields(result.datum)) {
            for (std::size_t i = 0; i < counts.size(); i++) {
                if (field.key == count_names[i]) counts[i] += task_number(field, 0, INT32_MAX, "result");
            }
        }
    }
    pg::JsonBuilder json;
    json.begin_object();
    for (std::size_t i = 0; i < counts.size(); i++) {
        json.key(count_names[i]);
        json.number(counts[i]);
    }
    json.end_object();
    return json.finish();
}

namespace {

// Documents that have left the set count as jobs of their own.
static_assert(static_cast<std::size_t>(Counter::document_failed) - static_cast<std::size_t>(Counter::inserted) == static_cast<std::size_t>(Count::failed));
void count_documents(const Job& set, const decltype(DocumentsDone::counts)& counts) {
    for (std::size_t i = 0; i <= static_cast<std::size_t>(Count::no_target); i++) {
        if (counts[i] > 0) count_job(set, static_cast<Counter>(static_cast<std::size_t>(Counter::inserted) + i), counts[i]);
    }
}

}  // namespace

void record_set(const SetProgress& set) {
    const DocumentsDone& done = set.done;
    record_documents(done);
    count_documents(set.job, done.counts);
    bool over = done.left.empty() || done.canceled;
    if (!over && !done.any()) {  // as it was
        clear_in_progress(set.job.id());
        return;
    }
    Outcome outcome;
    outcome.job = done.canceled ? canceled_outcome(set.job).job : set.job.copy();
    Job& job = outcome.job;
    job.set(C::result, added_up(done, {set.job.datum(C::result), set.job.is_null(C::result)}));
    if (over) {
        job.clear(C::source_documents);
        if (!done.canceled) job.set_status(Status::finished);
        stamp_end(job);
        record({outcome});
        return;
    }
    job.set_status(Status::queued);
    job.clear(C::started_at);
    job.set(C::source_documents, pg::text_array_datum(done.left));
    hold_push(job);
    store_job({job, Partition::live});
    clear_in_progress(job.id());
    wake_at_commit(job);
}

}  // namespace sync_job
