// Reads one job and describes it; see the header.
#include "command/job.hpp"

#include "text/json.hpp"
#include "text/table.hpp"
#include "text/visible.hpp"

#include <iostream>

namespace sync_job {

namespace {

constexpr std::string_view job_sql = R"(
    SELECT j.id, j.sync_job_type, j.title, j.status, j.operation, j.source_document_type, j.source_document_name, j.target_document_type,
        j.target_document_name, j.context, j.queue, j.priority, j.run_as, j.owner, j.enqueued_by, j.trigger_type, j.dry_run, j.job_id, j.job_group,
        j.parent_sync_job, j.relation, j.created_at, j.scheduled_at, j.started_at, j.ended_at, j.retry_after,
        round(extract(epoch FROM j.time_taken), 6) AS time_taken_seconds, j.retry_count, j.max_retries, j.documents, j.procedure, j.result,
        j.diff_summary, j.current_data, j.updated_data, j.messages, j.error_message, j.cancel_reason, a.percent, a.title AS progress_title,
        a.description AS progress_description
    FROM @extschema@.sync_job AS j LEFT JOIN @extschema@.sync_job_activity AS a ON a.sync_job = j.id
    WHERE j.id = $1::int8)";

constexpr std::string_view attempts_sql = R"(
    SELECT e.attempt, e.occurred_at, e.counted, e.sqlstate, e.message, e.detail, e.hint, e.context
    FROM @extschema@.sync_job_error AS e WHERE e.sync_job = $1::int8 ORDER BY e.attempt, e.occurred_at)";

/// The diff, if the extension made it: a bypass controller's may have any form, and is shown as it is.
constexpr std::string_view changes_sql = R"(
    SELECT d.key AS field, d.value -> 'old' AS old, d.value -> 'new' AS new, coalesce(d.value -> 'secret' = 'true', false) AS secret,
        coalesce(d.value -> 'too_large' = 'true', false) AS too_large
    FROM @extschema@.sync_job AS j,
        jsonb_each(CASE WHEN jsonb_typeof(j.diff_summary) = 'object' THEN j.diff_summary ELSE '{}' END) AS d
    WHERE j.id = $1::int8 AND jsonb_typeof(d.value) = 'object' AND d.value ?| ARRAY['old', 'new', 'secret', 'too_large']
    ORDER BY d.key)";

constexpr std::string_view documents_sql = R"(
    SELECT d.operation, d.status, d.source_document_name, d.target_document_name, d.diff_summary
    FROM @extschema@.sync_job_document AS d WHERE d.sync_job = $1::int8 ORDER BY d.source_document_name, d.target_document_name LIMIT 1000)";

constexpr std::string_view children_sql = R"(
    SELECT c.id, c.relation, c.status, c.operation, c.sync_job_type, coalesce(c.target_document_name, c.source_document_name) AS document, c.error_message
    FROM @extschema@.sync_job AS c WHERE c.parent_sync_job = $1::int8 ORDER BY c.id LIMIT 1000)";

/// Columns that are printed one below the other, with their labels.
struct Label {
    std::string_view column, label;
};
constexpr Label labels[] = {{"title", "title"}, {"operation", "operation"}, {"source_document_type", "source"}, {"source_document_name", "  document"},
                            {"target_document_type", "target"}, {"target_document_name", "  document"}, {"procedure", "calls"},
                            {"documents", "documents"}, {"queue", "queue"}, {"run_as", "runs as"}, {"owner", "owner"}, {"trigger_type", "enqueued"},
                            {"job_id", "job_id"}, {"job_group", "group"}, {"parent_sync_job", "parent"}, {"relation", "relation"},
                            {"created_at", "created"}, {"scheduled_at", "scheduled"}, {"started_at", "started"}, {"ended_at", "ended"},
                            {"retry_after", "retry at"}, {"cancel_reason", "canceled"}, {"context", "context"}, {"result", "result"}};

void print_changes(const JobReport& report, bool wide) {
    const Row job = report.job.row(0);
    if (report.changes.empty()) {
        if (!job.is_null("diff_summary") && job["diff_summary"] != "{}") {
            print_heading("Changes");
            print_value("", job["diff_summary"]);
        }
        return;
    }
    print_heading(job.is_true("dry_run") ? "Changes it would make" : "Changes");
    Table table({{"FIELD", false, 10}, {"OLD", false, 10}, {"", false}, {"NEW", false, 10}});
    for (const Row row : report.changes) {
        const bool untold = row.is_true("secret") || row.is_true("too_large");
        const std::string old_value = untold ? (row.is_true("secret") ? "(secret)" : "(too large)") : row["old"];
        table.add({row["field"], old_value, "→", untold ? old_value : row["new"]}, {Colour::none, Colour::red, Colour::dim, Colour::green});
    }
    print(table, wide);
}

void print_attempts(const Result& attempts) {
    for (const Row row : attempts) {
        print_heading("Attempt " + row["attempt"] + " failed, " + row["occurred_at"].substr(0, 19) + (row.is_true("counted") ? "" : " (not counted)"));
        print_value("error", row["sqlstate"] + ": " + row["message"], Colour::red);
        for (const std::string_view part : {"detail", "hint", "context"}) {
            if (!row[part].empty()) {
                print_value(part, row[part]);
            }
        }
    }
}

void print_documents(const Result& documents, bool wide) {
    if (documents.empty()) {
        return;
    }
    print_heading("Documents");
    Table table({{"OPERATION"}, {"SOURCE", false, 10}, {"TARGET", false, 10}, {"CHANGES", false, 10}});
    for (const Row row : documents) {
        table.add({row["operation"], row["source_document_name"], row["target_document_name"], row["diff_summary"]});
    }
    print(table, wide);
}

void print_children(const Result& children, bool wide) {
    if (children.empty()) {
        return;
    }
    print_heading("Children");
    Table table({{"ID", true}, {"STATE"}, {"RELATION"}, {"OPERATION"}, {"DOCUMENT", false, 8}, {"ERROR", false, 10}});
    for (const Row row : children) {
        const std::string error = row["error_message"];
        table.add({row["id"], row["status"], row["relation"], row["operation"], row["document"], error.substr(0, error.find('\n'))},
                  {Colour::none, colour_of_state(row["status"])});
    }
    print(table, wide);
}

}  // namespace

JobReport read_job(Connection& database, const std::string& id) {
    JobReport report{database.query(job_sql, {id}), database.query(attempts_sql, {id}), database.query(changes_sql, {id}),
                     database.query(documents_sql, {id}), database.query(children_sql, {id})};
    if (report.job.empty()) {
        throw DatabaseError("42704", "sync job " + id + " does not exist", "", "It may have been cleared, or be one that you may not see.", "");
    }
    return report;
}

void print_job(const JobReport& report, bool wide) {
    const Row job = report.job.row(0);
    const Terminal screen = terminal();
    const std::string status = job["status"];
    std::cout << screen.paint(Colour::bold, "Job " + visible(job["id"]) + ", " + visible(job["sync_job_type"])) << ": "
              << screen.paint(colour_of_state(status), visible(status));
    if (!job.is_null("percent")) {
        std::cout << ' ' << visible(job["percent"]) << " % " << visible(job["progress_title"]) << ' ' << visible(job["progress_description"]);
    }
    if (!job.is_null("time_taken_seconds")) {
        std::cout << " in " << span(job["time_taken_seconds"]);
    }
    std::cout << (job.is_true("dry_run") ? " (dry run)" : "") << '\n';
    for (const Label& label : labels) {
        if (!job.is_null(label.column)) {
            print_value(label.label, job[label.column]);
        }
    }
    print_changes(report, wide);
    print_documents(report.documents, wide);
    print_attempts(report.attempts);
    if (report.attempts.empty() && !job.is_null("error_message")) {
        print_heading("Error");
        print_value("", job["error_message"], Colour::red);
    }
    if (!job.is_null("messages")) {
        print_heading("Messages");
        print_value("", job["messages"]);
    }
    print_children(report.children, wide);
}

std::string json_of(const JobReport& report) {
    return "{\"job\": " + json_object(report.job.row(0)) + ",\n\"attempts\": " + json_array(report.attempts) + ",\n\"documents\": " +
           json_array(report.documents) + ",\n\"children\": " + json_array(report.children) + "}";
}

}  // namespace sync_job
