// sync-job show: one job, with its attempts, its changes and its children.
#include "command/invocation.hpp"
#include "command/job.hpp"
#include "text/json.hpp"

#include <iostream>

namespace sync_job {

namespace {

struct ShowOptions {
    std::string id;
};

int show(Invocation& invocation, const ShowOptions& options) {
    const JobReport report = read_job(invocation.database(), options.id);
    if (invocation.json) {
        std::cout << json_of(report) << '\n';
    } else {
        print_job(report, invocation.wide);
    }
    return exit_good;
}

}  // namespace

void add_show(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<ShowOptions>(app, invocation, "show", "one job: its attempts, changes and children", show);
    arguments.id(options.id);
}

}  // namespace sync_job
