// Waits for a job; see the header. It polls, with short pauses at first: nothing is held in the database meanwhile, neither a snapshot
// nor a setting, and it works through a pooler and for whoever may know the state of the job.
#include "command/wait.hpp"

#include "command/job.hpp"
#include "database/interrupt.hpp"
#include "text/json.hpp"
#include "text/message.hpp"
#include "text/terminal.hpp"
#include "text/visible.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;

/// A Failed job has ended when no retry will follow, or when the set-up of its type is broken: somebody has to repair that.
constexpr std::string_view progress_sql = R"(
    SELECT s.status, s.retry_after, a.percent, a.title, a.description,
        s.status IN ('Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled')
            OR s.status = 'Failed' AND (coalesce(s.retry_after, 'infinity') = 'infinity'
                OR EXISTS (SELECT FROM @extschema@.sync_job AS j JOIN @extschema@.sync_job_setup_error AS e ON e.sync_job_type = j.sync_job_type
                           WHERE j.id = $1::int8 AND j.error_message LIKE '%SQLSTATE:  ' || e.sqlstate || '%')) AS ended
    FROM @extschema@.get_sync_job_status($1::int8) AS s LEFT JOIN @extschema@.sync_job_activity AS a ON a.sync_job = $1::int8)";

constexpr std::string_view note_sql = R"(
    SELECT q.note FROM @extschema@.sync_job AS j JOIN @extschema@.sync_job_queue_status AS q ON q.queue = j.queue
    WHERE j.id = $1::int8 AND j.status = 'Queued')";

/// One line on the terminal, rewritten at each change; it disappears with this object.
class StatusLine {
public:
    explicit StatusLine(bool shown) : shown_(shown) {}
    ~StatusLine() { clear(); }
    StatusLine(const StatusLine&) = delete;
    StatusLine& operator=(const StatusLine&) = delete;

    void show(const std::string& text) {
        if (shown_) {
            std::cout << "\r\x1b[K" << cut(text, std::max(10, terminal().columns - 1)) << std::flush;
            written_ = true;
        }
    }
    void clear() {
        if (written_) {
            std::cout << "\r\x1b[K" << std::flush;
            written_ = false;
        }
    }

private:
    bool shown_, written_ = false;
};

[[noreturn]] void stop_waiting(const Invocation& invocation, const std::string& id, const std::string& why, const std::string& code, int exit) {
    const std::string hint = "Go on waiting: sync-job watch " + id + ". Cancel it: sync-job cancel " + id + ".";
    if (invocation.json) {
        tell_error_json(code, why, "The job goes on.", hint);
    } else {
        tell_message("NOTICE", why, "The job goes on.", hint);
    }
    throw Ended{exit};
}

}  // namespace

void add_wait_options(Arguments& arguments, WaitOptions& options) {
    arguments.flag("!--no-wait", options.wait, "do not wait for the end of the job");
    arguments.number("--timeout", options.timeout, 0, 1e9, "wait for so many seconds at most; the job goes on");
}

std::string Progress::text() const {
    std::string text = visible(status);
    text += percent.empty() ? "" : " " + visible(percent) + " %";
    text += title.empty() ? "" : " " + visible(title);
    text += description.empty() ? "" : ": " + visible(description);
    text += retry_after.empty() ? "" : ended ? "" : ", to be tried again at " + visible(retry_after.substr(0, 19));
    return text + (note.empty() ? "" : " (" + visible(note) + ")");
}

std::string Progress::json(const std::string& id) const {
    const auto value = [](const std::string& text) { return text.empty() ? std::string("null") : json_string(text); };
    return "{\"id\": " + id + ", \"status\": " + json_string(status) + ", \"percent\": " + (percent.empty() ? "null" : percent) + ", \"title\": " +
           value(title) + ", \"description\": " + value(description) + ", \"note\": " + value(note) + "}";
}

bool ended_well(const std::string& status) {
    return status == "Finished" || status == "Skipped" || status == "No Target" || status == "Relayed";
}

Progress read_progress(Connection& database, const std::string& id) {
    const Result result = database.query(progress_sql, {id});
    const Row row = result.row(0);
    Progress progress;
    progress.status = row["status"];
    progress.percent = row["percent"];
    progress.title = row["title"];
    progress.description = row["description"];
    progress.retry_after = row["retry_after"];
    progress.ended = row.is_true("ended");
    return progress;
}

Progress wait_for_job(Invocation& invocation, const std::string& id, const WaitOptions& options, bool lines) {
    Connection& database = invocation.database();
    const bool redraw = !invocation.json && terminal().interactive;
    StatusLine line(redraw);
    const auto began = Clock::now();
    auto noted = began;
    Progress last;
    std::string note;
    try {
        for (std::chrono::milliseconds pause{20};; pause = std::min(pause * 2, std::chrono::milliseconds(500))) {
            Progress progress = read_progress(database, id);
            if (progress.status != "Queued") {
                note.clear();
            } else if (Clock::now() - noted > std::chrono::seconds(1)) {  // why it does not start
                const Result asked = database.query(note_sql, {id});
                note = asked.empty() ? "" : asked.row(0)["note"];
                noted = Clock::now();
            }
            progress.note = note;
            if (redraw) {
                line.show("Job " + id + ": " + progress.text());
            } else if (lines && !(progress == last)) {
                std::cout << (invocation.json ? progress.json(id) : "Job " + id + ": " + progress.text()) << std::endl;
            }
            last = progress;
            if (progress.ended) {
                return progress;
            }
            if (options.timeout > 0 && Clock::now() - began > std::chrono::duration<double>(options.timeout)) {
                line.clear();
                stop_waiting(invocation, id, "job " + id + " has not ended in time: it is " + progress.status, "57014", exit_timeout);
            }
            interrupt::sleep(pause);
        }
    } catch (const Interrupted&) {
        line.clear();
        stop_waiting(invocation, id, "no longer waiting for job " + id, "57014", exit_interrupted);
    }
}

int report_job(Invocation& invocation, const std::string& id) {
    const JobReport report = read_job(invocation.database(), id);
    if (invocation.json) {
        std::cout << json_of(report) << '\n';
    } else {
        print_job(report, invocation.wide);
    }
    return ended_well(report.job.row(0)["status"]) ? exit_good : exit_bad;
}

int follow(Invocation& invocation, const std::string& id, const WaitOptions& options) {
    if (!options.wait) {
        std::cout << (invocation.json ? "{\"id\": " + id + "}" : id) << '\n';
        return exit_good;
    }
    wait_for_job(invocation, id, options, false);
    return report_job(invocation, id);
}

}  // namespace sync_job
