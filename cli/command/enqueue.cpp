// sync-job enqueue and dry-run: jobs of a type for documents.
#include "command/prompt.hpp"
#include "command/wait.hpp"
#include "text/json.hpp"
#include "text/message.hpp"

#include <iostream>

namespace sync_job {

namespace {

struct EnqueueOptions {
    std::string type;
    std::vector<std::string> documents;
    std::string context, operation, target, queue, priority, at, job_id, group;
    bool deduplicate = false, pending = false, verbose = false, apply = false, yes = false;
    WaitOptions wait;
};

constexpr std::string_view enqueue_sql = R"(
    SELECT @extschema@.enqueue_sync_job(jsonb_strip_nulls(jsonb_build_object(
        'sync_job_type', $1, 'source_document_name', d.name, 'context', $3::jsonb, 'operation', $4, 'target_document_name', $5, 'queue', $6,
        'priority', $7::int4, 'scheduled_at', $8, 'job_id', $9, 'job_group', $10, 'deduplicate', $11::bool, 'queue_on_insert', NOT $12::bool,
        'verbose_logging', CASE WHEN $13::bool THEN true END, 'dry_run', $14::bool))) AS id
    FROM jsonb_array_elements_text($2::jsonb) AS d (name))";

Result enqueue_jobs(Invocation& invocation, const EnqueueOptions& options, bool dry_run) {
    return invocation.database().execute(
        enqueue_sql, {options.type, options.documents.empty() ? "[null]" : json_strings(options.documents), given(options.context), given(options.operation), given(options.target), given(options.queue),
                      given(options.priority), given(options.at), given(options.job_id), given(options.group), flag(options.deduplicate),
                      flag(options.pending), flag(options.verbose), flag(dry_run)});
}

int enqueue(Invocation& invocation, const EnqueueOptions& options) {
    const Result jobs = enqueue_jobs(invocation, options, false);
    if (options.wait.wait) {
        int code = exit_good;
        for (const Row row : jobs) {
            code = std::max(code, follow(invocation, row["id"], options.wait));
        }
        return code;
    }
    if (invocation.json) {
        std::cout << "{\"jobs\": " << json_array(jobs) << "}\n";
        return exit_good;
    }
    for (const Row row : jobs) {
        std::cout << row["id"] << '\n';
    }
    return exit_good;
}

int dry_run(Invocation& invocation, const EnqueueOptions& options) {
    if (options.apply) {
        require_answer(options.yes);
    }
    const std::string id = enqueue_jobs(invocation, options, true).row(0)["id"];
    const int code = follow(invocation, id, options.wait);
    if (!options.apply || code != exit_good || !confirm("Make these changes?", options.yes)) {
        return code;
    }
    const Result applied = invocation.database().execute("SELECT @extschema@.enqueue_apply(ARRAY[$1::int8]) AS id", {id});
    return follow(invocation, applied.row(0)["id"], options.wait);
}

void add_job_options(Arguments& arguments, EnqueueOptions& options) {
    arguments.option("-c,--context", options.context, "a JSON object for the controller");
    arguments.option("-o,--operation", options.operation, "insert, update or delete, instead of asking the controller");
    arguments.option("--target", options.target, "the target document; needs an operation");
    arguments.option("-q,--queue", options.queue, "another queue than the type's");
    arguments.option("--priority", options.priority, "another priority than the type's; lower runs first");
    arguments.option("--job-id", options.job_id, "a key of your own");
    arguments.flag("--verbose-logging", options.verbose, "keep messages, snapshots and every diff");
}

}  // namespace

void add_enqueue(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<EnqueueOptions>(app, invocation, "enqueue", "enqueue jobs, and print their ids", enqueue);
    arguments.positional("type", options.type, "the job type");
    arguments.positional("document", options.documents, false, "source documents; a job for each");
    add_job_options(arguments, options);
    arguments.option("--at", options.at, "not before: '2026-12-01 08:00', 'tomorrow'");
    arguments.option("-g,--group", options.group, "a name for jobs that belong together");
    arguments.flag("--deduplicate", options.deduplicate, "not where one that waits does the same");
    arguments.flag("--pending", options.pending, "Pending, until it is started");
    options.wait.wait = false;
    arguments.flag("--wait", options.wait.wait, "wait for the end, and show them");
    arguments.number("--timeout", options.wait.timeout, 0, 1e9, "with --wait: for so many seconds at most");
}

void add_dry_run(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<EnqueueOptions>(app, invocation, "dry-run", "show what a job would change, without changing it", dry_run);
    arguments.positional("type", options.type, "the job type");
    arguments.positional("document", options.documents, false, "the source document");
    add_job_options(arguments, options);
    arguments.flag("--apply", options.apply, "then ask, and make the changes");
    arguments.flag("-y,--yes", options.yes, "do not ask");
    add_wait_options(arguments, options.wait);
    arguments.check([&options] {
        if (options.documents.size() > 1) {
            throw UsageError("a dry run is of one document");
        }
        if (options.apply && !options.wait.wait) {
            throw UsageError("--apply needs the end of the dry run, and --no-wait does not wait for it");
        }
    });
}

}  // namespace sync_job
