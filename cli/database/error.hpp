// Errors of the server, or of the connection to it.
#pragma once

#include <stdexcept>
#include <string>

namespace sync_job {

/// An error of the server: its SQLSTATE, message, detail and hint, each as the server sent it.
struct DatabaseError : std::runtime_error {
    DatabaseError(std::string state, const std::string& message, std::string detail, std::string hint, std::string context)
        : std::runtime_error(message), sqlstate(std::move(state)), detail(std::move(detail)), hint(std::move(hint)), context(std::move(context)) {}

    std::string sqlstate, detail, hint, context;
};

/// There is no connection, or none to a database that has the extension. `lost` says that there was one.
struct ConnectionError : std::runtime_error {
    explicit ConnectionError(const std::string& message, std::string hint = {}, bool lost = false)
        : std::runtime_error(message), hint(std::move(hint)), lost(lost) {}

    std::string hint;
    bool lost;
};

/// Somebody has pressed Ctrl-C.
struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace sync_job
