// sync-job compare and full-sync: a job looks at all documents of a type, and brings them in step.
#include "command/wait.hpp"
#include "text/json.hpp"
#include "text/message.hpp"
#include "text/table.hpp"

#include <iostream>

namespace sync_job {

namespace {

struct CompareOptions {
    std::string type, condition, queue, max_rows = "1000";
    bool deduplicate = false;
    WaitOptions wait;
};

struct FullSyncOptions {
    std::string type, condition, queue, max_changes, max_change_percent = "50", max_delete_percent = "10", per_second, at;
    bool dry_run = false, delete_surplus = false, check_first = false, adopt = false, deduplicate = false;
    WaitOptions wait;
};

constexpr std::string_view compare_sql = R"(
    SELECT @extschema@.enqueue_compare($1, condition => $2, max_rows => $3::int4, queue => $4, deduplicate => $5::bool) AS id)";

constexpr std::string_view full_sync_sql = R"(
    SELECT @extschema@.enqueue_full_sync($1, condition => $2, dry_run => $3::bool, delete_surplus => $4::bool, max_change_percent => $5::numeric,
        max_changes => $6::int8, max_delete_percent => $7::numeric, documents_per_second => $8::int4, check_first => $9::bool, adopt => $10::bool,
        queue => $11, scheduled_at => $12::timestamptz, deduplicate => $13::bool) AS id)";

constexpr std::string_view counts_sql = R"(
    SELECT j.id, j.status, (j.result ->> 'missing')::int8 AS missing, (j.result ->> 'different')::int8 AS different,
        (j.result ->> 'surplus')::int8 AS surplus, (j.result ->> 'ambiguous')::int8 AS ambiguous, (j.result ->> 'waiting')::int8 AS waiting,
        (j.result ->> 'out_of_step')::int8 AS out_of_step, j.result ->> 'surplus_unknown' AS surplus_unknown,
        coalesce(j.result -> 'documents', '[]') AS documents
    FROM @extschema@.sync_job AS j WHERE j.id = $1::int8)";

constexpr std::string_view documents_sql = R"(
    SELECT d.difference, d.source_document_name, d.target_document_name, d.diff, d.waiting
    FROM @extschema@.sync_job AS j, jsonb_to_recordset(coalesce(j.result -> 'documents', '[]'))
        AS d (difference text, source_document_name text, target_document_name text, diff jsonb, waiting bool)
    WHERE j.id = $1::int8)";

void print_differences(const Row& counts, const Result& documents, bool wide) {
    std::string found;
    for (const std::string_view kind : {"missing", "different", "surplus", "ambiguous"}) {
        found += (found.empty() ? "" : ", ") + (counts.is_null(kind) ? "unknown" : counts[kind]) + " " + std::string(kind);
    }
    print_value("job", counts["id"]);
    print_value("found", found);
    print_value("out of step", counts["out_of_step"] + (counts["waiting"] == "0" ? "" : ", and " + counts["waiting"] + " that wait for a job already"));
    if (!counts.is_null("surplus_unknown")) {
        print_value("unknown", counts["surplus_unknown"]);
    }
    if (documents.empty()) {
        return;
    }
    std::cout << '\n';
    Table table({{"DIFFERENCE"}, {"SOURCE", false, 10}, {"TARGET", false, 10}, {"", false}, {"DIFF", false, 16}});
    for (const Row row : documents) {
        table.add({row["difference"], row["source_document_name"], row["target_document_name"], row.is_true("waiting") ? "waiting" : "", row["diff"]});
    }
    print(table, wide);
}

/// The exit code says whether everything is in step: a document whose job is already waiting is no fault.
int compare(Invocation& invocation, const CompareOptions& options) {
    Connection& database = invocation.database();
    const Result job = database.execute(compare_sql, {options.type, given(options.condition), given(options.max_rows), given(options.queue),
                                                      flag(options.deduplicate)});
    const std::string id = job.row(0)["id"];
    if (!options.wait.wait) {
        return follow(invocation, id, options.wait);
    }
    if (!ended_well(wait_for_job(invocation, id, options.wait, false).status)) {
        return report_job(invocation, id);
    }
    const Result counts = database.query(counts_sql, {id});
    if (counts.empty()) {
        throw DatabaseError("42501", "the result of job " + id + " is not shown to you", "", "Its reader must be able to read source and target.", "");
    }
    if (invocation.json) {
        std::cout << json_object(counts.row(0)) << '\n';
    } else {
        print_differences(counts.row(0), database.query(documents_sql, {id}), invocation.wide);
    }
    return counts.row(0)["out_of_step"] == "0" ? exit_good : exit_bad;
}

int full_sync(Invocation& invocation, const FullSyncOptions& options) {
    const Result job = invocation.database().execute(
        full_sync_sql, {options.type, given(options.condition), flag(options.dry_run), flag(options.delete_surplus), given(options.max_change_percent),
                        given(options.max_changes), given(options.max_delete_percent), given(options.per_second), flag(options.check_first),
                        flag(options.adopt), given(options.queue), given(options.at), flag(options.deduplicate)});
    return follow(invocation, job.row(0)["id"], options.wait);
}

}  // namespace

void add_compare(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<CompareOptions>(app, invocation, "compare", "which documents of a type are out of step", compare);
    arguments.positional("type", options.type, "the job type");
    arguments.option("--condition", options.condition, "only these sources: SQL over source, as in \"region = 'EU'\"");
    arguments.option("--max-rows", options.max_rows, "list so many of them");
    arguments.option("-q,--queue", options.queue, "another queue than the type's");
    arguments.flag("--deduplicate", options.deduplicate, "take the comparison that waits or runs, if there is one");
    add_wait_options(arguments, options.wait);
}

void add_full_sync(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<FullSyncOptions>(app, invocation, "full-sync", "bring all documents of a type in step", full_sync);
    arguments.positional("type", options.type, "the job type");
    arguments.option("--condition", options.condition, "only these sources: SQL over source");
    arguments.flag("--dry-run", options.dry_run, "only compare, check the limits, and count");
    arguments.flag("--delete-surplus", options.delete_surplus, "delete targets that no source maps to");
    arguments.option("--max-change-percent", options.max_change_percent, "stop if it would change more of the targets");
    arguments.option("--max-delete-percent", options.max_delete_percent, "the same for deletes");
    arguments.option("--max-changes", options.max_changes, "stop if it would make more changes");
    arguments.option("--documents-per-second", options.per_second, "not faster than that");
    arguments.flag("--check-first", options.check_first, "compare all before the first write, also of types with functions");
    arguments.flag("--adopt", options.adopt, "what nobody knows who wrote it counts as written by a sync");
    arguments.option("-q,--queue", options.queue, "another queue than the type's");
    arguments.option("--at", options.at, "not before");
    arguments.flag("--deduplicate", options.deduplicate, "take the run that waits or runs, if there is one");
    add_wait_options(arguments, options.wait);
}

}  // namespace sync_job
