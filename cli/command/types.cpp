// sync-job validate and export: job types, checked and written as scripts.
#include "command/invocation.hpp"
#include "text/json.hpp"
#include "text/table.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

namespace sync_job {

namespace {

struct ValidateOptions {
    std::vector<std::string> types;
    std::string definition, fail_on = "error";
};

struct ExportOptions {
    std::vector<std::string> types;
};

/// All types if none is named; the function itself complains of one that does not exist.
constexpr std::string_view validate_sql = R"(
    SELECT n.name AS sync_job_type, f.severity, f.object, f.message, f.detail, f.hint, f.field
    FROM (SELECT jsonb_array_elements_text($1::jsonb) UNION ALL
          SELECT t.name FROM @extschema@.sync_job_type AS t WHERE $1::jsonb = '[]') AS n (name), @extschema@.validate_sync_job_type(n.name) AS f
    ORDER BY n.name, f.severity, f.field, f.object)";

constexpr std::string_view validate_definition_sql = R"(
    SELECT $1::jsonb ->> 'name' AS sync_job_type, f.severity, f.object, f.message, f.detail, f.hint, f.field
    FROM @extschema@.validate_sync_job_type_definition($1::jsonb) AS f ORDER BY f.severity, f.field, f.object)";

constexpr std::string_view export_sql = R"(
    SELECT n.name AS sync_job_type, @extschema@.export_sync_job_type(n.name) AS script
    FROM (SELECT jsonb_array_elements_text($1::jsonb) UNION ALL
          SELECT t.name FROM @extschema@.sync_job_type AS t WHERE $1::jsonb = '[]') AS n (name) ORDER BY n.name)";

std::string contents(const std::string& file) {
    if (file == "-") {
        return {std::istreambuf_iterator<char>(std::cin), {}};
    }
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        throw UsageError("cannot read \"" + file + "\"");
    }
    return {std::istreambuf_iterator<char>(stream), {}};
}

int validate(Invocation& invocation, const ValidateOptions& options) {
    Connection& database = invocation.database();
    // It may call code that takes locks, so it is not a read-only statement.
    const Result findings = options.definition.empty() ? database.execute(validate_sql, {json_strings(options.types)})
                                                       : database.execute(validate_definition_sql, {contents(options.definition)});
    bool bad = false;
    for (const Row row : findings) {
        bad = bad || row["severity"] == "error" || options.fail_on == "warning";
    }
    if (invocation.json) {
        std::cout << "{\"findings\": " << json_array(findings) << "}\n";
        return bad ? exit_bad : exit_good;
    }
    for (const Row row : findings) {
        const bool error = row["severity"] == "error";
        print_value(error ? "ERROR" : "WARNING", row["sync_job_type"] + (row.is_null("field") ? "" : ", " + row["field"]) + ": " + row["message"],
                    error ? Colour::red : Colour::yellow);
        for (const std::string_view part : {"object", "detail", "hint"}) {
            if (!row[part].empty()) {
                print_value(part, row[part]);
            }
        }
    }
    if (findings.empty()) {
        std::cout << "Nothing is wrong.\n";
    }
    return bad ? exit_bad : exit_good;
}

int export_types(Invocation& invocation, const ExportOptions& options) {
    const Result scripts = invocation.database().query(export_sql, {json_strings(options.types)});
    if (invocation.json) {
        std::cout << "{\"types\": " << json_array(scripts) << "}\n";
        return exit_good;
    }
    for (const Row row : scripts) {
        print_script(row["script"]);
    }
    return exit_good;
}

}  // namespace

void add_validate(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<ValidateOptions>(app, invocation, "validate", "what is wrong with job types", validate);
    arguments.positional("type", options.types, false, "the job types; none: all");
    arguments.option("--definition", options.definition, "a file with the columns of a type as JSON, that is not saved yet; -: standard input");
    arguments.check([&options] {
        if (!options.types.empty() && !options.definition.empty()) {
            throw UsageError("name either types or --definition");
        }
    });
    arguments.choice("--fail-on", options.fail_on, {"error", "warning"}, "exit with 1 on these");
}

void add_export(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<ExportOptions>(app, invocation, "export", "job types as a script for psql that makes them", export_types);
    arguments.positional("type", options.types, false, "the job types; none: all");
}

}  // namespace sync_job
