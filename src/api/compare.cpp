// Whole tables: compare_sync_documents() and enqueue_compare() show what is out of step, enqueue_full_sync() brings it
// in step.
#include <algorithm>

#include "api/nodes.hpp"
#include "api/params.hpp"
#include "controller/callable.hpp"
#include "core/text.hpp"
#include "engine/compare.hpp"
#include "engine/full_sync_job.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "job/source_triggers.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/enqueue.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

ComparisonRequest comparison_request(pg::Arguments& args) {
    ComparisonRequest request;
    request.condition = args.text(1).value_or("");
    if (auto most = args.int32(2)) {
        if (*most < 0) throw pg::Error("22023", "max_rows must not be negative: " + std::to_string(*most));
        request.max_rows = *most;
    }
    return request;
}

void add_row(pg::Arguments& args, const DifferentDocument& document, std::int64_t documents) {
    auto text = [](const std::optional<std::string>& value) {
        return value ? pg::Value{pg::text_datum(*value), false} : pg::Value{};
    };
    pg::Value row[] = {{pg::text_datum(to_text(document.difference)), false},
                       text(document.source),
                       text(document.target),
                       document.diff.empty() ? pg::Value{} : pg::Value{pg::json_from_text(document.diff), false},
                       {pg::bool_datum(document.waiting), false},
                       {pg::int64_datum(documents), false}};
    Datum values[std::size(row)];
    bool nulls[std::size(row)];
    for (std::size_t i = 0; i < std::size(row); i++) values[i] = row[i].datum, nulls[i] = row[i].null;
    args.add_row(values, nulls);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_compare) {
    if (args.is_null(0)) throw pg::Error("22004", "sync_job_type must not be null");
    ComparisonRequest request = comparison_request(args);
    auto type = require_job_type(*args.text(0));
    require_comparable(*type);
    require_this_version();
    require_session_of(type->run_as, "sync job type " + quoted(type->name),
                       "Have a worker do it with enqueue_compare(...), or use SET SESSION AUTHORIZATION first.");
    args.begin_rows();
    Comparison comparison = compare(*type, request);
    for (const DifferentDocument& document : comparison.documents) add_row(args, document, 1);
    for (int i = 0; i < difference_count; i++) {
        for (bool waiting : {false, true}) {
            std::int64_t more = comparison.counts[i][waiting] - comparison.listed[i][waiting];
            if (more > 0) add_row(args, {static_cast<Difference>(i), {}, {}, {}, waiting}, more);
        }
    }
    if (!comparison.surplus_unknown.empty()) {
        pg::notice("nothing is said of surplus targets of sync job type " + quoted(type->name) + ": " +
                   comparison.surplus_unknown);
    }
    return args.null_result();
}

namespace sync_job {

namespace {

// Whoever may enqueue jobs of the type may have it compared; a condition, which is the caller's own SQL, runs only as a
// role that the caller may become.
void require_may_compare(const JobType& type, const std::string& condition) {
    require_comparable(type);
    if (condition.empty()) return;
    pg::check_expression(condition);
    if (may_do_all(type, pg::current_user())) return;
    throw pg::Error("42501", "permission denied for argument condition of sync job type " + quoted(type.name))
        .detail("It is SQL that would run as role " + quoted(pg::role_name(type.run_as)) + ", which role " +
                quoted(pg::role_name(pg::current_user())) + " may not become.");
}

}  // namespace

}  // namespace sync_job

namespace sync_job {

void read_placement(pg::Arguments& args, int& i, EnqueueRequest& request) {
    request.queue = args.text(i++);
    request.priority = args.int32(i++);
    if (!args.is_null(i)) request.timeout = pg::interval_microseconds(args.datum(i));
    i++;
    request.scheduled_at = args.timestamp(i++);
    request.job_id = args.text(i++);
}

}  // namespace sync_job

SYNC_JOB_FUNCTION(sync_job_enqueue_compare) {
    if (args.is_null(0)) throw pg::Error("22004", "sync_job_type must not be null");
    auto type = require_job_type(*args.text(0));
    ComparisonRequest comparison = comparison_request(args);
    require_may_compare(*type, comparison.condition);
    EnqueueRequest request;
    request.sync_job_type = type->name;
    request.task = Task::compare;
    request.title = "Compare " + type->name;
    request.context = comparison_context(comparison);
    int i = 3;
    read_placement(args, i, request);
    request.deduplicate = args.boolean(i++).value_or(false);
    if (request.deduplicate && !request.job_id) request.job_id = request.title;
    return pg::int64_datum(enqueue(request));
}

namespace sync_job {

namespace {

double percent_at(pg::Arguments& args, int index, const char* name, double otherwise) {
    if (args.is_null(index)) return otherwise;
    double percent = pg::datum_numeric(args.datum(index));
    if (percent >= 0 && percent <= 100) return percent;
    throw pg::Error("22023", std::string(name) + " must be between 0 and 100, not " +
                                 pg::value_to_text(args.datum(index), pg::type::numeric));
}

std::int64_t at_least(std::int64_t least, std::int64_t value, const char* name) {
    if (value >= least) return value;
    throw pg::Error(
        "22023", std::string(name) + " must be at least " + std::to_string(least) + ", not " + std::to_string(value));
}

}  // namespace

FullSyncRequest full_sync_arguments(pg::Arguments& args, int& i) {
    FullSyncRequest request;
    request.condition = args.text(i++).value_or("");
    if (!request.condition.empty()) pg::check_expression(request.condition);
    request.dry_run = args.boolean(i++).value_or(false);
    request.delete_surplus = args.boolean(i++).value_or(false);
    request.max_change_percent = percent_at(args, i++, "max_change_percent", request.max_change_percent);
    if (auto most = args.int64(i++)) request.max_changes = at_least(0, *most, "max_changes");
    request.max_delete_percent = percent_at(args, i++, "max_delete_percent", request.max_delete_percent);
    if (auto rate = args.int32(i++))
        request.documents_per_second = static_cast<int>(at_least(1, *rate, "documents_per_second"));
    request.chunk_size =
        std::min(static_cast<int>(at_least(1, args.int32(i++).value_or(most_in_chunk), "chunk_size")), most_in_chunk);
    request.check_first = args.boolean(i++).value_or(false);
    request.adopt = args.boolean(i++).value_or(false);
    return request;
}

namespace {

void say_when_unwatched(const JobType& type) {
    if (!source_triggers(type.name, type.source).empty()) return;
    pg::notice("no trigger of " + quoted(type.source_label) + " enqueues jobs of sync job type " + quoted(type.name) +
                   ": what changes during the full sync is not synced",
               "Use attach_sync_job_triggers(), or run it again.");
}

// A run decides what is written in the whole table: that needs all rights.
void require_may_sync_all(const JobType& type, const FullSyncRequest& full_sync) {
    require_comparable(type);
    if (may_do_all(type, pg::current_user())) return require_full_sync(type, full_sync);
    throw pg::Error("42501", "permission denied for a full sync of sync job type " + quoted(type.name))
        .detail("It runs as role " + quoted(pg::role_name(type.run_as)) + ", which role " +
                quoted(pg::role_name(pg::current_user())) + " may not become.");
}

std::int64_t enqueue_run(const JobType& type, const EnqueueRequest& request, bool deduplicate) {
    lock_full_syncs(type.name);
    if (auto other = other_full_sync(type.name, 0, false)) {
        if (deduplicate) return *other;
        throw pg::Error("55006", "full sync " + std::to_string(*other) + " of sync job type " + quoted(type.name) + " has not ended")
            .hint("Wait for it, cancel it, or use enqueue_full_sync() with deduplicate => true to get its id.");
    }
    say_when_unwatched(type);
    return enqueue(request);
}

}  // namespace

EnqueueRequest request_for_full_sync(const JobType& type, const FullSyncRequest& full_sync) {
    require_may_sync_all(type, full_sync);
    EnqueueRequest request;
    request.sync_job_type = type.name;
    request.task = Task::full_sync;
    request.title = "Full sync " + type.name;
    request.context = full_sync_context(full_sync);
    request.dry_run = full_sync.dry_run;
    request.max_retries = 0;
    request.priority = type.priority + 1;  // behind the jobs of changes
    return request;
}

std::int64_t enqueue_task_again(const Job& job, const EnqueueRequest& request) {
    auto type = require_job_type(request.sync_job_type);
    if (*request.task == Task::compare) {
        require_may_compare(*type, comparison_request_of(job).condition);
        return enqueue(request);
    }
    require_may_sync_all(*type, full_sync_request_of(job));
    return enqueue_run(*type, request, false);
}

}  // namespace sync_job

SYNC_JOB_FUNCTION(sync_job_enqueue_full_sync) {
    if (args.is_null(0)) throw pg::Error("22004", "sync_job_type must not be null");
    auto type = require_job_type(*args.text(0));
    int i = 1;
    EnqueueRequest request = request_for_full_sync(*type, full_sync_arguments(args, i));
    request.queue = args.text(i++);
    if (!args.is_null(i)) request.priority = args.int32(i);
    i++;
    request.scheduled_at = args.timestamp(i++);
    request.job_id = args.text(i++);
    return pg::int64_datum(enqueue_run(*type, request, args.boolean(i).value_or(false)));
}

SYNC_JOB_FUNCTION(sync_job_pause) {
    pg::require_writable("pause_sync_job()");
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    std::int64_t id = *args.int64(0);
    if (auto there = job_elsewhere(id, "pause_sync_job(" + std::to_string(id) + ")")) return *there;
    auto stored = lock_job(id);
    if (!stored) no_such_job(id);
    require_may_steer(stored->job);
    bool queued = stored->job.status() == Status::queued, started = stored->job.status() == Status::started;
    if (task_of(stored->job) != Task::full_sync || !(queued || started)) {
        throw pg::Error("55000", "cannot pause sync job " + std::to_string(id) + " with status " +
                                     std::string(to_text(stored->job.status())))
            .detail("That takes a full sync that is Queued or Started.");
    }
    Job job = stored->job.copy();
    FullSyncCheckpoint checkpoint = full_sync_checkpoint_of(job);
    if (queued) {
        job.set_status(Status::pending);
        checkpoint.attempt = 0;  // what an attempt has found out is out of date then
    } else {
        checkpoint.pause = true;
    }
    if (!job.is_null(JobColumn::checkpoint) || !queued) job.set(JobColumn::checkpoint, as_json(checkpoint));
    store_job({job, stored->partition});
    return job_as_row(row_for_caller(job));
}
