// The triggers of sync_job_type and sync_job_queue: they fill defaults, check form and rights of what is written, and invalidate
// caches.
#include "api/table_checks.hpp"

#include <optional>

#include "api/row_checks.hpp"
#include "controller/http_declaration.hpp"
#include "controller/native_library.hpp"
#include "controller/validation.hpp"
#include "core/retry.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "job/source_triggers.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"
#include "shared/slots.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using Event = pg::TriggerCall::Event;

void check_set_size(const TableRow& row) {
    pg::Value value = row.at("set_size");
    if (value.null) return;  // version 0.1.0
    int size = pg::datum_int32(value.datum);
    if (size < 1 || size > most_in_set_job) {
        throw bad_column("set_size", "must be between 1 and " + std::to_string(most_in_set_job) + ": " + std::to_string(size));
    }
}

bool live_jobs_of(const char* column, const std::string& name) {
    static auto& of_type = *new InternalStatement(
        "SELECT FROM {}.sync_job WHERE sync_job_type = $1 AND status IN ('Pending', 'Queued', 'Started') LIMIT 1",
        {pg::type::text});
    static auto& of_queue = *new InternalStatement(
        "SELECT FROM {}.sync_job WHERE queue = $1 AND status IN ('Pending', 'Queued', 'Started') LIMIT 1",
        {pg::type::text});
    InternalStatement& select = std::string(column) == "queue" ? of_queue : of_type;
    return !select.run({{pg::text_datum(name), false}}).empty();
}

void require_no_live_jobs(const char* what, const char* column, const std::string& name) {
    if (!live_jobs_of(column, name)) return;
    throw pg::Error("55006", std::string(what) + " " + quoted(name) + " has live jobs")
        .hint("Cancel them, or wait until they have ended.");
}

// A trigger that names a missing type would fail every write to its table.
void require_no_triggers(const std::string& name) {
    auto type = find_job_type(name);
    for (const SourceTrigger& trigger : source_triggers(name)) {
        // If the table's owner may not enqueue, writes to it fail anyway. Such a trigger must not keep others from changing the type.
        if (type == nullptr || !may_enqueue(*type, pg::relation_owner(trigger.relation))) continue;
        throw pg::Error("55006", "sync job type " + quoted(name) + " is named by trigger " +
                                     quoted(trigger.name) + " on " +
                                     quoted(pg::relation_name(trigger.relation)))
            .detail("Without the type every write to the table would fail.")
            .hint("Drop the trigger first; or set disabled, and it enqueues nothing.");
    }
}

// --- sync_job_queue ---

void check_queue_form(const TableRow& row) {
    std::string name = row.text("name");
    if (name.empty()) throw bad_column("name", "of a queue must not be empty");
    if (name.size() >= queue_name_bytes) {
        throw bad_column(
            "name", "of a queue must be shorter than " + std::to_string(queue_name_bytes) + " bytes: " + quoted(name));
    }
    check_number(row, "max_workers", 0);
    check_interval(row, "timeout");
}

// A dump includes the standard queues, which CREATE EXTENSION has already made: the dumped row wins.
bool replaces_standard_queue(const TableRow& row) {
    std::string name = row.text("name");
    if (name != "short" && name != "default" && name != "long") return false;
    static auto& update = *new InternalStatement(
        "UPDATE {}.sync_job_queue SET max_workers = $2, timeout = $3, paused = $4, publish_events = $5"
        " WHERE name = $1 RETURNING name",
        {pg::type::text, pg::type::int4, pg::type::interval, pg::type::boolean, pg::type::boolean});
    return !update
                .run({row.at("name"), row.at("max_workers"), row.at("timeout"), row.at("paused"),
                      row.at("publish_events")})
                .empty();
}

// --- sync_job_type ---

Oid default_run_as(const TableRow& row) {
    for (const char* column : {"target_document_type", "source_document_type"}) {
        if (Oid relation = row.oid(column); relation != pg::no_oid && pg::relation_exists(relation)) {
            return pg::relation_owner(relation);
        }
    }
    return pg::current_user();
}

void fill_defaults(TableRow& row) {
    row.set("retry_backoff", pg::text_datum(lower(row.text("retry_backoff"))));
    if (std::string word = lower(row.text("on_delete")); word == "delete" || word == "keep") row.set("on_delete", pg::text_datum(word));
    if (row.is_null("module")) row.set("module", pg::text_datum(scrubbed(row.text("name"))));
    if (row.is_null("run_as")) row.set("run_as", pg::oid_datum(default_run_as(row)));
}

void check_object(const TableRow& row, const char* column) {
    pg::Value value = row.at(column);
    if (!value.null && pg::json_kind(value.datum) != pg::JsonKind::object) {
        throw bad_column(column, "must be a JSON object: " + pg::clipped(pg::json_to_text(value.datum), 60));
    }
}

// The array must have one dimension and begin at 1: as JSON, any other one is a text.
std::size_t check_names(const TableRow& row, const char* column) {
    Datum array = pg::value_to_json(row.at(column).datum, pg::type::text_array, false);
    if (pg::json_kind(array) != pg::JsonKind::array) throw bad_column(column, "must be a simple list of names");
    auto names = pg::json_elements(array);
    for (const pg::JsonField& name : names) {
        if (name.kind == pg::JsonKind::null) throw bad_column(column, "must not contain null values");
    }
    return names.size();
}

void check_key(const TableRow& row, const char* column, const char* type_column) {
    if (row.is_null(column)) return;
    if (row.is_null(type_column)) throw bad_column(column, std::string("without ") + type_column);
    if (check_names(row, column) == 0) throw bad_column(column, "must name at least one column");
}

void check_declaration(const TableRow& row) {
    if (row.is_null("match") && row.is_null("field_map")) return;
    bool native = !row.is_null("library");
    if (native && !row.is_null("field_map")) throw bad_column("field_map", "and library exclude each other: either says what to set in the target");
    if (row.is_null("match")) throw bad_column("field_map", "needs match, which says which target belongs to a source");
    if (row.is_null("field_map") && !native) throw bad_column("match", "needs field_map or library, which says what to set in the target");
    for (const char* column : {"source_document_type", "target_document_type"}) {
        if (row.is_null(column)) throw bad_column(native ? "match" : "field_map", std::string("needs ") + column);
    }
    Datum match = row.at("match").datum;
    if (pg::json_kind(match) == pg::JsonKind::object && pg::json_fields(match).empty()) throw bad_column("match", "must name at least one column");
}

void check_http(const TableRow& row) {
    if (row.is_null("http")) return;
    for (const char* column : {"match", "field_map", "library"}) {
        if (!row.is_null(column)) throw bad_column("http", std::string("excludes ") + column);
    }
    if (std::string word = row.text("on_delete"); word != "delete" && word != "keep") {
        throw bad_column("on_delete", "must be delete or keep for an HTTP push, whose http.delete says what is sent");
    }
    HttpDeclaration http = read_http_declaration(pg::json_to_text(row.at("http").datum));
    int set_size = pg::datum_int32(row.at("set_size").datum);
    if (set_size > 1 && !http.batch) throw bad_column("set_size", "needs http.batch: without it a request is about one document");
}

void check_condition(const TableRow& row, const char* column, const char* needed, const char* hint) {
    if (row.is_null(column)) return;
    if (row.is_null(needed)) throw bad_column(column, std::string("needs ") + needed);
    try {
        pg::check_expression(row.text(column));
    } catch (const pg::Error& error) {
        throw pg::Error(error.sqlstate(), std::string(column) + ": " + error.report().message)
            .detail(error.report().detail)
            .hint(hint)
            .column(column);
    }
}

void check_on_delete(const TableRow& row) {
    std::string text = row.text("on_delete");
    if (row.is_null("on_delete") || text == "delete" || text == "keep") return;
    bool is_object = false;
    try {
        pg::Subtransaction subtransaction;
        Datum json = pg::json_from_text(text);
        is_object = pg::json_kind(json) == pg::JsonKind::object && !pg::json_fields(json).empty();
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    if (is_object) return;
    throw bad_column("on_delete", "must be delete, keep, or a JSON object of columns to set: " + quoted(pg::clipped(text, 60)));
}

void check_name(const TableRow& row) {
    if (row.text("name").empty()) throw bad_column("name", "of a sync job type must not be empty");
    if (row.text("name") == background_type_name) {
        throw bad_column("name", quoted(background_type_name) + " is reserved for the built-in type of background work");
    }
}

void check_backoff(const TableRow& row) {
    if (parse_backoff(row.text("retry_backoff"))) return;
    throw bad_column("retry_backoff", "must be one of " + std::string(backoff_list()) + ", not " + quoted(row.text("retry_backoff")));
}

void check_echo(const TableRow& row) {
    if (row.flag("ignore_synced") && row.is_null("target_document_type")) throw bad_column("ignore_synced", "needs target_document_type");
}

void check_secret_columns(const TableRow& row) {
    if (!row.is_null("secret_columns")) check_names(row, "secret_columns");
}

void check_library(const TableRow& row) {
    if (row.is_null("library")) return;
    std::string problem = problem_of_library_name(row.text("library"));
    if (!problem.empty()) throw bad_column("library", problem);
}

using Check = void (*)(const TableRow&);
constexpr Check form_checks[] = {
    check_name,
    check_backoff,
    [](const TableRow& row) { check_interval(row, "timeout"); },
    [](const TableRow& row) { check_interval(row, "retry_delay"); },
    [](const TableRow& row) { check_number(row, "max_retries", 0); },
    [](const TableRow& row) { check_number(row, "concurrency_limit", 1); },
    check_set_size,
    [](const TableRow& row) { check_object(row, "field_map"); },
    [](const TableRow& row) { check_object(row, "match"); },
    check_declaration,
    [](const TableRow& row) { check_object(row, "http"); },
    check_http,
    [](const TableRow& row) { check_condition(row, "source_condition", "source_document_type", "It is one condition over source, as in source.country = 'DE'."); },
    [](const TableRow& row) { check_condition(row, "surplus_condition", "match", "It is one condition over target, as in target.origin = 'ERP'."); },
    check_on_delete,
    check_echo,
    [](const TableRow& row) { check_key(row, "source_key", "source_document_type"); },
    [](const TableRow& row) { check_key(row, "target_key", "target_document_type"); },
    check_secret_columns,
    check_library,
};

void check_run_as(const TableRow& row) {
    Oid run_as = row.oid("run_as"), user = pg::current_user();
    std::string name = quoted(pg::role_name(run_as));
    if (!pg::role_exists(run_as))
        throw pg::Error("42704", "run_as: role with OID " + std::to_string(run_as) + " does not exist").column("run_as");
    if (!pg::may_set_role(user, run_as)) {
        throw pg::Error("42501", "permission denied to have sync jobs run as role " + name)
            .detail("Role " + quoted(pg::role_name(user)) + " may not SET ROLE to it.")
            .hint("Name a role of yours in run_as.")
            .column("run_as");
    }
    require_role_can_run(run_as);
}

pg::Error not_as_superuser(const std::string& what, Oid owner) {
    std::string name = quoted(pg::role_name(owner));
    return pg::Error("42501", what + " must not run as a superuser")
        .detail("It belongs to role " + name + ", which is not a superuser.")
        .hint("Set run_as to " + name + " or another role that is not a superuser.")
        .column("run_as");
}

// A superuser's rights must not be used on others' tables, whose triggers and functions would get them, nor for their
// controllers. What is created later is checked when jobs run.
void check_superuser_owns(const TableRow& row) {
    if (!pg::is_superuser(row.oid("run_as"))) return;
    if (Oid module = pg::schema_oid(row.text("module")); module != pg::no_oid) {
        if (Oid owner = pg::schema_owner(module); !pg::is_superuser(owner)) {
            throw not_as_superuser("module " + quoted(row.text("module")), owner);
        }
        for (const std::string& name : controller_function_names()) {
            for (const pg::FunctionInfo& info : pg::functions_named(module, name)) {
                if (!pg::is_superuser(info.owner)) throw not_as_superuser("function " + info.signature, info.owner);
            }
        }
    }
    for (const char* column : {"source_document_type", "target_document_type"}) {
        Oid relation = row.oid(column);
        if (relation == pg::no_oid || !pg::relation_exists(relation)) continue;
        std::vector<Oid> relations = pg::descendants(relation);
        relations.insert(relations.begin(), relation);
        for (Oid part : relations) {
            Oid owner = pg::relation_owner(part);
            if (owner == pg::no_oid || pg::is_superuser(owner)) continue;
            throw not_as_superuser("sync jobs on " + quoted(pg::relation_name(part)), owner);
        }
    }
}

constexpr Check right_checks[] = {check_run_as, check_superuser_owns};

void check_may_change(const TableRow& row) {
    Oid run_as = row.oid("run_as");
    if (!pg::role_exists(run_as) || pg::may_set_role(pg::current_user(), run_as)) return;
    throw pg::Error("42501", "permission denied for sync job type " + quoted(row.text("name")))
        .detail("Its jobs run as role " + quoted(pg::role_name(run_as)) + ", which role " +
                quoted(pg::role_name(pg::current_user())) + " may not become.");
}

// A library has all rights of the server, so only a superuser may set one, or confirm one that somebody else has restored.
// `old_row`: null for a new row.
void settle_library(TableRow& row, const TableRow* old_row) {
    if (row.is_null("library")) {
        if (!row.is_null("library_trusted")) row.set("library_trusted", pg::Value());
        return;
    }
    bool superuser = pg::is_superuser(pg::current_user());
    bool same = old_row != nullptr && old_row->text("library") == row.text("library");
    bool was_trusted = same && old_row->flag("library_trusted");
    if (superuser) {
        bool said = !row.is_null("library_trusted") && (old_row == nullptr || same || row.flag("library_trusted") != old_row->flag("library_trusted"));
        if (!said) row.set("library_trusted", pg::bool_datum(!same || was_trusted));
        return;
    }
    bool asks = same ? row.flag("library_trusted") && !was_trusted : old_row != nullptr || !pg::restores();
    row.set("library_trusted", pg::bool_datum(was_trusted && row.flag("library_trusted")));
    if (!asks) return;
    throw pg::Error("42501", std::string("permission denied to ") + (same ? "confirm" : "name") + " library " + quoted(row.text("library")))
        .detail("What is in a library runs with all rights of the server.")
        .hint("Have a superuser do it.")
        .column("library");
}

// What belongs to a type goes with its name, or with the type.
void move_belongings(const std::string& from, const std::string& to) {
    static auto& rename_grants =
        *new InternalStatement("UPDATE sync_job_internal.type_grant SET sync_job_type = $2 WHERE sync_job_type = $1",
                          {pg::type::text, pg::type::text});
    static auto& remove_grants =
        *new InternalStatement("DELETE FROM sync_job_internal.type_grant WHERE sync_job_type = $1", {pg::type::text});
    static auto& rename_written =
        *new InternalStatement("UPDATE sync_job_internal.written SET sync_job_type = $2 WHERE sync_job_type = $1",
                          {pg::type::text, pg::type::text});
    static auto& remove_written =
        *new InternalStatement("DELETE FROM sync_job_internal.written WHERE sync_job_type = $1", {pg::type::text});
    // Otherwise their owners would find them broken, or never hear of them again.
    static auto& rename_alerts =
        *new InternalStatement("UPDATE {}.sync_job_alert SET sync_job_type = $2 WHERE sync_job_type = $1", {pg::type::text, pg::type::text});
    static auto& rename_schedules =
        *new InternalStatement("UPDATE {}.sync_job_schedule SET sync_job_type = $2 WHERE sync_job_type = $1", {pg::type::text, pg::type::text});
    bool has_written = schema_objects().written_table != pg::no_oid;
    pg::Value old_name{pg::text_datum(from), false}, new_name{pg::text_datum(to), false};
    if (to.empty()) {
        remove_grants.run({old_name});
        if (has_written) remove_written.run({old_name});
    } else {
        rename_grants.run({old_name, new_name});
        if (has_written) rename_written.run({old_name, new_name});
        rename_schedules.run({old_name, new_name});
        if (schema_objects().current) rename_alerts.run({old_name, new_name});
    }
}

// Whoever disables a type for maintenance should pause it instead.
void tell_what_is_lost(const TableRow& row, const TableRow& old_row) {
    if (!row.flag("disabled") || old_row.flag("disabled")) return;
    pg::notice("while sync job type " + quoted(row.text("name")) + " is disabled, changes of its source enqueue no jobs and are not synced later",
               "To sync them later, use pause_sync_job_type().");
}

}  // namespace

std::vector<Finding> check_type_row(TableRow& row) {
    std::vector<Finding> findings;
    auto look = [&](Check check) {
        try {
            pg::Subtransaction subtransaction;
            check(row);
            subtransaction.commit();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            findings.push_back({true, error.report().column_name.empty() ? "run_as" : error.report().column_name, error.share()});
        }
    };
    fill_defaults(row);
    try {
        settle_library(row, nullptr);
    } catch (const pg::Error& error) {
        findings.push_back({true, "library", error.share()});
    }
    for (Check check : form_checks) look(check);
    for (Check check : right_checks) look(check);
    return findings;
}

namespace {

Datum check_type(pg::Arguments& args, const pg::TriggerCall& call) {
    require_level(Level::manager, "table sync_job_type");
    require_trusted_types();
    if (call.event != Event::insert) {
        TableRow old_row(call.relation, call.old_row);
        check_may_change(old_row);
        bool renamed = call.event == Event::update &&
                       TableRow(call.relation, call.new_row).text("name") != old_row.text("name");
        if (call.event == Event::remove || renamed) {
            require_no_live_jobs("sync job type", "sync_job_type", old_row.text("name"));
            require_no_triggers(old_row.text("name"));
            move_belongings(old_row.text("name"),
                        call.event == Event::update ? TableRow(call.relation, call.new_row).text("name") : "");
        }
    }
    if (call.event == Event::remove) return pg::trigger_proceed(args);
    TableRow row(call.relation, call.new_row);
    fill_defaults(row);
    if (call.event == Event::update) row.set("modified_at", pg::int64_datum(pg::transaction_start()));
    for (Check check : form_checks) check(row);
    for (Check check : right_checks) check(row);
    std::optional<TableRow> old_row;
    if (call.event == Event::update) old_row.emplace(call.relation, call.old_row);
    settle_library(row, old_row ? &*old_row : nullptr);
    if (call.event == Event::update) tell_what_is_lost(row, TableRow(call.relation, call.old_row));
    return pg::trigger_replace(args, row.row());
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_check_queue) {
    pg::TriggerCall call = pg::trigger_call(args, "check_queue");
    pg::invalidate_relation(call.relation);
    wake_scheduler_at_commit();
    std::string old_name;
    if (call.event != Event::insert) old_name = TableRow(call.relation, call.old_row).text("name");
    if (call.event == Event::remove) {
        require_no_live_jobs("queue", "queue", old_name);
        return pg::trigger_proceed(args);
    }
    TableRow row(call.relation, call.new_row);
    check_queue_form(row);
    if (call.event == Event::update && row.text("name") != old_name) require_no_live_jobs("queue", "queue", old_name);
    if (call.event == Event::insert && replaces_standard_queue(row)) return pg::trigger_suppress(args);
    return pg::trigger_proceed(args);
}

SYNC_JOB_FUNCTION(sync_job_check_type) {
    pg::TriggerCall call = pg::trigger_call(args, "check_type");
    pg::invalidate_relation(call.relation);
    wake_scheduler_at_commit();
    return check_type(args, call);
}
