// sync-job apply and revert: a job makes the changes of dry runs real, or undoes what jobs have changed.
#include "command/prompt.hpp"
#include "command/wait.hpp"
#include "text/json.hpp"

namespace sync_job {

namespace {

struct ReplayOptions {
    std::vector<std::string> ids;
    std::string run, conflicts = "fail", queue;
    bool yes = false;
    WaitOptions wait;
};

constexpr std::string_view apply_sql = R"(
    SELECT @extschema@.enqueue_apply(ids => ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::int8), run => $2::int8, conflicts => $3, queue => $4) AS id)";
constexpr std::string_view revert_sql = R"(
    SELECT @extschema@.enqueue_revert(ids => ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::int8), run => $2::int8, conflicts => $3, queue => $4) AS id)";

std::string what(const ReplayOptions& options) {
    if (options.ids.size() == 1 && options.run.empty()) {
        return "job " + options.ids[0];
    }
    return options.run.empty() ? std::to_string(options.ids.size()) + " jobs" : "all that run " + options.run + " has done";
}

int replay(Invocation& invocation, const ReplayOptions& options, std::string_view sql, const std::string& question) {
    require_answer(options.yes);
    if (!confirm(question, options.yes)) {
        return exit_bad;
    }
    const Result job = invocation.database().execute(
        sql, {json_strings(options.ids), given(options.run), options.conflicts, given(options.queue)});
    return follow(invocation, job.row(0)["id"], options.wait);
}

int apply(Invocation& invocation, const ReplayOptions& options) {
    return replay(invocation, options, apply_sql, "Make the changes of " + what(options) + " real?");
}

int revert(Invocation& invocation, const ReplayOptions& options) {
    return replay(invocation, options, revert_sql, "Undo " + what(options) + "?");
}

void add_replay(Arguments& arguments, ReplayOptions& options, const std::string& run) {
    arguments.ids(options.ids, false, "the jobs, of one type, and what came of them");
    arguments.option("--run", options.run, run);
    arguments.choice("--conflicts", options.conflicts, {"fail", "skip"}, "what was changed since: fail, or skip it");
    arguments.option("-q,--queue", options.queue, "another queue than the type's");
    arguments.flag("-y,--yes", options.yes, "do not ask");
    add_wait_options(arguments, options.wait);
    arguments.check([&options] {
        if (options.ids.empty() == options.run.empty()) {
            throw UsageError("name either jobs or --run");
        }
    });
}

}  // namespace

void add_apply(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<ReplayOptions>(app, invocation, "apply", "make the changes of dry runs real", apply);
    add_replay(arguments, options, "all dry runs that came of this job");
}

void add_revert(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<ReplayOptions>(app, invocation, "revert", "undo what jobs have changed", revert);
    add_replay(arguments, options, "all that this full sync or set has done");
}

}  // namespace sync_job
