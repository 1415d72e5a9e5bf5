// sync-job serve: starts the console; what it does is in cli/serve.
#include "command/invocation.hpp"
#include "serve/serve.hpp"
#include "text/message.hpp"

#include <iostream>
#include <stdexcept>

namespace sync_job {

namespace {

/// Whoever logs in gives role, password and database: of the connection options, only the address of the server is left.
int serve_console(Invocation& invocation, const serve::Settings& given) {
    const ConnectionOptions& connection = invocation.connection_options;
    if (!connection.user.empty() || !connection.database.empty() || connection.never_ask || connection.ask_password) {
        throw UsageError("serve takes no role, password or database of its own, but --databases: who opens the console logs in");
    }
    serve::Settings settings = given;
    settings.server.host = connection.host;
    if (!connection.port.empty()) {
        settings.server.port = connection.port;
    }
    try {
        serve::run(settings);
    } catch (const std::invalid_argument& error) {
        throw UsageError(error.what());
    } catch (const serve::DatabaseError& error) {
        tell_message("ERROR", error.message, error.detail, error.hint);
        throw Ended{exit_bad};
    } catch (const std::runtime_error& error) {
        tell_message("ERROR", error.what(), "", "");
        throw Ended{exit_bad};
    }
    return exit_good;
}

}  // namespace

void add_serve(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<serve::Settings>(app, invocation, "serve", "the console: a web server, to which one logs in as a role", serve_console);
    arguments.list("--databases", options.databases, "to which one may log in: a,b");
    arguments.option("--sslmode", options.server.sslmode, "as of psql, for the connection to the database server");
    arguments.option("--sslrootcert", options.server.sslrootcert, "as of psql");
    arguments.option("--listen", options.listen, "address and port; port 0 is any that is free");
    arguments.list("--origin", options.origins, "an address under which people open the console, as in https://console.example");
    arguments.option("--tls-certificate", options.tls_certificate, "speak TLS: the certificate with its chain, a file in PEM");
    arguments.option("--tls-key", options.tls_key, "its key, a file in PEM");
    arguments.list("--trusted-proxy", options.trusted_proxies, "addresses of proxies whose X-Forwarded-For is true");
    arguments.flag("--read-only", options.read_only, "nothing can be changed by way of the console");
    arguments.flag("--allow-superusers", options.allow_superusers, "let superusers log in");
    arguments.number("--sessions", options.sessions, 1, 1000, "how many may be logged in");
    arguments.number("--idle-minutes", options.idle_minutes, 0.01, 720.0, "who does nothing for so long is logged out");
    arguments.option("--metrics-role", options.metrics_role, "show /metrics, as this role, a viewer; its password is in SYNC_JOB_METRICS_PASSWORD");
    arguments.option("--metrics-password-file", options.metrics_password_file, "or in the first line of this file");
    arguments.option("--metrics-listen", options.metrics_listen, "at this address and port, instead of the console's");
    arguments.option("--metrics-token-file", options.metrics_token_file, "to who sends Authorization: Bearer and the first line of this file");
}

}  // namespace sync_job
