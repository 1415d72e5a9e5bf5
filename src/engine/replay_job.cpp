// The part of replay_many.hpp about jobs that replay: a worker, as their role, may do what a session of another role may not.
#include "core/text.hpp"
#include "engine/replay_list.hpp"
#include "engine/replay_many.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr const char* conflicts_key = "conflicts";
const char* jobs_key(bool backwards) { return backwards ? "reverts" : "applies"; }

// Checked, because somebody may have changed the context.
ReplayRequest request_of(const Job& job) {
    ReplayRequest request;
    request.backwards = task_of(job) == Task::revert;
    for (const pg::JsonField& field : pg::json_fields(job.datum(C::context))) {
        if (field.key == conflicts_key) request.skip_conflicts = field.text == "skip";
        if (field.key != jobs_key(request.backwards)) continue;
        for (const pg::JsonField& id : pg::json_elements(field.value)) request.jobs.push_back(task_number(id, 0, INT64_MAX));
    }
    return request;
}

// The first documents in conflict.
class ConflictList {
public:
    ConflictList() { json_.begin_array(); }

    void add(const ReplayedDocument& document) {
        constexpr int most = 1000;
        if (document.done || count_++ >= most) return;
        json_.begin_object();
        json_.key("sync_job");
        json_.number(document.sync_job);
        json_.field("source_document_name", document.source);
        json_.field("target_document_name", document.target);
        json_.key("fields");
        json_.begin_array();
        for (const std::string& field : document.fields) json_.string(field);
        json_.end_array();
        json_.field("detail", document.detail);
        json_.end_object();
    }

    Datum finish() {
        json_.end_array();
        return json_.finish();
    }

private:
    pg::JsonBuilder json_;
    int count_ = 0;
};

}  // namespace

EnqueueRequest request_for_replay(const ReplayRequest& request) {
    pg::JsonBuilder context;
    context.begin_object();
    context.key(jobs_key(request.backwards));
    context.begin_array();
    for (std::int64_t id : request.jobs) context.number(id);
    context.end_array();
    context.field(conflicts_key, request.skip_conflicts ? "skip" : "fail");
    context.end_object();
    EnqueueRequest enqueueing;
    enqueueing.task = request.backwards ? Task::revert : Task::apply;
    enqueueing.title = to_text(*enqueueing.task);
    enqueueing.context = {context.finish(), false};
    enqueueing.relation = relation::replay;
    enqueueing.max_retries = 0;  // a conflict does not go away
    return enqueueing;
}

pg::Value run_replay(const Job& job, const JobType& type) {
    Oid owner = job.oid(C::owner);
    if (!may_do_all(type, owner) && !has_level(owner, Level::operator_)) {
        throw pg::Error("42501", "permission denied to apply or revert sync jobs for role " + quoted(pg::role_name(owner)));
    }
    ReplayRequest request = request_of(job);
    if (type_to_replay(request.jobs)->name != type.name) {
        throw pg::Error("22023", "the sync jobs are not of sync job type " + quoted(type.name));
    }
    ConflictList conflicts;
    ReplayCounts counts = replay_jobs(request, &job, [&](const ReplayedDocument& document) { conflicts.add(document); });
    pg::JsonBuilder json;
    json.begin_object();
    json.key(request.backwards ? "reverted" : "applied");
    json.number(counts.done);
    json.key("conflicts");
    json.number(counts.conflicts);
    json.key("documents");
    json.value(conflicts.finish(), false, pg::type::jsonb, false);
    json.end_object();
    return {json.finish(), false};
}

}  // namespace sync_job
