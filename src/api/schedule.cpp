// Schedules: what pg_cron is told, and what it calls.
#include "api/params.hpp"
#include "controller/background_call.hpp"
#include "core/cron.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/remote.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/enqueue.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

// --- pg_cron ---

// Where pg_cron lives: this database, or another one of the cluster.
struct CronHome {
    Oid database;
    bool here;
};

CronHome cron_home() {
    std::string name = pg::get_setting("cron.database_name");
    if (name.empty()) {
        throw pg::Error("55000", "pg_cron is not loaded")
            .detail("Schedules are kept by the extension pg_cron.")
            .hint(
                "Install it, add pg_cron to shared_preload_libraries, restart, and CREATE EXTENSION pg_cron in the "
                "database "
                "named by cron.database_name.");
    }
    Oid database = pg::database_oid(name);
    if (database == pg::no_oid) {
        throw pg::Error("55000", "database " + quoted(name) + " of pg_cron does not exist")
            .hint("See cron.database_name.");
    }
    bool here = database == pg::my_database();
    if (here && !pg::find_extension("pg_cron")) {
        throw pg::Error("55000", "extension pg_cron is not installed in this database")
            .hint("Use CREATE EXTENSION pg_cron.");
    }
    return {database, here};
}

void tell_cron(const std::string& here_sql, const std::string& elsewhere_sql) {
    CronHome home = cron_home();
    if (home.here) {
        pg::SpiScope spi;
        pg::execute_sql(here_sql);
        return;
    }
    try {
        pg::run_in_database(home.database, "pg_cron", pg::current_user(), elsewhere_sql);
    } catch (const pg::Error& error) {
        throw pg::Error(error.sqlstate(), "pg_cron in database " + quoted(pg::get_setting("cron.database_name")) +
                                              " refused: " + error.report().message)
            .hint(error.report().hint.empty() ? "Make sure that extension pg_cron is installed there, and that role " +
                                                    quoted(pg::role_name(pg::current_user())) +
                                                    " may use schema cron and its function schedule_in_database."
                                              : error.report().hint);
    }
}

// Names are unique per role in pg_cron; ours say which database they are for.
std::string cron_name(const std::string& name) { return "sync_job:" + pg::my_database_name() + ":" + name; }

void cron_schedule(const std::string& name, const std::string& cron, const std::string& command) {
    std::string arguments =
        pg::quoted_literal(cron_name(name)) + ", " + pg::quoted_literal(cron) + ", " + pg::quoted_literal(command);
    tell_cron("SELECT cron.schedule(" + arguments + ")", "SELECT cron.schedule_in_database(" + arguments + ", " +
                                                             pg::quoted_literal(pg::my_database_name()) + ")");
}

void cron_unschedule(const std::string& name) {
    std::string sql = "SELECT cron.unschedule(j.jobid) FROM cron.job AS j WHERE j.jobname OPERATOR(pg_catalog.=) " +
                      pg::quoted_literal(cron_name(name)) + " AND j.username OPERATOR(pg_catalog.=) current_user";
    tell_cron(sql, sql);
}

// --- The schedules ---

struct Schedule {
    std::string name, cron;
    std::optional<std::string> sync_job_type, procedure, queue;
    pg::Value params;
    bool overlap = false, paused = false;
    Oid owner = pg::no_oid;
};

std::string checked_cron(const std::string& schedule, bool* is_long) {
    std::string cron = cron_for_word(schedule, is_long);
    std::string problem;
    auto parsed = parse_cron(cron, &problem);
    if (!parsed) {
        throw pg::Error("22023", "invalid schedule " + quoted(schedule))
            .detail("As a cron expression: " + problem + ".")
            .hint("Use a cron expression, or one of all, hourly, daily, weekly, monthly, each also with _long.");
    }
    if (!next_cron_time(*parsed, 0)) {
        throw pg::Error("22023", "schedule " + quoted(schedule) + " names a time that never comes");
    }
    return cron;
}

// schedule_full_sync() keeps in the params the context of the run, and these. enqueue_sync_job() does not know the operation.
constexpr const char* operation_param = "operation";
constexpr const char* dry_run_param = "dry_run";
constexpr const char* priority_param = "priority";

bool is_full_sync(const Schedule& schedule) {
    if (!schedule.sync_job_type) return false;
    for (const pg::JsonField& field : pg::json_fields(schedule.params.datum)) {
        if (field.key == operation_param) return field.text == to_text(Task::full_sync);
    }
    return false;
}

pg::Value params_of_full_sync(const FullSyncRequest& full_sync, std::optional<int> priority) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field(operation_param, to_text(Task::full_sync));
    json.key(dry_run_param);
    json.boolean(full_sync.dry_run);
    json.key(priority_param);
    priority ? json.number(*priority) : json.null();
    for (const pg::JsonField& field : pg::json_fields(full_sync_context(full_sync).datum)) {
        json.key(field.key);
        json.value(field.value, false, pg::type::jsonb, false);
    }
    json.end_object();
    return {json.finish(), false};
}

EnqueueRequest request_of_full_sync(const Schedule& schedule) {
    FullSyncRequest full_sync = full_sync_request_from(schedule.params.datum);
    std::optional<int> priority;
    for (const pg::JsonField& field : pg::json_fields(schedule.params.datum)) {
        if (field.key == dry_run_param) full_sync.dry_run = field.text == "true";
        if (field.key == priority_param && field.kind != pg::JsonKind::null)
            priority = static_cast<int>(task_number(field, INT32_MIN, INT32_MAX, "params"));
    }
    EnqueueRequest request = request_for_full_sync(*require_job_type(*schedule.sync_job_type), full_sync);
    if (priority) request.priority = priority;
    return request;
}

// The request that a run of the schedule makes; raises an error if something is wrong with it.
EnqueueRequest request_of(const Schedule& schedule) {
    EnqueueRequest request;
    if (schedule.procedure) {
        request.sync_job_type = background_type_name;
        request.context = schedule.params;
        BackgroundCall call = prepare_call(*schedule.procedure, request.context);
        request.procedure = qualified_name(call.function);
        request.title = request.procedure;
    } else if (is_full_sync(schedule)) {
        request = request_of_full_sync(schedule);
    } else {
        request = request_from_params(schedule.params.datum);
        request.sync_job_type = *schedule.sync_job_type;
    }
    if (schedule.queue) request.queue = schedule.queue;
    request.trigger_type = "Scheduler";
    request.job_id = "schedule:" + schedule.name;
    request.deduplicate = !schedule.overlap;
    return request;
}

bool is_paused(const std::string& name) {
    static auto& select =
        *new InternalStatement("SELECT paused FROM {}.sync_job_schedule WHERE name = $1", {pg::type::text});
    if (!schema_objects().current) return false;
    auto rows = select.run({{pg::text_datum(name), false}});
    return !rows.empty() && pg::datum_bool(rows[0][0].datum);
}

std::optional<Schedule> find_schedule(const std::string& name) {
    static auto& select = *new InternalStatement(
        "SELECT cron, sync_job_type, procedure, params, overlap, owner, queue FROM {}.sync_job_schedule WHERE name = "
        "$1",
        {pg::type::text});
    auto rows = select.run({{pg::text_datum(name), false}});
    if (rows.empty()) return std::nullopt;
    const auto& row = rows[0];
    Schedule schedule;
    schedule.name = name;
    schedule.cron = pg::datum_text(row[0].datum);
    if (!row[1].null) schedule.sync_job_type = std::string(pg::datum_text(row[1].datum));
    if (!row[2].null) schedule.procedure = std::string(pg::datum_text(row[2].datum));
    schedule.params = row[3];
    schedule.overlap = pg::datum_bool(row[4].datum);
    schedule.owner = pg::datum_oid(row[5].datum);
    if (!row[6].null) schedule.queue = std::string(pg::datum_text(row[6].datum));
    schedule.paused = is_paused(name);
    return schedule;
}

Schedule require_schedule(const std::string& name) {
    if (auto schedule = find_schedule(name)) return *schedule;
    throw pg::Error("42704", "schedule " + quoted(name) + " does not exist");
}

pg::Error not_yours(const Schedule& schedule) {
    return pg::Error("42501", "permission denied for schedule " + quoted(schedule.name))
        .detail("It belongs to role " + quoted(pg::role_name(schedule.owner)) + ".");
}

void require_may_end(const Schedule& schedule) {
    if (schedule.owner != pg::current_user() && !pg::is_superuser(pg::current_user())) throw not_yours(schedule);
}

// Not even a superuser runs another role's schedule: the superuser would own the job, but the other role decides what it does.
void require_owner(const Schedule& schedule) {
    if (schedule.owner != pg::current_user()) throw not_yours(schedule);
}

void save(const Schedule& schedule, const std::string& as_given) {
    static auto& insert = *new InternalStatement(
        "INSERT INTO {}.sync_job_schedule (name, schedule, cron, sync_job_type, procedure, params, overlap, owner, "
        "queue)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        {pg::type::text, pg::type::text, pg::type::text, pg::type::text, pg::type::text, pg::type::jsonb,
         pg::type::boolean, pg::type::regrole, pg::type::text});
    auto text = [](const std::optional<std::string>& value) {
        return value ? pg::Value{pg::text_datum(*value), false} : pg::Value{};
    };
    insert.run({{pg::text_datum(schedule.name), false},
                {pg::text_datum(as_given), false},
                {pg::text_datum(schedule.cron), false},
                text(schedule.sync_job_type),
                text(schedule.procedure),
                schedule.params,
                {pg::bool_datum(schedule.overlap), false},
                {pg::oid_datum(schedule.owner), false},
                text(schedule.queue)});
}

// Its name, time and queue, and its owner.
Schedule new_schedule(pg::Arguments& args, std::optional<std::string> queue) {
    for (int i : {0, 1}) {
        if (args.is_null(i)) throw pg::Error("22004", "name and schedule must not be null");
    }
    Schedule schedule;
    schedule.name = *args.text(0);
    bool is_long = false;
    schedule.cron = checked_cron(*args.text(1), &is_long);
    schedule.queue = std::move(queue);
    if (is_long && !schedule.queue) schedule.queue = "long";
    if (schedule.queue) require_queue(*schedule.queue);
    schedule.owner = pg::current_user();
    return schedule;
}

Schedule read_schedule(pg::Arguments& args) {
    Schedule schedule = new_schedule(args, args.text(5));
    schedule.sync_job_type = args.text(2);
    schedule.procedure = args.text(3);
    if (schedule.sync_job_type.has_value() == schedule.procedure.has_value()) {
        throw pg::Error("22023", "a schedule needs either a sync_job_type or a procedure");
    }
    schedule.params = {args.is_null(4) ? pg::json_from_text("{}") : args.datum(4), false};
    schedule.overlap = args.boolean(6).value_or(false);
    if (schedule.procedure)
        schedule.procedure = qualified_name(prepare_call(*schedule.procedure, schedule.params).function);
    return schedule;
}

// One at a time for a type, so there is no overlap.
Schedule read_full_sync_schedule(pg::Arguments& args) {
    if (args.is_null(2)) throw pg::Error("22004", "sync_job_type must not be null");
    int i = 3;
    FullSyncRequest full_sync = full_sync_arguments(args, i);
    Schedule schedule = new_schedule(args, args.text(i));
    schedule.sync_job_type = args.text(2);
    schedule.params = params_of_full_sync(full_sync, args.int32(i + 1));
    return schedule;
}

void make_schedule(const Schedule& schedule, const std::string& as_given) {
    Enqueuer check(request_of(schedule));  // so that a mistake, or a missing right, shows now
    if (find_schedule(schedule.name)) {
        throw pg::Error("42710", "schedule " + quoted(schedule.name) + " already exists")
            .hint("Use unschedule_sync_job('" + schedule.name + "') first.");
    }
    save(schedule, as_given);
    cron_schedule(
        schedule.name, schedule.cron,
        "SELECT " + schema_objects().in_schema("run_sync_job_schedule") + "(" + pg::quoted_literal(schedule.name) + ")");
}

Datum set_paused(pg::Arguments& args, bool paused) {
    static auto& update =
        *new InternalStatement("UPDATE {}.sync_job_schedule SET paused = $2 WHERE name = $1", {pg::type::text, pg::type::boolean});
    Schedule schedule = require_schedule(*args.text(0));
    if (schedule.owner != pg::current_user() && !has_level(pg::current_user(), Level::operator_)) throw not_yours(schedule);
    update.run({{pg::text_datum(schedule.name), false}, {pg::bool_datum(paused), false}});
    return args.null_result();
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_schedule_job) {
    pg::require_writable("schedule_sync_job()");
    make_schedule(read_schedule(args), *args.text(1));
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_schedule_full_sync) {
    pg::require_writable("schedule_full_sync()");
    make_schedule(read_full_sync_schedule(args), *args.text(1));
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_unschedule_job) {
    static auto& remove = *new InternalStatement("DELETE FROM {}.sync_job_schedule WHERE name = $1", {pg::type::text});
    Schedule schedule = require_schedule(*args.text(0));
    require_may_end(schedule);
    require_not_referred_to(pg::relation_oid(schema_objects().schema_oid, "sync_job_schedule"));
    remove.run({{pg::text_datum(schedule.name), false}});
    cron_unschedule(schedule.name);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_run_schedule) {
    Schedule schedule = require_schedule(*args.text(0));
    require_owner(schedule);
    if (schedule.paused) return args.null_result();
    EnqueueRequest request = request_of(schedule);
    if (request.task == Task::full_sync) {
        lock_full_syncs(request.sync_job_type);
        if (auto other = other_full_sync(request.sync_job_type, 0, false)) return pg::int64_datum(*other);
    }
    return pg::int64_datum(enqueue(request));
}

SYNC_JOB_FUNCTION(sync_job_pause_schedule) { return set_paused(args, true); }
SYNC_JOB_FUNCTION(sync_job_resume_schedule) { return set_paused(args, false); }

SYNC_JOB_FUNCTION(sync_job_enable_schedules) {
    pg::require_writable("enable_sync_job_schedules()");
    const SchemaObjects& o = schema_objects();
    cron_schedule("auto retry", "* * * * *", "SELECT " + o.in_schema("auto_retry_failed_sync_jobs()"));
    cron_schedule("clear logs", "0 3 * * *", "CALL " + o.in_schema("clear_sync_job_logs()"));
    args.begin_rows();
    for (const char* name : {"auto retry", "clear logs"}) {
        Datum value = pg::text_datum(cron_name(name));
        bool is_null = false;
        args.add_row(&value, &is_null);
    }
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_disable_schedules) {
    for (const char* name : {"auto retry", "clear logs"}) cron_unschedule(name);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_next_cron_time) {
    constexpr std::int64_t epoch_2000 = 946684800;
    std::string problem;
    auto cron = parse_cron(*args.text(0), &problem);
    if (!cron) return args.null_result();
    auto next = next_cron_time(*cron, *args.timestamp(1) / 1000000 + epoch_2000);
    if (!next) return args.null_result();
    return pg::int64_datum((*next - epoch_2000) * 1000000);
}
