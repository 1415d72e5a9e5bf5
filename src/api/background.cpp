// enqueue_background_job(), progress, events and checkpoints: what background work is made of.
#include "controller/background_call.hpp"
#include "core/text.hpp"
#include "engine/runner.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"
#include "queue/enqueue.hpp"
#include "queue/events.hpp"
#include "queue/in_progress.hpp"
#include "queue/task.hpp"
#include "shared/activity.hpp"
#include "shared/document_locks.hpp"


namespace sync_job {

namespace {

using C = JobColumn;

// Ahead of everything that was not itself put at the front.
constexpr int front_priority = -1000000;

std::optional<std::int64_t> interval_at(pg::Arguments& args, int index) {
    if (args.is_null(index)) return std::nullopt;
    return pg::interval_microseconds(args.datum(index));
}

std::optional<std::string> callback_at(pg::Arguments& args, int index) {
    auto name = args.text(index);
    if (!name) return std::nullopt;
    return checked_callback(*name);
}

std::string after_failure_at(pg::Arguments& args, int index) {
    std::string choice = lower(args.text(index).value_or("cancel"));
    if (choice == "cancel" || choice == "run") return choice;
    throw pg::Error("22023", "invalid after_failure " + quoted(choice)).hint("Valid values are: cancel, run.");
}

// The arguments in the order of sql/background.sql.
EnqueueRequest read_request(pg::Arguments& args, bool* at_once) {
    if (args.is_null(0)) throw pg::Error("22004", "procedure must not be null");
    EnqueueRequest request;
    request.sync_job_type = background_type_name;
    int i = 1;
    if (!args.is_null(i)) request.context = {args.datum(i), false};
    i++;
    BackgroundCall call = prepare_call(*args.text(0), request.context);  // so that a mistake shows now
    request.procedure = qualified_name(call.function);
    request.queue = args.text(i++);
    request.timeout = interval_at(args, i++);
    request.job_id = args.text(i++);
    request.deduplicate = args.boolean(i++).value_or(false);
    request.scheduled_at = args.timestamp(i++);
    request.priority = args.int32(i++);
    if (args.boolean(i++).value_or(false)) request.priority = std::min(request.priority.value_or(0), front_priority);
    *at_once = args.boolean(i++).value_or(false);
    request.on_success = callback_at(args, i++);
    request.on_failure = callback_at(args, i++);
    request.after = args.int64_array(i++);
    request.after_failure = after_failure_at(args, i++);
    request.job_group = args.text(i++);
    request.title = args.text(i++);
    request.max_retries = args.int32(i++);
    request.retry_delay = interval_at(args, i++);
    request.verbose_logging = args.boolean(i++);
    request.publish_event = args.boolean(i++).value_or(false);
    if (!request.title) request.title = request.procedure;
    return request;
}

// Runs the job in the caller's transaction, and raises its error. Leaves a running job that has absorbed the request
// alone: its runner has the row until it ends.
void run_at_once(std::int64_t id) {
    if (find_job(id)->job.status() != Status::queued) return;
    require_this_version();
    take_session_slot();
    try {
        run_here(*lock_job(id), true);
    } catch (pg::Error& error) {
        if (error.sqlstate() == "2D000" && error.report().hint.empty()) {
            error.hint("A procedure that commits cannot run within a transaction: enqueue it without now, COMMIT, and CALL "
                       "execute_sync_job(id, NULL).");
        }
        throw;
    }
}

// --- Checkpoints: kept with the row of the job that runs in this session ---

StoredJob running_job() {
    std::int64_t id = current_job_id();
    auto stored = id == 0 ? std::nullopt : lock_job(id);
    if (!stored) {
        throw pg::Error("55000", "no sync job runs in this session")
            .detail("A checkpoint belongs to the job that keeps it.");
    }
    return *stored;
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_enqueue_background) {
    bool at_once = false;
    EnqueueRequest request = read_request(args, &at_once);
    if (at_once && (request.scheduled_at || !request.after.empty())) {
        throw pg::Error("22023", "now cannot be combined with scheduled_at or after");
    }
    std::int64_t id = enqueue(request);
    if (at_once) {
        pg::command_counter_increment();
        run_at_once(id);
    }
    return pg::int64_datum(id);
}

SYNC_JOB_FUNCTION(sync_job_report_progress) {
    if (args.is_null(0)) throw pg::Error("22004", "percent must not be null");
    double percent = pg::datum_numeric(args.datum(0));
    if (!(percent >= 0 && percent <= 100)) {
        throw pg::Error(
            "22003", "percent must be between 0 and 100, not " + pg::value_to_text(args.datum(0), pg::type::numeric));
    }
    std::optional<std::string_view> title, description;
    if (!args.is_null(1)) title = pg::datum_text(args.datum(1));
    if (!args.is_null(2)) description = pg::datum_text(args.datum(2));
    show_progress(percent, title, description);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_publish_event) {
    if (args.is_null(0)) throw pg::Error("22004", "event must not be null");
    std::string event = *args.text(0);
    if (event.empty() || event.size() > 200) {
        throw pg::Error("22023", "an event's name must have 1 to 200 bytes, not " + std::to_string(event.size()));
    }
    pg::Value message;
    if (!args.is_null(1)) message = {args.datum(1), false};
    publish_event(event, message);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_get_checkpoint) {
    StoredJob stored = running_job();
    if (stored.job.is_null(C::checkpoint)) return args.null_result();
    return stored.job.datum(C::checkpoint);
}

SYNC_JOB_FUNCTION(sync_job_set_checkpoint) {
    pg::require_writable("set_sync_job_checkpoint()");
    StoredJob stored = running_job();
    if (is_set(stored.job) || task_of(stored.job) == Task::full_sync) {
        mark_leaves_set();
        throw pg::Error("0A000", "a document of a set job or full sync has no checkpoint").hint("It runs again, as a job of its own.");
    }
    if (task_of(stored.job)) {
        throw pg::Error("0A000", "the checkpoint of sync job " + std::to_string(stored.job.id()) + " is its own")
            .detail("It is a job about all documents of its type, and keeps how far it has come.");
    }
    stored.job = stored.job.copy();
    if (args.is_null(0)) {
        stored.job.clear(C::checkpoint);
    } else {
        stored.job.set(C::checkpoint, args.datum(0));
    }
    store_job(stored);
    mark_job_row_moved();
    return args.null_result();
}
