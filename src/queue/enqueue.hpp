// Enqueueing: from a request in any of its forms to a row in the queue.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "document/document.hpp"
#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/memory.hpp"
#include "pg/table.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"
#include "queue/task.hpp"

namespace sync_job {

// What a caller may specify for a job; what is not given comes from the job type.
struct EnqueueRequest {
    std::string sync_job_type;
    std::optional<std::string> source_document_name;
    pg::Value source_doc;  // a row, instead of its name
    pg::Value context;     // jsonb
    std::optional<std::string> operation;
    Oid source_document_type = 0, target_document_type = 0;
    std::optional<std::string> target_document_name;
    pg::Value target_doc;
    std::optional<std::int64_t> parent_sync_job;
    const char* relation = nullptr;  // in which way it is the parent
    std::optional<std::string> queue;
    std::optional<int> priority;
    std::optional<std::int64_t> timeout, retry_delay;  // microseconds
    std::optional<int> max_retries;
    std::optional<pg::Timestamp> scheduled_at;
    std::optional<std::string> trigger_type;
    Oid triggered_by_document_type = 0;
    std::optional<std::string> triggered_by_document_name;
    pg::Value triggered_by_doc;
    std::optional<pg::Timestamp> trigger_document_timestamp;
    std::optional<bool> queue_on_insert, dry_run, insert_enabled, update_enabled, delete_enabled,
        update_without_changes_enabled, verbose_logging;
    std::optional<std::string> job_id;
    bool deduplicate = false;
    bool many = false;  // source documents follow one by one, by Enqueuer::add()
    bool from_trigger = false;
    std::optional<Task> task;  // for all documents of the type

    // --- Background work, of the built-in type ---
    std::optional<std::string> procedure, on_success, on_failure;  // qualified names, checked
    std::vector<std::int64_t> after;                               // jobs it waits for
    std::optional<std::string> after_failure;                      // cancel or run
    std::optional<std::string> job_group, title;
    bool publish_event = false;
    std::optional<std::string> retry_backoff;
    std::optional<std::string> traceparent;  // none: that of the session, or else of the parent
    std::optional<std::int64_t> rerun_of;  // the ended job that this one repeats
    Oid run_as = 0;  // whose rights it has; none: the current user's

    // Whose right to enqueue is checked, and who owns the job: the current user, or for a trigger the table's owner.
    Oid owner = 0;
};

// Enqueues jobs that differ only in their source document: what they share is checked once.
class Enqueuer {
public:
    explicit Enqueuer(const EnqueueRequest& request);
    ~Enqueuer();
    Enqueuer(const Enqueuer&) = delete;
    Enqueuer& operator=(const Enqueuer&) = delete;

    // The job for the document of this canonical name (none: without a source document), inserted or absorbed by a
    // waiting one; a worker is woken at commit. Returns its id; 0 for one of many that is put into a set job.
    std::int64_t add(const std::optional<std::string>& canonical_source_name);

    // With `many`: to be called after the last document. Until then, some jobs are not in the table yet.
    void finish();

    // The type of the source documents; null where the job type and the request leave it open.
    const std::shared_ptr<DocumentType>& source_documents() const { return source_documents_; }
    // Sets the context of the jobs added from now on.
    void set_context(pg::Value context);

private:
    std::int64_t add_job(const std::optional<std::string>& name);
    bool makes_sets() const;
    void add_to_set(const std::string& name);
    void end_set();
    void insert_set();
    void insert_waiting();
    bool may_be_absorbed();
    void set_depth();
    void set_trace();
    std::int64_t insert(Job& job);

    EnqueueRequest request_;
    std::shared_ptr<const JobType> type_;
    std::shared_ptr<DocumentType> source_documents_;
    std::optional<std::string> target_name_;
    std::string source_label_, target_label_;
    Job template_;
    // The documents of the set job that is being put together.
    std::vector<std::string> names_;
    std::unordered_set<std::string> known_names_;
    std::size_t bytes_of_names_ = 0;
    int looked_up_ = 0;
    std::optional<bool> any_live_;  // jobs of the type
    pg::Memory row_memory_;                     // for the rows that are not inserted yet
    std::vector<pg::RowValues> waiting_rows_;  // of these
    std::unique_ptr<pg::Table> table_;          // the live jobs
};

// One job: checks everything, including the names of its documents. Returns its id.
std::int64_t enqueue(const EnqueueRequest& request);

}  // namespace sync_job
