// sync-job retry, rerun and cancel: each named job is handled in a transaction of its own.
#include "command/wait.hpp"
#include "text/json.hpp"
#include "text/message.hpp"
#include "text/visible.hpp"

#include <iostream>

namespace sync_job {

namespace {

struct SteerOptions {
    std::vector<std::string> ids;
    std::string context, reason;
    bool running = false;
    WaitOptions wait;
};

constexpr std::string_view retry_sql = "SELECT r.id, r.status FROM @extschema@.retry_sync_job($1::int8, $2::jsonb) AS r";
constexpr std::string_view rerun_sql = "SELECT @extschema@.rerun_sync_job($1::int8, $2::jsonb) AS id, 'Queued' AS status";
constexpr std::string_view cancel_sql = "SELECT c.id, c.status FROM @extschema@.cancel_sync_job($1::int8, $2, $3::bool) AS c";

/// What became of one id: printed at once, or put into the JSON output.
struct Outcome {
    std::string json;
    bool good;
    std::string job;  // the job to wait for
};

Outcome steer(Invocation& invocation, std::string_view sql, const std::string& id, Parameters parameters) {
    parameters.insert(parameters.begin(), id);
    try {
        const Result result = invocation.database().execute(sql, parameters);
        const Row row = result.row(0);
        if (!invocation.json) {
            std::cout << "Job " << visible(row["id"]) << ": " << visible(row["status"]) << '\n';
        }
        return {json_object(row), true, row["id"]};
    } catch (const DatabaseError& error) {
        if (!invocation.json) {
            tell_message("ERROR", "job " + id + ": " + error.what(), error.detail, error.hint);
        }
        return {"{\"id\": " + json_string(id) + ", \"error\": {\"code\": " + json_string(error.sqlstate) + ", \"message\": " + json_string(error.what()) + "}}",
                false, id};
    }
}

int steer_all(Invocation& invocation, const SteerOptions& options, std::string_view sql, const Parameters& parameters) {
    bool good = true;
    std::string json;
    std::vector<std::string> jobs;
    for (const std::string& id : options.ids) {
        const Outcome outcome = steer(invocation, sql, id, parameters);
        json += (json.empty() ? "" : ",\n  ") + outcome.json;
        good = good && outcome.good;
        if (outcome.good) {
            jobs.push_back(outcome.job);
        }
    }
    if (invocation.json && !options.wait.wait) {
        std::cout << "{\"jobs\": [\n  " << json << "\n]}\n";
    }
    int code = good ? exit_good : exit_refused;
    if (options.wait.wait) {
        for (const std::string& job : jobs) {
            code = std::max(code, follow(invocation, job, options.wait));
        }
    }
    return code;
}

int retry(Invocation& invocation, const SteerOptions& options) {
    return steer_all(invocation, options, retry_sql, {options.context.empty() ? std::nullopt : Parameter(options.context)});
}

int rerun(Invocation& invocation, const SteerOptions& options) {
    return steer_all(invocation, options, rerun_sql, {options.context.empty() ? std::nullopt : Parameter(options.context)});
}

int cancel(Invocation& invocation, const SteerOptions& options) {
    return steer_all(invocation, options, cancel_sql, {options.reason.empty() ? std::nullopt : Parameter(options.reason), options.running ? "true" : "false"});
}

void add_ids(Arguments& arguments, SteerOptions& options) {
    arguments.ids(options.ids, true, "the jobs");
    options.wait.wait = false;
}

void add_again(Arguments& arguments, SteerOptions& options) {
    add_ids(arguments, options);
    arguments.option("-c,--context", options.context, "another context: a JSON object");
    arguments.flag("--wait", options.wait.wait, "wait for the end, and show them");
    arguments.number("--timeout", options.wait.timeout, 0, 1e9, "with --wait: for so many seconds at most");
}

}  // namespace

void add_retry(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<SteerOptions>(app, invocation, "retry", "queue failed jobs again, now", retry);
    add_again(arguments, options);
}

void add_rerun(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<SteerOptions>(app, invocation, "rerun", "enqueue jobs that have ended once more, as new jobs", rerun);
    add_again(arguments, options);
}

void add_cancel(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<SteerOptions>(app, invocation, "cancel", "cancel jobs that wait, have failed, or run", cancel);
    add_ids(arguments, options);
    arguments.option("-r,--reason", options.reason, "kept with the job");
    arguments.flag("--running", options.running, "also those that run: they are interrupted");
}

}  // namespace sync_job
