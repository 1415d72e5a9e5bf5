#include "engine/replay_record.hpp"

#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/outcome.hpp"
#include "queue/set_record.hpp"
#include "queue/task.hpp"
#include "shared/metrics.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

const char* verb(bool backwards) { return backwards ? "reverts" : "applies"; }

}  // namespace

Job new_replay_record(const Job& replayed, bool backwards, pg::Timestamp started) {
    Job record = replayed.copy();
    record.set(C::id, pg::int64_datum(pg::next_sequence_value(schema_objects().id_sequence)));
    record.set(C::parent_sync_job, pg::int64_datum(replayed.id()));
    record.set_text(C::relation, relation::replay);
    record.set_status(Status::finished);
    record.set(C::dry_run, pg::bool_datum(false));
    pg::JsonBuilder context;
    context.begin_object();
    context.key(verb(backwards));
    context.number(replayed.id());
    context.end_object();
    record.set(C::context, context.finish());
    record.set_text(C::trigger_type, "Manual");
    for (C column : {C::job_id, C::scheduled_at, C::retry_after, C::messages, C::error_message, C::current_data, C::updated_data,
                     C::fingerprint}) {
        record.clear(column);
    }
    record.set(C::retry_count, pg::int32_datum(0));
    record.set_oid(C::enqueued_by, pg::current_user());
    record.set(C::created_at, pg::int64_datum(pg::transaction_start()));
    record.set(C::started_at, pg::int64_datum(started));
    stamp_end(record);
    record.set(C::worker_pid, pg::int32_datum(pg::my_pid()));
    return record;
}

ReplayRecord::ReplayRecord(const ReplayRequest& request, const ReplayGroup& group, const Job* own)
    : request_(request), type_name_(group.type->name), secret_(group.type->secret_columns), sample_(group.sample), started_(pg::now()) {
    if (own == nullptr) return;
    own_ = own->id();
    if (own->oid(C::target_document_type) == group.target) id_ = *own_;
}

std::int64_t ReplayRecord::id() {
    if (id_ == 0) id_ = pg::next_sequence_value(schema_objects().id_sequence);
    return id_;
}

void ReplayRecord::add(const DocumentType& type, const std::vector<RecordedDocument>& documents) {
    std::vector<pg::RowValues> rows;
    pg::RowValues none = pg::empty_row(type.relation());
    for (const RecordedDocument& document : documents) {
        const DocumentState &before = *document.before, &after = *document.after;
        Operation operation = !after ? Operation::remove : before ? Operation::update : Operation::insert;
        rows.push_back(document_row({{pg::int64_datum(id()), false},
                                     {pg::text_datum(document.source), false},
                                     {pg::text_datum(document.target), false},
                                     {pg::text_datum(to_text(operation)), false},
                                     {pg::text_datum(to_text(Status::finished)), false},
                                     {type.diff(before.value_or(none), after.value_or(none), secret_), false},
                                     {}}));
    }
    pg::Table(schema_objects().document_table, pg::TableLock::write).insert_many(rows);
    count_ += static_cast<std::int64_t>(documents.size());
}

std::optional<std::int64_t> ReplayRecord::finish() {
    if (count_ == 0 || id_ == own_) return count_ == 0 ? std::nullopt : own_;
    auto sample = find_job(sample_);
    if (!sample) no_such_job(sample_);
    EnqueueRequest request = request_for_replay(request_);
    Job record = new_replay_record(sample->job, request_.backwards, started_);
    record.set(C::id, pg::int64_datum(id_));
    record.clear(C::parent_sync_job);
    if (own_ || request_.jobs.size() == 1) record.set(C::parent_sync_job, pg::int64_datum(own_.value_or(request_.jobs[0])));
    for (C column : {C::documents, C::source_document_name, C::target_document_name, C::diff_summary, C::checkpoint, C::job_group, C::depth}) {
        record.clear(column);
    }
    record.set_text(C::operation, to_text(*request.task));
    record.set(C::context, request.context);
    record.set_text(C::title, pg::clipped(*request.title + " " + type_name_, 140));
    pg::JsonBuilder result;
    result.begin_object();
    result.key(request_.backwards ? "reverted" : "applied");
    result.number(count_);
    result.end_object();
    record.set(C::result, result.finish());
    insert_job(record);
    count_end(record);
    return id_;
}

}  // namespace sync_job
