// sync-job top: shows queues, running jobs and failed jobs again and again: in place on a terminal.
#include "command/invocation.hpp"
#include "database/interrupt.hpp"
#include "text/json.hpp"
#include "text/table.hpp"
#include "text/visible.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

namespace sync_job {

namespace {

struct TopOptions {
    double interval = 2;
    int count = 0;
};

constexpr std::string_view queues_sql = R"(
    SELECT q.queue, q.paused, q.max_workers, q.workers, q.running, q.waiting, q.scheduled, q.retrying, q.failed,
        round(extract(epoch FROM now() - q.oldest_waiting), 3) AS oldest_waiting_seconds, q.note
    FROM @extschema@.sync_job_queue_status AS q ORDER BY q.queue)";

constexpr std::string_view running_sql = R"(
    SELECT a.pid, a.queue, a.run_as::text AS run_as, a.state, a.sync_job, a.sync_job_type, round(extract(epoch FROM now() - a.started_at), 3) AS running_seconds,
        a.percent, a.title, a.description
    FROM @extschema@.sync_job_activity AS a ORDER BY a.sync_job NULLS LAST, a.pid)";

constexpr std::string_view failed_sql = R"(
    SELECT j.id, j.sync_job_type, j.source_document_name, j.retry_after, round(extract(epoch FROM now() - j.ended_at), 3) AS age_seconds, j.error_message
    FROM @extschema@.sync_job AS j WHERE j.status = 'Failed' ORDER BY j.id DESC LIMIT 10)";

/// The other screen of the terminal, without a cursor and without echo, as long as this lives.
class Screen {
public:
    Screen() : keys_(tcgetattr(STDIN_FILENO, &before_) == 0) {
        if (keys_) {
            termios raw = before_;
            raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
            tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        }
        std::cout << "\x1b[?1049h\x1b[?25l" << std::flush;
    }
    ~Screen() {
        std::cout << "\x1b[?25h\x1b[?1049l" << std::flush;
        if (keys_) {
            tcsetattr(STDIN_FILENO, TCSANOW, &before_);
        }
    }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    /// Waits for a key for that long; true if it was q.
    bool quit(std::chrono::milliseconds time) const {
        pollfd input{STDIN_FILENO, POLLIN, 0};
        if (poll(&input, keys_ ? 1 : 0, static_cast<int>(time.count())) == 1) {
            char key = 0;
            return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q';
        }
        return false;
    }

private:
    termios before_ = {};
    bool keys_;
};

struct Snapshot {
    Result time, queues, running, failed;
};

Snapshot read_snapshot(Connection& database) {
    return {database.query("SELECT now() AS at, to_char(now(), 'HH24:MI:SS') AS clock, current_database() AS database"), database.query(queues_sql),
            database.query(running_sql), database.query(failed_sql)};
}

void append(std::vector<std::string>& lines, const Table& table, const Terminal& screen, bool wide) {
    const std::vector<std::string> added = table.lines(screen, wide);
    lines.insert(lines.end(), added.begin(), added.end());
    lines.emplace_back();
}

std::vector<std::string> text(const Snapshot& snapshot, const Terminal& screen, bool wide) {
    const Row time = snapshot.time.row(0);
    std::vector<std::string> lines{screen.paint(Colour::bold, visible(time["clock"] + "  " + time["database"])), ""};
    Table queues({{"QUEUE", false, 8}, {"WORKERS", true}, {"RUNNING", true}, {"WAITING", true}, {"OLDEST", true}, {"FAILED", true}, {"NOTE", false, 10}});
    for (const Row row : snapshot.queues) {
        queues.add({row["queue"], row["workers"] + "/" + row["max_workers"], row["running"], row["waiting"], span(row["oldest_waiting_seconds"]), row["failed"],
                    row["note"]},
                   {Colour::none, Colour::none, Colour::cyan, Colour::none, Colour::none, row["failed"] == "0" ? Colour::none : Colour::red, Colour::yellow});
    }
    append(lines, queues, screen, wide);
    if (!snapshot.running.empty()) {
        Table running({{"PID", true}, {"QUEUE", false, 8}, {"ROLE", false, 8}, {"JOB", true}, {"TYPE", false, 10}, {"SINCE", true}, {"%", true}, {"WHAT", false, 10}});
        for (const Row row : snapshot.running) {
            const std::string what = row["title"] + (row.is_null("description") ? "" : ": " + row["description"]);
            running.add({row["pid"], row["queue"], row["run_as"], row["sync_job"], row["sync_job_type"], span(row["running_seconds"]), row["percent"],
                         row["state"] == "running" ? what : row["state"]});
        }
        append(lines, running, screen, wide);
    }
    if (!snapshot.failed.empty()) {
        Table failed({{"FAILED", true}, {"AGO", true}, {"TYPE", false, 10}, {"DOCUMENT", false, 8}, {"ERROR", false, 12}});
        for (const Row row : snapshot.failed) {
            const std::string error = row["error_message"];
            failed.add({row["id"], span(row["age_seconds"]), row["sync_job_type"], row["source_document_name"], error.substr(0, error.find('\n'))}, {Colour::red});
        }
        append(lines, failed, screen, wide);
    }
    lines.pop_back();
    return lines;
}

/// Draws from the top left corner, clears each line to its end, and draws no more lines than the terminal has.
void redraw(const std::vector<std::string>& lines, const Terminal& screen) {
    std::string frame = "\x1b[H";
    const auto shown = std::min<std::size_t>(lines.size(), static_cast<std::size_t>(std::max(1, screen.lines - 1)));
    for (std::size_t i = 0; i < shown; i++) {
        frame += lines[i] + "\x1b[K\r\n";
    }
    std::cout << frame << "\x1b[J" << std::flush;
}

void print_snapshot(const Invocation& invocation, const Snapshot& snapshot) {
    if (invocation.json) {
        std::string line = "{\"at\": " + json_value(snapshot.time, 0, 0) + ", \"queues\": " + json_array(snapshot.queues) + ", \"workers\": " +
                           json_array(snapshot.running) + ", \"failed\": " + json_array(snapshot.failed) + "}";
        line.erase(std::remove(line.begin(), line.end(), '\n'), line.end());
        std::cout << line << std::endl;
        return;
    }
    for (const std::string& line : text(snapshot, terminal(), invocation.wide)) {
        std::cout << line << '\n';
    }
    std::cout << std::endl;
}

int top(Invocation& invocation, const TopOptions& options) {
    Connection& database = invocation.database();
    database.schema();
    const std::chrono::milliseconds pause(static_cast<long>(options.interval * 1000));
    std::optional<Screen> screen;
    try {
        if (terminal().interactive && !invocation.json) {
            screen.emplace();
        }
        for (int shown = 1;; shown++) {
            const Snapshot snapshot = read_snapshot(database);
            if (screen) {
                redraw(text(snapshot, terminal(), false), terminal());
            } else {
                print_snapshot(invocation, snapshot);
            }
            if (options.count > 0 && shown >= options.count) {
                return exit_good;
            }
            if (screen) {
                if (screen->quit(pause)) {
                    return exit_good;
                }
                interrupt::check();
            } else {
                interrupt::sleep(pause);
            }
        }
    } catch (const Interrupted&) {  // the way to end it
        return exit_good;
    }
}

}  // namespace

void add_top(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<TopOptions>(app, invocation, "top", "queues, what runs and what has failed, live; q ends it", top);
    arguments.number("-i,--interval", options.interval, 0.1, 3600, "seconds between two looks");
    arguments.number("-n,--count", options.count, 0, 1000000000, "end after so many looks");
}

}  // namespace sync_job
