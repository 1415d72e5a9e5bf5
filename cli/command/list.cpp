// sync-job list: jobs that match the given filters, newest first.
#include "command/invocation.hpp"
#include "text/json.hpp"
#include "text/message.hpp"
#include "text/table.hpp"

#include <iostream>

namespace sync_job {

namespace {

struct ListOptions {
    std::string status, type, queue, document, target, from, to, error, context, group, parent, before;
    int limit = 50;
};

/// The text of the error and the context have no index: they are searched in the newest 100,000 jobs that match the other filters.
constexpr std::string_view list_sql = R"(
    WITH chosen AS (
        SELECT j.id, j.sync_job_type, j.status, j.source_document_type, j.source_document_name, j.target_document_type, j.target_document_name,
            j.operation, j.queue, j.dry_run, j.retry_count, j.retry_after, j.scheduled_at, j.created_at, j.started_at, j.ended_at,
            j.time_taken, j.documents, j.job_group, j.title, j.error_message, j.context
        FROM @extschema@.sync_job AS j
        WHERE ($1 IS NULL OR lower(j.status) = ANY (string_to_array(lower($1), ',')))
            AND ($2 IS NULL OR j.sync_job_type = $2)
            AND ($3 IS NULL OR j.queue = $3)
            AND ($4 IS NULL OR j.source_document_name = $4)
            AND ($5 IS NULL OR j.target_document_name = $5)
            AND ($6::timestamptz IS NULL OR j.created_at >= $6::timestamptz)
            AND ($7::timestamptz IS NULL OR j.created_at < $7::timestamptz)
            AND ($8 IS NULL OR j.job_group = $8)
            AND ($9::int8 IS NULL OR j.parent_sync_job = $9::int8)
            AND ($10::int8 IS NULL OR j.id < $10::int8)
        ORDER BY j.id DESC LIMIT CASE WHEN $11 IS NULL AND $12::jsonb IS NULL THEN $13::int8 ELSE 100000 END)
    SELECT c.id, c.sync_job_type, c.status, c.source_document_type, c.source_document_name, c.target_document_type, c.target_document_name,
        c.operation, c.queue, c.dry_run, c.retry_count, c.retry_after, c.scheduled_at, c.created_at, c.started_at, c.ended_at,
        round(extract(epoch FROM c.time_taken), 6) AS time_taken_seconds, c.documents, c.job_group, c.title, c.error_message,
        round(extract(epoch FROM now() - coalesce(c.ended_at, c.started_at, c.created_at)), 3) AS age_seconds
    FROM chosen AS c
    WHERE ($11 IS NULL OR c.error_message ILIKE '%' || replace(replace(replace($11, '\', '\\'), '%', '\%'), '_', '\_') || '%')
        AND ($12::jsonb IS NULL OR c.context @> $12::jsonb)
    ORDER BY c.id DESC LIMIT $13::int8)";

/// The last column of a row: why the job failed, when it goes on, or what it did.
std::string remark(const Row& row) {
    if (!row.is_null("error_message")) {
        const std::string message = row["error_message"];
        return message.substr(0, message.find('\n'));
    }
    std::string remark = row["operation"];
    if (row.is_true("dry_run")) {
        remark += remark.empty() ? "dry run" : ", dry run";
    }
    if (!row.is_null("documents")) {
        remark += (remark.empty() ? "" : ", ") + row["documents"] + " documents";
    }
    return remark;
}

void print_jobs(const Result& jobs, bool wide) {
    Table table({{"ID", true}, {"STATE"}, {"AGE", true}, {"TYPE", false, 10}, {"DOCUMENT", false, 8}, {"WHAT", false, 10}});
    for (const Row row : jobs) {
        const std::string status = row["status"];
        const std::string document = row.is_null("source_document_name") ? row["target_document_name"] : row["source_document_name"];
        table.add({row["id"], status, span(row["age_seconds"]), row["sync_job_type"], document, remark(row)},
                  {Colour::none, colour_of_state(status), Colour::none, Colour::none, Colour::none,
                   row.is_null("error_message") ? Colour::none : colour_of_state(status)});
    }
    print(table, wide);
}

int list(Invocation& invocation, const ListOptions& options) {
    const Result jobs = invocation.database().query(
        list_sql, {given(options.status), given(options.type), given(options.queue), given(options.document), given(options.target),
                   given(options.from), given(options.to), given(options.group), given(options.parent), given(options.before),
                   given(options.error), given(options.context), std::to_string(options.limit)});
    const bool more = jobs.size() == options.limit && options.limit > 0;
    const std::string next = more ? jobs.row(jobs.size() - 1)["id"] : "";
    if (invocation.json) {
        std::cout << "{\"jobs\": " << json_array(jobs) << ",\n\"next\": " << (more ? next : "null") << "}\n";
        return exit_good;
    }
    if (jobs.empty()) {
        tell_message("NOTICE", "no such job");
        return exit_good;
    }
    print_jobs(jobs, invocation.wide);
    if (more) {
        tell_message("NOTICE", "there may be more: --before " + next);
    }
    return exit_good;
}

}  // namespace

void add_list(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<ListOptions>(app, invocation, "list", "jobs, newest first", list);
    arguments.option("-s,--status", options.status, "only in these states: failed,started");
    arguments.option("-t,--type", options.type, "only of this job type");
    arguments.option("-q,--queue", options.queue, "only of this queue");
    arguments.option("-D,--document", options.document, "only of this source document");
    arguments.option("--target", options.target, "only of this target document");
    arguments.option("--from", options.from, "only enqueued since then: yesterday, '2026-11-29 08:00'");
    arguments.option("--to", options.to, "only enqueued before then");
    arguments.option("-e,--error", options.error, "only with these words in the error, among the newest 100,000");
    arguments.option("-c,--context", options.context, "only whose context contains this JSON, among the newest 100,000");
    arguments.option("-g,--group", options.group, "only of this job_group");
    arguments.option("--parent", options.parent, "only children of this job");
    arguments.option("--before", options.before, "only with a lower id: the next page");
    arguments.number("-n,--limit", options.limit, 1, 100000, "so many at most");
}

}  // namespace sync_job
