// start_, retry_, cancel_, execute_sync_job() and run_sync_jobs(): controlling jobs by hand.
#include <deque>
#include <vector>

#include "api/nodes.hpp"
#include "controller/callable.hpp"
#include "core/text.hpp"
#include "engine/claim.hpp"
#include "engine/interruption.hpp"
#include "engine/runner.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/dependencies.hpp"
#include "queue/in_progress.hpp"
#include "queue/push.hpp"
#include "queue/rights.hpp"
#include "queue/transition.hpp"
#include "shared/activity.hpp"
#include "shared/document_locks.hpp"
#include "shared/settings.hpp"
#include "shared/wake.hpp"
#include "worker/scheduler_queries.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// Also one that this very statement has inserted: SELECT execute_sync_job(enqueue_sync_job(…)).
StoredJob require_job(std::int64_t id) {
    auto seen = find_job(id);
    if (!seen) {
        pg::command_counter_increment();
        seen = find_job(id);
    }
    if (!seen) no_such_job(id);
    return *seen;
}

// The job, locked, in a state that allows the action. Looks at it first without waiting: a running job is locked by its
// runner until it ends, and its state is known without the lock.
StoredJob locked_job(std::int64_t id, Action action, void (*check_right)(const Job&)) {
    StoredJob seen = require_job(id);
    check_right(seen.job);
    if (is_in_progress(id)) {  // by this transaction: its row does not say so
        Job started = seen.job.copy();
        started.set_status(Status::started);
        require_allowed(started, action);
    }
    require_allowed(seen.job, action);
    auto stored = lock_job(id);
    if (!stored) no_such_job(id);
    wake_scheduler_at_commit();  // whoever passes over the job while it is locked must look again afterwards
    return *stored;
}

void check_context(const pg::Value& context) {
    if (!context.null && pg::json_kind(context.datum) != pg::JsonKind::object) {
        throw pg::Error("22023", "context must be a JSON object");
    }
}

// A role that may control a job is not always allowed to read it.
Datum shown(const Job& job) { return job_as_row(row_for_caller(job)); }

// The id is a text if the driver has sent it without a type.
std::int64_t required_id(pg::Arguments& args) {
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    if (args.type(0) == pg::type::text) return pg::datum_int64(pg::text_to_value(*args.text(0), pg::type::int8));
    return *args.int64(0);
}

// --- Canceling what runs ---

constexpr int most_cancel_waits = 1000;
constexpr long cancel_wait_milliseconds = 10;

// Its row says Started, but no worker can be asked to stop it: it is about to begin, or its end about to be recorded.
bool begins_or_ends(std::int64_t id) {
    auto seen = find_job(id);
    return seen && seen->job.status() == Status::started && !session_runs(pg::my_database(), id);
}

bool ask_http_worker(std::int64_t id, const std::string& reason) {
    auto seen = find_job(id);
    bool may_be_under_way = seen && seen->job.status() == Status::started && is_push(seen->job) && !seen->job.is_null(C::worker_pid);
    return may_be_under_way && request_http_cancel(seen->job.int32(C::worker_pid), id, reason);
}

// Asks the worker that runs the job to stop it, and waits until it has. True when the job was running.
bool stop_running(std::int64_t id, const std::string& reason) {
    if (!has_workers()) return false;
    bool asked = false, sent = false;  // to an HTTP worker, which has many jobs at a time
    for (int i = 0; i < most_cancel_waits; i++) {
        sent = sent || ask_http_worker(id, reason);
        asked = asked || sent || request_cancel(pg::my_database(), id, reason);
        if (!(asked && !sent ? runs_now(pg::my_database(), id) : begins_or_ends(id))) return asked || i > 0;
        pg::pause(cancel_wait_milliseconds);
    }
    return true;
}

struct CancelRequest {
    std::string reason;
    bool running;
};

// Acts on one of several jobs. One whose state has changed since we looked is left out; an error of the server becomes a
// warning. A missing right is raised.
template <class F>
void act_on_one(std::int64_t id, Action action, F&& act) {
    try {
        pg::Subtransaction subtransaction;
        act();
        subtransaction.commit();
    } catch (const pg::Error& error) {
        bool own = !error.report().from_server;
        if (own && error.sqlstate() == "55000") return;
        if (own || !pg::is_specific(error)) throw;
        pg::warning("could not " + std::string(to_text(action)) + " sync job " + std::to_string(id) + ": " + error.report().message);
    }
}

// Canceling or retrying a Relayed job acts on those of its children whose state allows it.
template <class F>
std::optional<Job> act_on_children(std::int64_t id, Action action, bool also_running, F&& act) {
    StoredJob parent = require_job(id);
    if (parent.job.status() != Status::relayed) return std::nullopt;
    require_may_steer(parent.job);
    for (std::int64_t child : children_of(id)) {
        auto seen = find_job(child);
        bool fits = seen && (allows(seen->job.status(), action) || seen->job.status() == Status::relayed ||
                             (also_running && seen->job.status() == Status::started));
        if (fits) act_on_one(child, action, [&] { act(child); });
    }
    return parent.job;
}

Job cancel(std::int64_t id, const CancelRequest& request) {
    auto relayed =
        act_on_children(id, Action::cancel, request.running, [&](std::int64_t child) { cancel(child, request); });
    if (relayed) return *relayed;
    if (request.running) {
        require_may_steer(require_job(id).job);
        if (stop_running(id, request.reason)) {
            auto stopped = lock_job(id);
            if (stopped && stopped->job.status() == Status::canceled) return stopped->job;
        }
    }
    // It does not run, or has ended first, or waits again: its state decides.
    return cancel_job(locked_job(id, Action::cancel, require_may_steer), request.reason);
}

CancelRequest cancel_request(pg::Arguments& args) {
    return {args.text(1).value_or(""), args.boolean(2).value_or(false)};
}

Job retry(std::int64_t id, pg::Value context) {
    auto relayed = act_on_children(id, Action::retry, false, [&](std::int64_t child) { retry(child, context); });
    if (relayed) return *relayed;
    auto check = context.null ? require_may_run : require_may_change_context;
    return retry_job(locked_job(id, Action::retry, check), context, true);
}

Job start(std::int64_t id) { return start_job(locked_job(id, Action::start, require_may_run)); }

// The arguments after the id, as SQL for the node where the job is.
std::string text_of_context(pg::Arguments& args) { return ", " + jsonb_argument(args, 1); }
std::string text_of_request(const CancelRequest& request) {
    return ", " + (request.reason.empty() ? "NULL" : pg::quoted_literal(request.reason)) + "::text, " + (request.running ? "true" : "false");
}

std::optional<Datum> act_elsewhere(std::int64_t id, const std::string& function, const std::string& arguments = {}) {
    return job_elsewhere(id, function + "(" + std::to_string(id) + "::bigint" + arguments + ")");
}

// The array forms act on the jobs whose state allows the action, and leave the others alone. `function` is the one to call at
// other nodes.
template <class F>
Datum for_each(pg::Arguments& args, Action action, bool also_running, const std::string& function, const std::string& arguments, F&& act) {
    pg::require_writable("this function");
    args.begin_rows();
    std::vector<std::int64_t> given = args.int64_array(0);
    for (Datum job : jobs_elsewhere(given, function, arguments)) args.add_composite(job);
    std::deque<std::int64_t> ids(given.begin(), given.end());
    while (!ids.empty()) {
        std::int64_t id = ids.front();
        ids.pop_front();
        auto seen = find_job(id);
        if (!seen) continue;
        if (seen->job.status() == Status::relayed && action != Action::start) {  // its children, in its place
            auto children = children_of(id);
            ids.insert(ids.begin(), children.begin(), children.end());
            continue;
        }
        bool fits = allows(seen->job.status(), action) || (also_running && seen->job.status() == Status::started);
        if (!fits) continue;
        act_on_one(id, action, [&] { args.add_composite(act(id)); });
    }
    return args.null_result();
}

// --- Running here ---

void check_runs_as_me(const Job& job) {
    require_session_of(job.oid(C::run_as), "sync job " + std::to_string(job.id()),
                       "Leave it to a worker and CALL wait_for_sync_job(...), or use SET SESSION AUTHORIZATION first.");
}

// With one snapshot for the whole transaction a job could not see what it was enqueued for.
void require_read_committed(const char* function) {
    if (!pg::uses_one_snapshot()) return;
    throw pg::Error("25001", std::string(function) + " needs the READ COMMITTED isolation level");
}

// No transaction may be open during the wait for a server.
[[noreturn]] void raise_push(std::int64_t id) {
    throw pg::Error("0A000", "sync job " + std::to_string(id) + " is an HTTP push, which only a worker sends")
        .hint("Leave it to a worker and CALL wait_for_sync_job(...); a job with dry_run => true shows the request.");
}
void refuse_push(const Job& job) {
    if (is_push(job)) raise_push(job.id());
}

// Called after everything that can run here has run.
void refuse_waiting_pushes(const std::vector<std::string>& queues) {
    static auto& select = *new InternalStatement(
        "SELECT l.id FROM sync_job_internal.sync_job_live AS l JOIN {}.sync_job_type AS t ON t.name = l.sync_job_type"
        " WHERE l.status = 'Queued' AND l.held AND t.http IS NOT NULL AND NOT t.paused AND l.run_as::oid = $1 AND l.queue = ANY ($2) ORDER BY l.id LIMIT 1",
        {pg::type::oid, pg::type::text_array});
    if (push_types().empty()) return;
    auto rows = select.run({{pg::oid_datum(pg::current_user()), false}, {pg::text_array_datum(queues), false}});
    if (!rows.empty()) raise_push(pg::datum_int64(rows[0][0].datum));
}

Job execute_here(std::int64_t id) {
    pg::require_writable("execute_sync_job()");
    require_read_committed("execute_sync_job()");
    require_this_version();
    StoredJob stored = locked_job(id, Action::execute, check_runs_as_me);
    require_allowed(stored.job, Action::execute);
    refuse_push(stored.job);
    if (needs_own_transactions(stored.job)) {
        throw pg::Error("0A000",
                        "the controller of sync job " + std::to_string(id) + " is a procedure, which may commit")
            .hint("Use CALL execute_sync_job(" + std::to_string(id) + ", NULL), outside a transaction block.");
    }
    take_session_slot();
    return run_here(stored);
}

// Transactions of a procedure that was called outside a transaction block.
class ProcedureTransactions : public Transactions {
public:
    void begin() override {
        pg::ensure_portal_snapshot();
        take_session_slot();
    }
    void commit() override { pg::spi_commit(); }
    void rollback() noexcept override {
        try {
            pg::spi_rollback();
        } catch (const std::exception& error) {
            pg::report_in_cleanup(error);
        }
    }
    void run_committing_job(std::int64_t id) override {
        begin();
        run_committing_here(id);
        commit();
    }
};

std::optional<Job> claim_first(const std::string& queue) {
    Sweep sweep;
    do {
        Claim claim(queue, pg::current_user(), sweep.at.value_or(ClaimPosition()), sweep, false);
        if (auto job = claim.next()) return job;
        claim.end();
    } while (sweep.gave_up);
    return std::nullopt;
}

// Within a transaction block nothing can be committed: runs job after job in the caller's transaction.
int run_within_transaction(const std::string& queue, int most) {
    take_session_slot();
    int ended = 0;
    while (most == 0 || ended < most) {
        if (require_queue(queue)->paused) break;
        std::optional<Job> job = claim_first(queue);
        if (!job) break;
        if (needs_own_transactions(*job)) {
            throw pg::Error("0A000", "the controller of sync " + describe(*job) + " is a procedure, which may commit")
                .hint("CALL run_sync_jobs() outside a transaction block.");
        }
        run_here({*job, Partition::live});
        raise_interruption();
        ended++;
    }
    return ended;
}

int release_all_waiting() {
    int released = 0;
    std::int64_t seen = 0;
    do {
        Release release = release_waiting_jobs(seen);
        released += release.released;
        seen = release.seen_up_to;
    } while (seen != 0);
    return released;
}

int run_queue(const std::string& queue, int most, bool may_commit) {
    if (!may_commit) return run_within_transaction(queue, most);
    ProcedureTransactions transactions;
    RunnerLimits limits{settings.batch_time, settings.batch_jobs};
    Runner runner(queue, pg::current_user(), transactions, limits);
    int ended = 0;
    while (most == 0 || ended < most) {
        int now = runner.run_round(most == 0 ? 0 : most - ended);
        raise_interruption();
        if (now == 0) break;
        ended += now;
    }
    return ended;
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_start) {
    pg::require_writable("start_sync_job()");
    std::int64_t id = required_id(args);
    if (auto there = act_elsewhere(id, "start_sync_job")) return *there;
    return shown(start(id));
}

SYNC_JOB_FUNCTION(sync_job_start_many) {
    return for_each(args, Action::start, false, "start_sync_jobs", "", [](std::int64_t id) { return shown(start(id)); });
}

SYNC_JOB_FUNCTION(sync_job_retry) {
    pg::require_writable("retry_sync_job()");
    pg::Value context{args.datum(1), args.is_null(1)};
    check_context(context);
    std::int64_t id = required_id(args);
    if (auto there = act_elsewhere(id, "retry_sync_job", text_of_context(args))) return *there;
    return shown(retry(id, context));
}

SYNC_JOB_FUNCTION(sync_job_retry_many) {
    pg::Value context{args.datum(1), args.is_null(1)};
    check_context(context);
    return for_each(args, Action::retry, false, "retry_sync_jobs", text_of_context(args),
                    [&](std::int64_t id) { return shown(retry(id, context)); });
}

SYNC_JOB_FUNCTION(sync_job_cancel) {
    pg::require_writable("cancel_sync_job()");
    std::int64_t id = required_id(args);
    CancelRequest request = cancel_request(args);
    if (auto there = act_elsewhere(id, "cancel_sync_job", text_of_request(request))) return *there;
    return shown(cancel(id, request));
}

SYNC_JOB_FUNCTION(sync_job_cancel_many) {
    CancelRequest request = cancel_request(args);
    return for_each(args, Action::cancel, request.running, "cancel_sync_jobs", text_of_request(request),
                    [&](std::int64_t id) { return shown(cancel(id, request)); });
}

SYNC_JOB_FUNCTION(sync_job_execute) { return job_as_row(execute_here(required_id(args))); }

SYNC_JOB_FUNCTION(sync_job_execute_call) {
    std::int64_t id = required_id(args);
    if (!args.may_commit()) {
        throw pg::Error("25001", "CALL execute_sync_job() cannot run inside a transaction block")
            .hint("Use SELECT execute_sync_job(...) there, if the controller does not commit.");
    }
    require_this_version();
    pg::SpiScope spi(pg::SpiScope::Commits::allowed);
    StoredJob stored = locked_job(id, Action::execute, check_runs_as_me);
    require_allowed(stored.job, Action::execute);
    refuse_push(stored.job);
    ProcedureTransactions transactions;
    RunnerLimits limits;
    take_session_slot();
    Runner(std::string(stored.job.text(C::queue)), pg::current_user(), transactions, limits).run_one(stored);
    transactions.begin();
    auto ended = find_job(id);
    if (!ended) no_such_job(id);
    return args.record_result("job", job_as_row(ended->job));
}

SYNC_JOB_FUNCTION(sync_job_run_jobs) {
    pg::require_writable("run_sync_jobs()");
    require_read_committed("run_sync_jobs()");
    require_this_version();
    if (pg::current_user() != pg::session_user()) {
        throw pg::Error("42501", "run_sync_jobs() runs the jobs of the session's own role")
            .hint("Use RESET ROLE, or SET SESSION AUTHORIZATION.");
    }
    int most = args.int32(1).value_or(0);
    if (most < 0) throw pg::Error("22023", "max_jobs must not be negative: " + std::to_string(most));
    std::vector<std::string> queues;
    if (auto queue = args.text(0)) {
        queues.push_back(require_queue(*queue)->name);
    } else {
        for (const Queue& queue : all_queues()) queues.push_back(queue.name);
    }
    forget_interruption();
    requeue_due_retries(pg::current_user());
    while (release_held_jobs(pg::current_user()).jobs > 0) {
    }
    bool may_commit = args.may_commit();
    pg::SpiScope spi(may_commit ? pg::SpiScope::Commits::allowed : pg::SpiScope::Commits::never);
    int ended = 0;
    do {
        for (const std::string& queue : queues) {
            if (most > 0 && ended >= most) break;
            ended += run_queue(queue, most == 0 ? 0 : most - ended, may_commit);
        }
        if (may_commit) pg::ensure_portal_snapshot();
    } while (release_all_waiting() > 0 && (most == 0 || ended < most));
    if (most == 0) refuse_waiting_pushes(queues);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_run_committing_job) {
    std::int64_t id = required_id(args);
    // Nobody can run another role's job this way, or run one twice.
    if (!in_worker() || !take_committing_job(id))
        throw pg::Error("42501", "only a worker runs jobs this way").hint("Use CALL execute_sync_job(..., NULL).");
    pg::SpiScope spi(pg::SpiScope::Commits::allowed);
    run_committing_here(id);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_current) {
    std::int64_t id = current_job_id();
    return id == 0 ? args.null_result() : pg::int64_datum(id);
}
