// The connection of a command; see the header.
#include "command/invocation.hpp"

namespace sync_job {

Connection& Invocation::database() {
    if (!connection_) {
        connection_.emplace(connection_options, program, json ? "UTC" : "");
    }
    return *connection_;
}

}  // namespace sync_job
