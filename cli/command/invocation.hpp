// What all commands share: how they were called, their connection, their exit codes.
#pragma once

#include "command/arguments.hpp"
#include "database/connection.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace sync_job {

/// The exit codes.
enum ExitCode : int {
    exit_good = 0,         // done, and what came out is good
    exit_bad = 1,          // done, and it is not: a job failed, documents are out of step, a check has found something
    exit_usage = 2,        // called wrongly
    exit_connection = 3,   // no connection, or a database without the extension
    exit_refused = 4,      // the database refused it, or had an error
    exit_timeout = 5,      // --timeout has passed; the job goes on
    exit_interrupted = 130 // Ctrl-C; the job goes on
};

class Invocation {
public:
    ConnectionOptions connection_options;
    bool json = false, wide = false;
    std::string program = "sync-job";  // application_name of its connection

    /// Connects at the first call.
    Connection& database();

    /// The command that was asked for, to be run once everything is parsed.
    std::function<int()> command;

private:
    std::optional<Connection> connection_;
};

/// Adds a sub-command.
Arguments add_command(CLI::App& app, Invocation& invocation, const std::string& name, const std::string& what, std::function<int()> run);

/// The same for a command whose options are fields of `Options`:
///     auto [arguments, options] = add_command<ListOptions>(app, invocation, "list", "what it does", list);
template <class Options>
std::pair<Arguments, Options&> add_command(CLI::App& app, Invocation& invocation, const std::string& name, const std::string& what,
                                           int (*run)(Invocation&, const Options&)) {
    auto options = std::make_shared<Options>();
    return {add_command(app, invocation, name, what, [&invocation, options, run] { return run(invocation, *options); }), *options};
}

/// What was given, or NULL.
inline Parameter given(const std::string& option) {
    return option.empty() ? std::nullopt : Parameter(option);
}

inline Parameter flag(bool set) {
    return set ? "true" : "false";
}

void add_status(CLI::App& app, Invocation& invocation);
void add_list(CLI::App& app, Invocation& invocation);
void add_show(CLI::App& app, Invocation& invocation);
void add_top(CLI::App& app, Invocation& invocation);
void add_watch(CLI::App& app, Invocation& invocation);
void add_enqueue(CLI::App& app, Invocation& invocation);
void add_retry(CLI::App& app, Invocation& invocation);
void add_rerun(CLI::App& app, Invocation& invocation);
void add_cancel(CLI::App& app, Invocation& invocation);
void add_dry_run(CLI::App& app, Invocation& invocation);
void add_apply(CLI::App& app, Invocation& invocation);
void add_revert(CLI::App& app, Invocation& invocation);
void add_compare(CLI::App& app, Invocation& invocation);
void add_full_sync(CLI::App& app, Invocation& invocation);
void add_validate(CLI::App& app, Invocation& invocation);
void add_new_controller(CLI::App& app, Invocation& invocation);
void add_export(CLI::App& app, Invocation& invocation);
void add_doctor(CLI::App& app, Invocation& invocation);
void add_serve(CLI::App& app, Invocation& invocation);

}  // namespace sync_job
