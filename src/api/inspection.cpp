// What sessions see of the workers, and the small calls between the two.
#include <cstdio>
#include <cstring>
#include <string>

#include "controller/boilerplate.hpp"
#include "controller/validation.hpp"
#include "job/internal_sql.hpp"
#include "job/table_guard.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "queue/rights.hpp"
#include "shared/activity.hpp"
#include "shared/wake.hpp"
#include "worker/database_commands.hpp"

namespace sync_job {

namespace {

const char* state_text(const WorkerSlot& slot, const Activity& activity) {
    if (slot.state == SlotState::starting) return "starting";
    return activity.job == 0 ? "idle" : "running";
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

// The job types that workers of a queue run alone, as far as the caller may see the workers' jobs.
SYNC_JOB_FUNCTION(sync_job_types_alone) {
    std::string queue = *args.text(0);
    Oid user = pg::current_user();
    bool sees_all = has_level(user, Level::operator_) || has_level(user, Level::viewer);
    std::string names;
    Shared* s = shared();
    for (int i = 0; s != nullptr && i < s->slots_used; i++) {
        const WorkerSlot& slot = s->workers[i];
        if (slot.state != SlotState::running || slot.database != pg::my_database() || queue != slot.queue) continue;
        if (!sees_all && !pg::has_rights_of(user, slot.role)) continue;
        char of_worker[sizeof(slot.types_alone)];
        {
            pg::SharedLock lock(pg::SharedLock::Mode::read);
            std::memcpy(of_worker, slot.types_alone, sizeof(of_worker));
        }
        if (of_worker[0] == '\0' || names.find(of_worker) != std::string::npos) continue;
        names += (names.empty() ? "" : ", ") + std::string(of_worker);
    }
    if (names.empty()) return args.null_result();
    return pg::text_datum(names);
}

SYNC_JOB_FUNCTION(sync_job_validate_type) {
    if (args.is_null(0)) throw pg::Error("22004", "name must not be null");  // no row would mean: ready
    auto type = require_job_type(*args.text(0));
    require_may_see(*type);
    args.begin_rows();
    for (const Finding& finding : validate(*type)) {
        const pg::ErrorReport& report = *finding.report;
        const std::string texts[] = {finding.is_error ? "error" : "warning", finding.object, report.message,
                                     report.detail, report.hint};
        Datum values[std::size(texts)];
        bool nulls[std::size(texts)];
        for (std::size_t i = 0; i < std::size(texts); i++) {
            nulls[i] = texts[i].empty();
            values[i] = nulls[i] ? 0 : pg::text_datum(texts[i]);
        }
        args.add_row(values, nulls);
    }
    return args.null_result();
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

// Runs before the rows are there, and the mark comes with them: a worker never sees such jobs without it.
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
    static auto& remove = *new InternalStatement("DELETE FROM sync_job_internal.home", std::vector<Oid>{});
    static auto& insert = *new InternalStatement(
        "INSERT INTO sync_job_internal.home SELECT system_identifier, $1 FROM pg_control_system()", {pg::type::oid});
    remove.run({});
    insert.run({{pg::oid_datum(pg::my_database()), false}});
    wake_launcher_at_commit();
    return args.null_result();
}
