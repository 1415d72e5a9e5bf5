// apply_sync_job(), revert_sync_job(): makes real what a dry run has found, undoes what a job has done. For one job, for many at once,
// and by a worker.
#include "engine/replay.hpp"

#include "api/params.hpp"
#include "controller/callable.hpp"
#include "core/text.hpp"
#include "engine/replay_list.hpp"
#include "engine/replay_many.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

// Locked, so that one job is not applied or reverted twice at once.
Job replayable(pg::Arguments& args, const char* function, const char* enqueue_function) {
    pg::require_writable(function);
    require_this_version();
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    std::int64_t id = *args.int64(0);
    auto stored = lock_job(id);
    if (!stored) no_such_job(id);
    require_session_of(stored->job.oid(JobColumn::run_as), "sync job " + std::to_string(id),
                       std::string("Have a worker do it with ") + enqueue_function + "(...), or use SET SESSION AUTHORIZATION first.");
    return stored->job;
}

// ids, run, conflicts.
ReplayRequest replay_request(pg::Arguments& args, bool backwards) {
    ReplayRequest request;
    request.backwards = backwards;
    if (args.is_null(0) && args.is_null(1)) throw pg::Error("22004", "ids and run must not both be null");
    if (!args.is_null(0)) request.jobs = args.int64_array(0);
    if (auto run = args.int64(1)) request.jobs.push_back(*run);
    std::string conflicts = args.text(2).value_or("fail");
    request.skip_conflicts = conflicts == "skip";
    if (request.skip_conflicts || conflicts == "fail") return request;
    throw pg::Error("22023", "invalid value of conflicts: " + quoted(conflicts)).hint("Valid values are: fail, skip.");
}

// The columns in the order of sql/control.sql.
void add_row(pg::Arguments& args, const ReplayedDocument& document, bool backwards) {
    auto text = [](const std::string& value, bool null) { return null ? pg::Value{} : pg::Value{pg::text_datum(value), false}; };
    const char* done = backwards ? "reverted" : "applied";
    pg::Value row[] = {{pg::int64_datum(document.sync_job), false},
                       text(document.source, document.source.empty()),
                       {pg::oid_datum(document.target_type), false},
                       text(document.target, false),
                       text(document.done ? done : "conflict", false),
                       document.fields.empty() ? pg::Value{} : pg::Value{pg::text_array_datum(document.fields), false},
                       text(document.detail, document.detail.empty()),
                       document.recorded_by == 0 ? pg::Value{} : pg::Value{pg::int64_datum(document.recorded_by), false}};
    Datum values[std::size(row)];
    bool nulls[std::size(row)];
    for (std::size_t i = 0; i < std::size(row); i++) values[i] = row[i].datum, nulls[i] = row[i].null;
    args.add_row(values, nulls);
}

Datum replay_many(pg::Arguments& args, bool backwards) {
    pg::require_writable(backwards ? "revert_sync_jobs()" : "apply_sync_jobs()");
    require_this_version();
    ReplayRequest request = replay_request(args, backwards);
    args.begin_rows();
    replay_jobs(request, nullptr, [&](const ReplayedDocument& document) { add_row(args, document, backwards); });
    return args.null_result();
}

Datum enqueue_replay(pg::Arguments& args, bool backwards) {
    ReplayRequest replay = replay_request(args, backwards);
    require_this_version();
    auto type = type_to_replay(replay.jobs);
    EnqueueRequest request = request_for_replay(replay);
    request.sync_job_type = type->name;
    request.title = *request.title + " " + type->name;
    if (replay.jobs.size() == 1) request.parent_sync_job = replay.jobs[0];
    int i = 3;
    read_placement(args, i, request);
    return pg::int64_datum(enqueue(request));
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_apply) {
    return pg::int64_datum(apply_dry_run(replayable(args, "apply_sync_job()", "enqueue_apply")));
}
SYNC_JOB_FUNCTION(sync_job_revert) {
    return pg::int64_datum(revert_job(replayable(args, "revert_sync_job()", "enqueue_revert")));
}
SYNC_JOB_FUNCTION(sync_job_apply_many) { return replay_many(args, false); }
SYNC_JOB_FUNCTION(sync_job_revert_many) { return replay_many(args, true); }
SYNC_JOB_FUNCTION(sync_job_enqueue_apply) { return enqueue_replay(args, false); }
SYNC_JOB_FUNCTION(sync_job_enqueue_revert) { return enqueue_replay(args, true); }
