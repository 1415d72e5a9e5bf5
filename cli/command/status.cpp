// sync-job status: queues, types and workers, and what is in their way.
#include "command/invocation.hpp"
#include "text/json.hpp"
#include "text/table.hpp"

#include <iostream>

namespace sync_job {

namespace {

struct StatusOptions {};

constexpr std::string_view queues_sql = R"(
    SELECT q.queue, q.paused, q.max_workers, q.workers, q.running, q.waiting, q.scheduled, q.retrying, q.failed,
        round(extract(epoch FROM now() - q.oldest_waiting), 3) AS oldest_waiting_seconds, q.note
    FROM @extschema@.sync_job_queue_status AS q ORDER BY q.queue)";

constexpr std::string_view types_sql = R"(
    SELECT t.name AS sync_job_type, t.queue, t.paused, t.disabled, f.waiting, f.running, f.retrying, f.failed,
        round(extract(epoch FROM now() - f.oldest_change), 3) AS oldest_change_seconds, f.last_success, f.per_minute,
        round(extract(epoch FROM f.latency_p95), 3) AS latency_p95_seconds
    FROM @extschema@.sync_job_type AS t LEFT JOIN @extschema@.sync_job_freshness AS f ON f.sync_job_type = t.name
    ORDER BY t.name)";

constexpr std::string_view alerts_sql = R"(
    SELECT a.name, a.measure, a.sync_job_type, a.queue, a.value, a.threshold, a.since
    FROM @extschema@.sync_job_alert AS a WHERE a.state = 'firing' ORDER BY a.name)";

constexpr std::string_view server_sql = R"(
    SELECT current_database() AS database, current_user::text AS "user", current_setting('server_version') AS server_version,
        e.extversion AS extension_version, current_setting('sync_job.library_version', true) AS library_version,
        pg_is_in_recovery() AS standby
    FROM pg_extension AS e WHERE e.extname = 'pg_sync_job')";

std::string nonzero(const std::string& number) {
    return number == "0" ? "" : number;
}

void print_queues(const Result& queues, bool wide) {
    Table table({{"QUEUE", false, 8}, {"WORKERS", true}, {"RUNNING", true}, {"WAITING", true}, {"OLDEST", true}, {"SCHEDULED", true},
                 {"RETRYING", true}, {"FAILED", true}});
    for (const Row row : queues) {
        table.add({row["queue"], row["workers"] + "/" + row["max_workers"], nonzero(row["running"]), nonzero(row["waiting"]),
                   span(row["oldest_waiting_seconds"]), nonzero(row["scheduled"]), nonzero(row["retrying"]), nonzero(row["failed"])},
                  {Colour::none, Colour::none, Colour::cyan, Colour::none, Colour::none, Colour::none, Colour::yellow, Colour::red});
    }
    print(table, wide);
    for (const Row row : queues) {
        if (!row.is_null("note")) {
            print_value(row["queue"], row["note"], Colour::yellow);
        }
    }
}

void print_types(const Result& types, bool wide) {
    if (types.empty()) {
        return;
    }
    Table table({{"TYPE", false, 12}, {"STATE", false, 6}, {"WAITING", true}, {"RUNNING", true}, {"BEHIND", true}, {"RETRYING", true},
                 {"FAILED", true}, {"PER MIN", true}, {"P95", true}});
    for (const Row row : types) {
        table.add({row["sync_job_type"], row.is_true("disabled") ? "disabled" : row.is_true("paused") ? "paused" : "", nonzero(row["waiting"]),
                   nonzero(row["running"]), span(row["oldest_change_seconds"]), nonzero(row["retrying"]), nonzero(row["failed"]),
                   row["per_minute"], span(row["latency_p95_seconds"])},
                  {Colour::none, Colour::yellow, Colour::none, Colour::cyan, Colour::none, Colour::yellow, Colour::red});
    }
    std::cout << '\n';
    print(table, wide);
}

void print_alerts(const Result& alerts, bool wide) {
    if (alerts.empty()) {
        return;
    }
    Table table({{"ALERT", false, 12}, {"MEASURE"}, {"VALUE", true}, {"THRESHOLD", true}, {"OF", false, 8}, {"SINCE", false, 19}});
    for (const Row row : alerts) {
        table.add({row["name"], row["measure"], row["value"], row["threshold"], row.is_null("sync_job_type") ? row["queue"] : row["sync_job_type"],
                   row["since"].substr(0, 19)},
                  {Colour::red});
    }
    std::cout << '\n';
    print(table, wide);
}

int status(Invocation& invocation, const StatusOptions&) {
    Connection& database = invocation.database();
    const Result server = database.query(server_sql), queues = database.query(queues_sql), types = database.query(types_sql),
                 alerts = database.query(alerts_sql);
    if (server.empty()) {
        database.schema();  // says that the extension is missing
    }
    if (invocation.json) {
        std::cout << "{\"server\": " << json_object(server.row(0)) << ",\n\"queues\": " << json_array(queues) << ",\n\"types\": " << json_array(types)
                  << ",\n\"alerts\": " << json_array(alerts) << "}\n";
        return exit_good;
    }
    const Row about = server.row(0);
    print_value("database", about["database"] + " as " + about["user"] + ", PostgreSQL " + about["server_version"]);
    print_value("extension", "pg_sync_job " + about["extension_version"] +
                                 (about["library_version"] == about["extension_version"] ? "" : ", library " + about["library_version"]));
    std::cout << '\n';
    print_queues(queues, invocation.wide);
    print_types(types, invocation.wide);
    print_alerts(alerts, invocation.wide);
    return exit_good;
}

}  // namespace

void add_status(CLI::App& app, Invocation& invocation) {
    add_command<StatusOptions>(app, invocation, "status", "queues, job types and alerts, and what is in their way", status);
}

}  // namespace sync_job
