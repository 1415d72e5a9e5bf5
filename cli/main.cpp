// sync-job: shows and controls the jobs of pg_sync_job from a shell. Each command has a file in command/; this one has what they
// share: the connection options, and the handling of errors.
#include "command/invocation.hpp"
#include "database/interrupt.hpp"
#include "text/message.hpp"
#include "text/table.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <iostream>
#include <sstream>

namespace sync_job {

namespace {

/// Where the explanations of --help begin.
constexpr std::size_t help_column = 28;

void add_connection_options(CLI::App& app, Invocation& invocation) {
    ConnectionOptions& options = invocation.connection_options;
    const std::string group = "Connection, as of psql";
    app.add_option("-h,--host", options.host, "host, or the folder of the socket")->group(group);
    app.add_option("-p,--port", options.port, "port")->group(group);
    app.add_option("-U,--username", options.user, "role")->group(group);
    app.add_option("-d,--dbname", options.database, "database, or a connection string")->group(group);
    app.add_flag("-w,--no-password", options.never_ask, "never ask for a password")->group(group);
    app.add_flag("-W,--password", options.ask_password, "ask for a password at once")->group(group);
}

/// The same for all commands, and understood before and after the name of the command.
void add_common_options(CLI::App& app, Invocation& invocation) {
    app.set_help_flag("-?,--help", "this; after a command, its arguments");
    app.set_version_flag("-V,--version", "sync-job " SYNC_JOB_VERSION);
    app.add_flag("--json", invocation.json, "answer in JSON");
    app.add_flag("--wide", invocation.wide, "cut nothing off to fit the terminal");
    add_connection_options(app, invocation);
    app.fallthrough();
    app.get_formatter()->column_width(help_column);
}

void add_commands(CLI::App& app, Invocation& invocation) {
    for (const auto add : {add_status, add_top, add_list, add_show, add_watch, add_enqueue, add_retry, add_rerun, add_cancel, add_dry_run, add_apply,
                           add_revert, add_compare, add_full_sync, add_validate, add_new_controller, add_export, add_doctor, add_serve}) {
        add(app, invocation);
    }
}

int tell(const Invocation& invocation, int code, const std::string& sqlstate, const std::string& message, const std::string& detail,
         const std::string& hint) {
    if (invocation.json) {
        tell_error_json(sqlstate, message, detail, hint);
    } else {
        tell_message("ERROR", message, detail, hint);
    }
    return code;
}

/// Prints lines of at most 80 columns: a longer one is continued below, in the column of the explanations.
void print_help(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t indent = line.starts_with(' ') ? help_column : 0;
        std::string head = line.substr(0, std::min(indent, line.size()));
        for (const std::string& part : wrap(line.substr(head.size()), 80 - static_cast<int>(indent))) {
            std::cout << head << part << '\n';
            head.assign(indent, ' ');
        }
    }
}

int run(Invocation& invocation) {
    try {
        const int code = invocation.command ? invocation.command() : static_cast<int>(exit_good);
        std::cout.flush();
        return code;
    } catch (const DatabaseError& error) {
        return tell(invocation, exit_refused, error.sqlstate, error.what(), error.detail, error.hint);
    } catch (const ConnectionError& error) {
        return tell(invocation, exit_connection, error.lost ? "08006" : "08001", error.what(), "", error.hint);
    } catch (const Ended& ended) {
        return ended.code;
    } catch (const UsageError& error) {
        return tell(invocation, exit_usage, "22023", error.what(), "", "");
    } catch (const Interrupted&) {
        return exit_interrupted;
    }
}

int main(int argc, char** argv) {
    Invocation invocation;
    CLI::App app("Looks at the jobs of pg_sync_job, and acts on them.", "sync-job");
    add_common_options(app, invocation);
    app.require_subcommand(1);
    add_commands(app, invocation);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {  // --help, --version
        std::ostringstream text;
        const int code = app.exit(asked, text, text);
        print_help(text.str());
        return code;
    } catch (const CLI::ParseError& error) {
        app.exit(error);
        return exit_usage;
    }
    interrupt::watch();
    return run(invocation);
}

}  // namespace

}  // namespace sync_job

int main(int argc, char** argv) {
    return sync_job::main(argc, argv);
}
