// What sessions see of the workers, and the small calls between the two.
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>

#include "api/nodes.hpp"
#include "controller/boilerplate.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "queue/rights.hpp"
#include "shared/activity.hpp"
#include "shared/endpoints.hpp"
#include "shared/trouble.hpp"
#include "shared/wake.hpp"
#include "worker/database_commands.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

int requests_under_way(const WorkerSlot& slot) {
    int count = 0;
    for (const RequestUse& use : request_uses(slot)) count += is_endpoint_key(use.key) ? use.in_flight.load() : 0;
    return count;
}

const char* state_text(const WorkerSlot& slot, const Activity& activity) {
    if (slot.state == SlotState::starting) return "starting";
    return activity.job == 0 && requests_under_way(slot) == 0 ? "idle" : "running";
}

Datum percent_value(double percent) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6g", percent);
    return pg::text_to_value(text, pg::type::numeric);
}

// One row of sync_job_internal.activity(). Only those who have the rights of its role, or see all jobs, see what it
// runs.
void add_worker(pg::Arguments& args, const WorkerSlot& slot, bool sees_all) {
    Activity activity = read_activity(slot);
    bool visible = activity.job != 0 && (sees_all || pg::has_rights_of(pg::current_user(), slot.role));
    pg::Value row[10];
    row[0] = {pg::int32_datum(slot.pid), slot.pid == 0};
    row[1] = {pg::text_datum(slot.queue), false};
    row[2] = {pg::int64_datum(activity.job), !visible};
    row[3] = {visible ? pg::text_datum(activity.job_type) : 0, !visible};
    row[4] = {pg::int64_datum(activity.started_at), !visible};
    bool reported = visible && activity.percent >= 0;
    row[5] = {reported ? percent_value(activity.percent) : 0, !reported};
    row[6] = {visible ? pg::text_datum(activity.title) : 0, !visible || activity.title[0] == '\0'};
    row[7] = {visible ? pg::text_datum(activity.description) : 0, !visible || activity.description[0] == '\0'};
    if (int requests = requests_under_way(slot); requests > 0) {
        row[7] = {pg::text_datum(std::to_string(requests) + (requests == 1 ? " HTTP request" : " HTTP requests") + " under way"), false};
    }
    row[8] = {pg::oid_datum(slot.role), false};
    row[9] = {pg::text_datum(state_text(slot, activity)), false};
    Datum values[10];
    bool nulls[10];
    for (int i = 0; i < 10; i++) values[i] = row[i].datum, nulls[i] = row[i].null;
    args.add_row(values, nulls);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_activity) {
    args.begin_rows();
    Oid user = pg::current_user();
    bool sees_all = has_level(user, Level::operator_) || has_level(user, Level::viewer);
    if (Shared* s = shared()) {
        for (const WorkerSlot& slot : s->workers) {
            if (slot.state != SlotState::free && slot.database == pg::my_database()) {
                add_worker(args, slot, sees_all);
            }
        }
    }
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_trouble_of_queue) {
    Oid user = pg::current_user();
    bool sees_all = has_level(user, Level::operator_) || has_level(user, Level::viewer);
    std::vector<std::string> reasons = trouble_of_queue(*args.text(0), sees_all);
    return reasons.empty() ? args.null_result() : pg::text_datum(join(reasons, "; "));
}

SYNC_JOB_FUNCTION(sync_job_create_boilerplate) {
    auto type = require_job_type(*args.text(0));
    require_may_see(*type);
    return pg::text_datum(boilerplate(*type, *args.text(1)));
}

SYNC_JOB_FUNCTION(sync_job_wake_launcher) {
    wake_launcher_at_commit();
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_in_the_way) {
    std::string what = in_the_way();
    return what.empty() ? args.null_result() : pg::text_datum(what);
}

// Runs before the rows are inserted, in the same transaction: a worker never sees such jobs without the mark.
SYNC_JOB_FUNCTION(sync_job_rows_restored) {
    static auto& mark = *new InternalStatement(
        "INSERT INTO sync_job_internal.home SELECT 0, 0 WHERE NOT EXISTS"
        " (SELECT FROM sync_job_internal.home WHERE system_identifier = 0)", std::vector<Oid>{});
    pg::trigger_call(args, "rows_restored");
    if (in_worker()) {
        throw pg::Error("55000", "a sync job must not write to the tables of sync jobs")
            .hint("Use the functions of pg_sync_job.");
    }
    stop_processes_of(pg::my_database());
    mark.run({});
    wake_launcher_at_commit();
    return pg::trigger_suppress(args);
}

SYNC_JOB_FUNCTION(sync_job_adopt) {
    static auto& replace = *new InternalStatement(
        "WITH old AS (DELETE FROM sync_job_internal.home RETURNING clears_jobs, node)"
        " INSERT INTO sync_job_internal.home (system_identifier, database, clears_jobs, node)"
        " SELECT system_identifier, $1, coalesce((SELECT bool_and(clears_jobs) FROM old), true), (SELECT max(node) FROM old) FROM pg_control_system()",
        {pg::type::oid});
    static auto& replace_old = *new InternalStatement(  // until ALTER EXTENSION UPDATE
        "WITH old AS (DELETE FROM sync_job_internal.home RETURNING 1)"
        " INSERT INTO sync_job_internal.home SELECT system_identifier, $1 FROM pg_control_system()",
        {pg::type::oid});
    (schema_objects().current ? replace : replace_old).run({{pg::oid_datum(pg::my_database()), false}});
    wake_launcher_at_commit();
    return args.null_result();
}

namespace {

Datum row_of(pg::Arguments& args, const std::vector<pg::Value>& row) {
    std::vector<Datum> values;
    std::unique_ptr<bool[]> nulls(new bool[row.size()]);
    for (const pg::Value& value : row) {
        nulls[values.size()] = value.null;
        values.push_back(value.datum);
    }
    return args.row_result(values.data(), nulls.get());
}

pg::Value column(const Job& job, C which) { return {job.datum(which), job.is_null(which)}; }

// The job, for whoever may know its state, even if the table's policies hide its row because the caller may not read the target.
std::optional<Job> known_job(std::int64_t id) {
    auto stored = find_job(id);
    if (!stored || !may_know(stored->job)) return std::nullopt;
    return stored->job;
}

// The key as a number; 0: it is none.
std::int64_t id_in(const std::string& key) {
    std::int64_t id = 0;
    auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), id);
    return problem == std::errc() && end == key.data() + key.size() ? id : 0;
}

// The newest job with that key that the caller may know of. Drivers that do not say the type of an id send it as text, too.
std::optional<Job> known_job(const std::string& key) {
    static auto& select =
        *new InternalStatement("SELECT id FROM {}.sync_job WHERE job_id = $1 ORDER BY id DESC", {pg::type::text});
    for (const auto& row : select.run({{pg::text_datum(key), false}})) {
        if (auto job = known_job(pg::datum_int64(row[0].datum))) return job;
    }
    std::int64_t id = id_in(key);
    return id != 0 ? known_job(id) : std::nullopt;
}

// These columns of what get_sync_job_status() with that argument returns at the other node.
std::vector<pg::Value> status_elsewhere(int node, const std::string& argument, const std::string& columns) {
    auto answer = call_node(node, "SELECT pg_catalog.to_jsonb(s)::text FROM " + schema_objects().in_schema("get_sync_job_status") + "(" +
                                      argument + ") AS s");
    pg::SpiScope spi;
    pg::Statement read("SELECT s.* FROM pg_catalog.jsonb_to_record($1::pg_catalog.jsonb) AS s (" + columns + ")", {pg::type::text});
    pg::Rows rows = read.execute({{pg::text_datum(answer.value_or("{}")), false}});
    std::vector<pg::Value> row;
    for (int i = 0; i < rows.columns(); i++) row.push_back(rows.copy(0, i));
    return row;
}

pg::Value percent_of(std::int64_t id) {
    Shared* s = shared();
    if (s == nullptr) return {};
    for (const WorkerSlot& slot : used_slots(*s)) {
        if (slot.state == SlotState::free || slot.database != pg::my_database()) continue;
        Activity activity = read_activity(slot);
        if (activity.job == id && activity.percent >= 0) return {percent_value(activity.percent), false};
    }
    return {};
}

}  // namespace

SYNC_JOB_FUNCTION(sync_job_get_status) {
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    std::int64_t id = *args.int64(0);
    if (int node = node_elsewhere(id); node != 0) {
        return row_of(args, status_elsewhere(node, std::to_string(id) + "::bigint",
                                             "status text, created_at timestamptz, scheduled_at timestamptz, started_at timestamptz,"
                                             " ended_at timestamptz, retry_count integer, retry_after timestamptz"));
    }
    auto job = known_job(id);
    if (!job) no_such_job(id);
    std::vector<pg::Value> row;
    for (C which : {C::status, C::created_at, C::scheduled_at, C::started_at, C::ended_at, C::retry_count, C::retry_after}) {
        row.push_back(column(*job, which));
    }
    return row_of(args, row);
}

SYNC_JOB_FUNCTION(sync_job_get_status_by_key) {
    if (args.is_null(0)) throw pg::Error("22004", "job_id must not be null");
    std::string key = *args.text(0);
    auto job = known_job(key);
    if (int node = job ? 0 : other_node_of(id_in(key)); node != 0) {
        return row_of(args, status_elsewhere(node, pg::quoted_literal(key) + "::text",
                                             "id bigint, status text, percent numeric, created_at timestamptz, started_at timestamptz,"
                                             " ended_at timestamptz, result jsonb, error_message text"));
    }
    if (!job) throw pg::Error("42704", "no sync job has job_id " + quoted(key));
    bool readable = may_read_row(*job);
    auto shown = [&](C which) { return readable ? column(*job, which) : pg::Value{}; };
    return row_of(args, {column(*job, C::id), column(*job, C::status), percent_of(job->id()), column(*job, C::created_at),
                         column(*job, C::started_at), column(*job, C::ended_at), shown(C::result), shown(C::error_message)});
}
