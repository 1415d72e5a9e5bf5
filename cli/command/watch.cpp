// sync-job watch: follows a job to its end.
#include "command/wait.hpp"

namespace sync_job {

namespace {

struct Options {
    std::string id;
    WaitOptions wait;
};

int watch(Invocation& invocation, const Options& options) {
    wait_for_job(invocation, options.id, options.wait, true);
    return report_job(invocation, options.id);
}

}  // namespace

void add_watch(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<Options>(app, invocation, "watch", "follow a job to its end, and show it", watch);
    arguments.id(options.id);
    arguments.number("--timeout", options.wait.timeout, 0, 1e9, "for so many seconds at most");
}

}  // namespace sync_job
