#include "controller/validation.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "controller/columns_read.hpp"
#include "controller/controller.hpp"
#include "controller/http_push.hpp"
#include "controller/kinds.hpp"
#include "controller/mapping.hpp"
#include "controller/search_path.hpp"
#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "job/internal_sql.hpp"
#include "job/source_triggers.hpp"
#include "pg/catalog.hpp"
#include "pg/http_library.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

void check_run_as(const JobType& type) {
    std::string name = quoted(pg::role_name(type.run_as));
    if (!pg::role_exists(type.run_as)) throw pg::Error("42704", "role " + name + " does not exist");
    if (pg::workers_need_login && !pg::role_can_log_in(type.run_as)) {
        throw pg::Error("42501", "role " + name + " may not log in")
            .hint("ALTER ROLE ... LOGIN, or name another role in run_as.");
    }
    if (!pg::role_can_connect(type.run_as)) {
        throw pg::Error("42501", "role " + name + " may not connect to this database")
            .hint("GRANT CONNECT ON DATABASE ... to it.");
    }
}

// Reading needs the right for the whole relation or for each column, as a document is a whole row. Writing needs it for any column.
bool has_right(Oid role, Oid relation, const char* right) {
    pg::SpiScope spi;
    pg::Statement select(
        "SELECT pg_catalog.has_schema_privilege($1, c.relnamespace, 'USAGE') AND"
        " (pg_catalog.has_table_privilege($1, c.oid, $3) OR $3 OPERATOR(pg_catalog.<>) 'SELECT' AND"
        " pg_catalog.has_any_column_privilege($1, c.oid, $3) OR $3 OPERATOR(pg_catalog.=) 'SELECT' AND (SELECT pg_catalog.bool_and("
        "pg_catalog.has_column_privilege($1, c.oid, a.attnum, 'SELECT')) FROM pg_catalog.pg_attribute AS a"
        " WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped))"
        " FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $2",
        {pg::type::oid, pg::type::oid, pg::type::text});
    pg::Rows rows = select.execute({{pg::oid_datum(role), false}, {pg::oid_datum(relation), false}, {pg::text_datum(right), false}});
    pg::Value has = rows.empty() ? pg::Value{} : rows.at(0, 0);
    return !has.null && pg::datum_bool(has.datum);
}

pg::Error missing_right(const JobType& type, Oid relation, const char* right) {
    std::string role = quoted(pg::role_name(type.run_as));
    return pg::Error("42501", "role " + role + " has no right to " + right + " on " + quoted(pg::relation_name(relation)))
        .detail("The jobs run as this role.")
        .hint("GRANT " + std::string(right) + " ON " + pg::quoted_relation_name(relation) + " TO " +
              pg::quoted_identifier(pg::role_name(type.run_as)) + "; the role needs USAGE on the schema, too.");
}

// Without SELECT no job works. The other rights are needed only by jobs that insert or update, and rights for columns may be enough.
void check_rights(const JobType& type, std::vector<Finding>& findings) {
    auto check = [&](const char* object, Oid relation, const char* right, bool is_error) {
        if (!has_right(type.run_as, relation, right)) {
            findings.push_back({is_error, object, missing_right(type, relation, right).share()});
        }
    };
    if (type.source != pg::no_oid) check("source_document_type", type.source, "SELECT", true);
    if (type.target == pg::no_oid || known_kind(type).bypass) return;
    check("target_document_type", type.target, "SELECT", true);
    check("target_document_type", type.target, "INSERT", false);
    check("target_document_type", type.target, "UPDATE", false);
}

pg::Error match_warning(const JobType& type, const Mapping& mapping) {
    std::string label = quoted(pg::relation_name(type.target));
    pg::Error warning("01000", mapping.match_is_indexed()
                                   ? "no unique index on " + label + " ensures that only one document matches"
                                   : "no index on " + label + " can find the matching document");
    if (mapping.match_is_indexed()) {
        warning.detail("Two concurrent jobs may insert two documents for one source; then both fail.");
    } else {
        warning.detail("Each look-up reads all documents, and two concurrent jobs may insert two for one source.");
    }
    return warning.hint("Create a unique index on the columns of match.");
}

// Reads the whole target, unless an index rules out duplicates.
void check_duplicates(const JobType& type, const Mapping& mapping, std::vector<Finding>& findings) {
    if (mapping.match_is_unique()) return;
    std::vector<std::string> names = mapping.duplicates();
    if (names.size() < 2) return;
    findings.push_back({true, "match",
                        pg::Error("21000", "documents of type " + quoted(pg::relation_name(type.target)) + " have the same match values")
                            .detail("Two of them are " + quoted(pg::clipped(names[0], 60)) + " and " + quoted(pg::clipped(names[1], 60)) +
                                    ". Jobs of the sources that match them fail.")
                            .hint("Remove the duplicates, and create a unique index on the columns of match.")
                            .share()});
}

pg::Error change_warning(const JobType& type) {
    return pg::Error("01000", "no index on " + quoted(pg::relation_name(type.source)) + " can find documents by their match values")
        .detail("When such a value changes, or its document is deleted, the whole table is read; if it is larger than 8 MB, a "
                "target may be left behind under a value that no document has any more.")
        .hint("Create an index on the source columns, or the expressions, of match.");
}

pg::Error identity_warning(const pg::Column& column) {
    return pg::Error("01000", "match names column " + quoted(column.name) + ", which is GENERATED ALWAYS AS IDENTITY")
        .detail("Existing documents can be updated; an insert fails, as it cannot set the column.")
        .hint("Match another column, or make it GENERATED BY DEFAULT.")
        .column("match." + column.name);
}

pg::Error left_out_warning(const JobType& type, const LeftOut& left_out) {
    bool everybody = left_out.role == pg::no_oid;
    std::string role = everybody ? "PUBLIC" : quoted(pg::role_name(left_out.role));
    std::string schema = pg::quoted_identifier(left_out.schema);
    return pg::Error("42501", "schema " + quoted(left_out.schema) + " is not on the search_path of its jobs")
        .detail("Role " + role + " may create functions in it, which would run with the rights of role " +
                quoted(pg::role_name(type.run_as)) + ".")
        .hint("REVOKE CREATE ON SCHEMA " + schema + " FROM " +
              (everybody ? role : pg::quoted_identifier(pg::role_name(left_out.role))) +
              " (or change its owner), and check what is already in it; or schema-qualify each name from it in the "
              "code of the type.");
}

pg::Error policies_warning(const JobType& type) {
    return pg::Error("01000", "row-level security of " + quoted(pg::relation_name(type.source)) + " applies to role " +
                                  quoted(pg::role_name(type.run_as)))
        .detail("Its jobs cannot find deleted documents, and fail for them.")
        .hint("Name the owner of the table in run_as, or a role with BYPASSRLS.");
}

void check_match(const JobType& type, Mapping& mapping, std::vector<Finding>& findings) {
    if (const pg::Column* column = mapping.match_given_by_database()) {
        findings.push_back({false, "match", identity_warning(*column).share()});
    }
    if (!mapping.match_is_unique()) findings.push_back({false, "match", match_warning(type, mapping).share()});
}

// For a soft delete: the columns must exist, and field_map should set them again when the source comes back.
void check_on_delete(const JobType& type, std::vector<Finding>& findings) {
    auto target = DocumentType::find(type.target, type.target_key);
    Datum values = pg::json_from_text(type.on_delete_values);
    std::set<std::string> mapped;
    if (type.declarative()) {
        for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(type.field_map))) mapped.insert(field.key);
    }
    for (const pg::JsonField& field : pg::json_fields(values)) {
        const pg::Column* column = target->relation().column(field.key);
        if (column != nullptr && column->generated) {
            throw pg::Error("428C9", "on_delete names column " + quoted(field.key) + ", which is generated").column("on_delete." + field.key);
        }
        if (column == nullptr || !type.declarative() || mapped.contains(field.key)) continue;
        findings.push_back({false, "on_delete",
                            pg::Error("01000", "on_delete sets column " + quoted(field.key) + ", and field_map does not")
                                .detail("When the source comes back, the column keeps the value that says it is gone.")
                                .hint("Name it in field_map, for example with a constant: {\"value\": ...}.")
                                .column("on_delete." + field.key)
                                .share()});
    }
    ColumnSet named;
    target->from_json(values, pg::empty_row(target->relation()), &named);
}

// Two types that write such a column would take each other's values for edits.
void check_watched_columns(const JobType& type, const Mapping& mapping, std::vector<Finding>& findings) {
    static auto& select = *new InternalStatement(
        "SELECT name FROM {}.sync_job_type WHERE target_document_type = $1 AND name <> $2 AND (field_map ? $3 OR match ? $3) ORDER BY name",
        {pg::type::oid, pg::type::text, pg::type::text});
    for (int number : mapping.watched_columns()) {
        const std::string& column = mapping.target().relation().columns[number - 1].name;
        for (const auto& row : select.run({{pg::oid_datum(type.target), false}, {pg::text_datum(type.name), false}, {pg::text_datum(column), false}})) {
            findings.push_back({false, "field_map",
                                pg::Error("01000", "column " + quoted(column) + " is set by sync job type " +
                                                       quoted(pg::datum_text(row[0].datum)) + ", too")
                                    .detail("It is set here only while nobody has edited it, and what the other type writes counts as edited.")
                                    .hint("Leave it to one of the two.")
                                    .column("field_map." + column)
                                    .share()});
        }
    }
}

void check_secrets_looked_up(const JobType& type, std::vector<Finding>& findings) {
    for (const std::string& column : secrets_looked_up(type, *DocumentType::find(type.source, type.source_key))) {
        findings.push_back({false, "secret_columns",
                            pg::Error("01000", "values of secret column " + quoted(column) + " are recorded")
                                .detail("Its source column is part of the key, which names documents, or source_condition reads it, "
                                        "so that triggers keep it of rows that are deleted.")
                                .hint("Have the condition read another column, or attach the triggers with keep_deleted => false.")
                                .column("secret_columns")
                                .share()});
    }
}

void check_restless_columns(const Mapping& mapping, std::vector<Finding>& findings) {
    pg::SpiScope spi;
    pg::SnapshotScope snapshot;
    for (const std::string& column : mapping.restless_columns()) {
        findings.push_back({false, "field_map",
                            pg::Error("01000", "the expression of column " + quoted(column) + " has another value each time")
                                .detail("Each job changes its target, and a dry run shows every document as different.")
                                .hint("Give it the rule {\"only\": \"insert\"}, or take the value from the source.")
                                .column("field_map." + column)
                                .share()});
    }
}

// When a deferred trigger fires, at COMMIT, no job is running any more.
void check_echo(const JobType& type, std::vector<Finding>& findings) {
    if (!type.ignore_synced || type.source == pg::no_oid) return;
    for (const SourceTrigger& trigger : source_triggers(type.name, type.source)) {
        if (!trigger.deferrable) continue;
        findings.push_back({true, "ignore_synced",
                            pg::Error("0A000", "trigger " + quoted(trigger.name) + " is deferrable")
                                .detail("When it fires at COMMIT, it cannot know which job has written the row, and ignores nothing.")
                                .hint("Make it a trigger that is not deferrable.")
                                .share()});
    }
}

// Does not access the network.
void check_push(const JobType& type, std::vector<Finding>& findings) {
    HttpPush push(type);
    const HttpDeclaration& http = push.declaration();
    push.require_endpoint(type.run_as);
    if (!http.remove && type.on_delete == JobType::OnDelete::remove && type.source != pg::no_oid) {
        findings.push_back({false, "http",
                            pg::Error("01000", "nothing is sent when a document is deleted")
                                .hint("Write http.delete, {} for DELETE to the same path; or set on_delete to keep.")
                                .column("http")
                                .share()});
    }
    if (!pg::library_is_installed("pg_sync_job_http")) {
        findings.push_back({true, "http",
                            pg::Error("58P01", "library pg_sync_job_http is not installed").hint("It is built and installed apart: make http && make install-http.").column("http").share()});
    }
}

// Things that are not errors, but may surprise.
void add_warnings(const JobType& type, std::vector<Finding>& findings) {
    for (const LeftOut& left_out : left_out_of_search_path(type)) {
        findings.push_back({false, "search_path", left_out_warning(type, left_out).share()});
    }
    if (type.source != pg::no_oid && pg::row_security_applies(type.source, type.run_as)) {
        findings.push_back({false, "source_document_type", policies_warning(type).share()});
    }
    if (!type.insert_enabled && !type.update_enabled && !type.delete_enabled) {
        findings.push_back({false, "update_enabled",
                            pg::Error("01000", "jobs of the type may neither insert, update nor delete")
                                .hint("Set insert_enabled, update_enabled or delete_enabled; or paused, and its jobs wait.")
                                .share()});
    }
    if (type.set_size > 1 && !runs_in_sets(type)) {
        findings.push_back({false, "set_size",
                            pg::Error("01000", "set_size has no effect: each document gets a job of its own")
                                .detail("That is so for types that are not batchable, or have execute() or "
                                        "get_multiple_target_documents().")
                                .share()});
    }
    if (type.paused) {
        findings.push_back(
            {false, "paused", pg::Error("55000", "sync job type " + quoted(type.name) + " is paused").share()});
    }
    if (type.disabled) {
        findings.push_back(
            {false, "disabled", pg::Error("55000", "sync job type " + quoted(type.name) + " is disabled").share()});
    }
}

}  // namespace

std::string Finding::field() const {
    if (!report->from_server && !report->column_name.empty()) return report->column_name;
    if (object == "search_path") return {};
    auto names = controller_function_names();
    return std::find(names.begin(), names.end(), object) != names.end() ? "module" : object;
}

std::vector<Finding> validate(const JobType& type, Depth depth) {
    std::vector<Finding> findings;
    auto look = [&](const std::string& object, const std::function<void()>& check) {
        try {
            pg::Subtransaction subtransaction;  // an error of the server must not end the whole validation
            check();
            subtransaction.commit();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            findings.push_back({true, object, error.share()});
        }
    };
    if (type.native() && depth == Depth::data) controller_kind(type);  // opens its library, for the checks below
    look("run_as", [&] { check_run_as(type); });
    look("queue", [&] { require_queue(type.queue); });
    if (type.source != pg::no_oid)
        look("source_document_type", [&] { DocumentType::find(type.source, type.source_key); });
    if (type.target != pg::no_oid)
        look("target_document_type", [&] { DocumentType::find(type.target, type.target_key); });
    if (findings.empty()) look("secret_columns", [&] { require_secret_columns(type); });
    if (findings.empty()) look("run_as", [&] { check_rights(type, findings); });
    // Even parsing runs some of the type's code: the input functions of types, which read constants.
    auto look_as_its_role = [&](const std::string& object, const std::function<void()>& check) {
        look(object, [&] {
            std::optional<pg::OwnerScope> as_its_role;
            if (pg::role_exists(type.run_as) && type.run_as != pg::current_user()) {
                as_its_role.emplace(type.run_as, pg::OwnerScope::For::code_of_owner);
            }
            pg::SettingsScope settings;
            set_search_path(type);
            check();
        });
    };
    if (!type.source_condition.empty()) look_as_its_role("source_condition", [&] { SourceCondition condition(type); });
    if (!type.surplus_condition.empty()) look_as_its_role("surplus_condition", [&] { check_surplus_condition(type); });
    if (type.on_delete == JobType::OnDelete::set && type.target != pg::no_oid) {
        look_as_its_role("on_delete", [&] { check_on_delete(type, findings); });
    }
    if (type.is_push()) {
        look_as_its_role("http", [&] { check_push(type, findings); });
    } else if (type.declarative()) {
        look_as_its_role("field_map", [&] {
            Mapping mapping(type);
            check_match(type, mapping, findings);
            check_watched_columns(type, mapping, findings);
            check_restless_columns(mapping, findings);
            check_secrets_looked_up(type, findings);
            if (!mapping.lives_by_index()) findings.push_back({false, "match", change_warning(type).share()});
            if (depth == Depth::data) check_duplicates(type, mapping, findings);
        });
    } else if (type.native()) {
        if (!type.match.empty()) {
            look_as_its_role("match", [&] {
                Mapping mapping(type);
                check_match(type, mapping, findings);
                if (!mapping.lives_by_index()) findings.push_back({false, "match", change_warning(type).share()});
            });
        }
        // Just writing the type must not open a library.
        if (depth == Depth::data) look_as_its_role("library", [&] { make_native_controller(type); });
    } else {
        validate_functions(type, look);
    }
    look_as_its_role("source_document_type", [&] { check_distribution(type, findings); });
    look("ignore_synced", [&] { check_echo(type, findings); });
    look("source_document_type", [&] { add_warnings(type, findings); });
    return findings;
}

std::optional<Finding> first_finding(const JobType& type) {
    std::set<std::string> left_out = {"module", "paused", "disabled"};
    for (const std::string& name : controller_function_names()) left_out.insert(name);
    for (const Finding& finding : validate(type, Depth::definition)) {
        if (!left_out.contains(finding.object)) return finding;
    }
    return std::nullopt;
}

}  // namespace sync_job
