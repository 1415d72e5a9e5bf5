// The row of a job: its columns by name, and typed access to them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/state.hpp"
#include "pg/row.hpp"
#include "pg/table.hpp"

namespace sync_job {

// The columns of table sync_job in their order (sql/tables.sql); numbered from 1 as attnum is.
#define SYNC_JOB_COLUMNS(X)                                                                                          \
    X(id)                                                                                                            \
    X(sync_job_type)                                                                                                 \
    X(title)                                                                                                         \
    X(status)                                                                                                        \
    X(source_document_type)                                                                                          \
    X(source_document_name)                                                                                          \
    X(target_document_type)                                                                                          \
    X(target_document_name)                                                                                          \
    X(operation)                                                                                                     \
    X(context)                                                                                                       \
    X(parent_sync_job)                                                                                               \
    X(multiple_target_documents) X(queue) X(priority) X(timeout) X(retry_delay) X(retry_backoff) X(max_retries)      \
        X(retry_count) X(retry_after) X(scheduled_at) X(insert_enabled) X(update_enabled) X(delete_enabled)          \
            X(update_without_changes_enabled) X(verbose_logging) X(dry_run) X(queue_on_insert) X(trigger_type)       \
                X(triggered_by_document_type) X(triggered_by_document_name) X(trigger_document_timestamp) X(job_id)  \
                    X(current_data) X(updated_data) X(diff_summary) X(error_message) X(messages) X(result)           \
                        X(checkpoint) X(cancel_reason) X(run_as) X(owner) X(enqueued_by) X(created_at) X(started_at) \
                            X(ended_at) X(time_taken) X(procedure) X(on_success) X(on_failure) X(after)              \
                                X(after_failure) X(job_group) X(publish_event) X(depth) X(documents)                 \
                                    X(source_documents) X(relation) X(held) X(worker_pid) X(fingerprint) \
                                    X(traceparent)

enum class JobColumn : int {
    none = 0,
#define SYNC_JOB_COLUMN(name) name,
    SYNC_JOB_COLUMNS(SYNC_JOB_COLUMN)
#undef SYNC_JOB_COLUMN
};

extern const char* const job_column_names[];
extern const Oid job_column_types[];
extern const int job_column_count;
// The number of columns in version 0.1.0. Later columns come last, and are missing in a database that has not been updated yet.
constexpr int oldest_job_column_count = static_cast<int>(JobColumn::publish_event);

// One job as separate values, which live in the memory context it was read in.
class Job {
public:
    using C = JobColumn;

    Job() = default;
    // A new job, all columns null.
    static Job blank();
    explicit Job(const pg::StoredRow& row);
    // From a composite value of the row type of table sync_job.
    static Job from_composite(Datum row);
    // A copy that can be changed without changing this one.
    Job copy() const;

    pg::RowPlace place;
    std::uint32_t created_by_transaction = 0;

    bool is_null(C column) const { return row_.nulls[index(column)]; }
    Datum datum(C column) const { return row_.values[index(column)]; }
    std::string_view text(C column) const;  // empty when null
    std::int64_t int64(C column) const { return pg::datum_int64(datum(column)); }
    int int32(C column) const { return pg::datum_int32(datum(column)); }
    Oid oid(C column) const { return is_null(column) ? pg::no_oid : pg::datum_oid(datum(column)); }
    bool flag(C column) const { return pg::datum_bool(datum(column)); }
    std::int64_t microseconds(C column) const { return pg::interval_microseconds(datum(column)); }

    void clear(C column) { row_.nulls[index(column)] = true; }
    void set(C column, Datum value) {
        row_.values[index(column)] = value;
        row_.nulls[index(column)] = false;
    }
    void set(C column, pg::Value value) {
        row_.values[index(column)] = value.datum;
        row_.nulls[index(column)] = value.null;
    }
    void set_text(C column, std::string_view value);
    void set_oid(C column, Oid value);
    // Builds the title from other columns; source_label and target_label: relation_name(), empty for none.
    void set_title(std::string_view source_label, std::string_view target_label);

    std::int64_t id() const { return int64(C::id); }
    Status status() const;
    // Only a Queued one is held.
    void set_status(Status status) {
        set_text(C::status, to_text(status));
        clear(C::held);
    }
    bool is_held() const { return !is_null(C::held) && flag(C::held); }
    std::optional<Operation> operation() const;
    // insert_enabled and so on: what it was enqueued with. The type has gates, too.
    bool enables(Operation operation) const { return flag(enabled_column(operation)); }
    static C enabled_column(Operation operation);

    // With the columns that users have added to the table, if the row was read from it.
    const pg::RowValues& row() const { return row_; }

private:
    explicit Job(const pg::RowValues& row);
    static int index(C column) { return static_cast<int>(column) - 1; }
    pg::RowValues row_;
};

// A set job: it is for many documents, those of source_documents.
inline bool is_set(const Job& job) { return !job.is_null(JobColumn::source_documents); }
// One document of a set, as its controller sees it: the set's row, with the document's name (engine/document_batch.hpp).
inline bool is_part_of_set(const Job& job) { return !job.is_null(JobColumn::documents) && !is_set(job); }
// What parent_sync_job is, as in column relation.
namespace relation {
constexpr const char* relay = "relay";
constexpr const char* set = "set";
constexpr const char* replay = "replay";
constexpr const char* callback = "callback";
constexpr const char* rerun = "rerun";
}  // namespace relation

// "job 5 (SAP Customer Sync, customer CUST-1)" for messages and the process list.
std::string describe(const Job& job);

}  // namespace sync_job
