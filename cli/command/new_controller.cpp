// sync-job new-controller: the script for a new job type, with functions to start from; or for the functions of an existing type.
#include "command/invocation.hpp"
#include "text/json.hpp"
#include "text/message.hpp"
#include "text/table.hpp"

#include <fstream>
#include <iostream>
#include <sstream>

namespace sync_job {

namespace {

struct NewOptions {
    std::string type, source, target, language = "plpgsql", output;
    bool make = false, attach = false;
    bool is_native() const { return language == "c++" || language == "C++"; }
};

/// Finds a table by its name, with or without its schema: the only one of that name, whatever the search_path is.
constexpr std::string_view table_sql = R"(
    SELECT c.oid::regclass::text AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND (c.relname = $1 OR c.oid::regclass::text = $1 OR n.nspname || '.' || c.relname = $1)
    ORDER BY 1)";

constexpr std::string_view there_sql = "SELECT FROM @extschema@.sync_job_type AS t WHERE t.name = $1";
constexpr std::string_view insert_sql =
    "INSERT INTO @extschema@.sync_job_type (name, source_document_type, target_document_type) VALUES ($1, $2::regclass, $3::regclass)";
constexpr std::string_view boilerplate_sql = "SELECT @extschema@.create_sync_job_boilerplate($1, $2) AS script";
constexpr std::string_view attach_sql = "SELECT @extschema@.attach_sync_job_triggers($1, $2::regclass)";
/// The statement that creates the type, as a line of the script.
constexpr std::string_view line_sql = R"(
    SELECT format('INSERT INTO %s.sync_job_type (name, source_document_type, target_document_type) VALUES (%L, %L, %L);', $4, $1, $2, $3) AS make,
        format('SELECT %s.attach_sync_job_triggers(%L, %L);', $4, $1, $2) AS attach)";

std::string table_named(Transaction& transaction, const std::string& name) {
    const Result tables = transaction.query(table_sql, {name});
    if (tables.size() == 1) {
        return tables.row(0)["name"];
    }
    std::string found;
    for (const Row row : tables) {
        found += (found.empty() ? "" : ", ") + row["name"];
    }
    throw DatabaseError(tables.empty() ? "42P01" : "42P09", tables.empty() ? "there is no table \"" + name + "\"" : "there are several tables \"" + name + "\"",
                        found, tables.empty() ? "" : "Name the schema, too.", "");
}

/// psql cannot run a file in C++: the statements that create the type are in it as a comment.
std::string as_comment(const std::string& statements) {
    if (statements.empty()) {
        return "";
    }
    std::istringstream lines(statements);
    std::string comment = "// The type, in psql:\n//\n";
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty()) {
            comment += "//   " + line + '\n';
        }
    }
    return comment + "//\n";
}

/// The type is created in a transaction that only `--make` commits, because functions are written for an existing type.
std::string make_script(Invocation& invocation, const NewOptions& options) {
    Connection& database = invocation.database();
    const std::string schema = database.schema();
    Transaction transaction(database, true);
    std::string begin, end;
    if (transaction.query(there_sql, {options.type}).empty()) {
        if (options.source.empty() || options.target.empty()) {
            throw DatabaseError("42704", "sync job type \"" + options.type + "\" does not exist", "", "To make it, say between which tables: --source and --target.", "");
        }
        const std::string source = table_named(transaction, options.source), target = table_named(transaction, options.target);
        transaction.query(insert_sql, {options.type, source, target});
        const Result lines = transaction.query(line_sql, {options.type, source, target, schema});
        begin = lines.row(0)["make"] + "\n\n";
        if (options.attach) {
            end = "\n" + lines.row(0)["attach"] + "\n";
        }
    }
    if (options.is_native() && options.make) {
        throw UsageError("--make makes no controller in C++: it has to be built first");
    }
    const std::string functions = transaction.query(boilerplate_sql, {options.type, options.language}).row(0)["script"];
    if (options.make) {
        transaction.query(functions);
        if (!end.empty()) {
            transaction.query(end);
        }
        transaction.commit();
    }
    if (options.is_native()) {
        return as_comment(begin + end) + functions;
    }
    return begin + functions + (functions.ends_with('\n') ? "" : "\n") + end;
}

int new_controller(Invocation& invocation, const NewOptions& options) {
    const std::string script = make_script(invocation, options);
    if (!options.output.empty()) {
        std::ofstream file(options.output, std::ios::binary | std::ios::trunc);
        if (!(file << script << std::flush)) {
            throw UsageError("cannot write \"" + options.output + "\"");
        }
    }
    if (invocation.json) {
        std::cout << "{\"sync_job_type\": " << json_string(options.type) << ", \"made\": " << (options.make ? "true" : "false")
                  << ", \"script\": " << json_string(script) << "}\n";
    } else if (options.output.empty() && !options.make) {
        print_script(script);
    } else {
        std::cout << (options.make          ? "The type and its functions are there. Read them before you use them."
                      : options.is_native() ? "Written. Read it; how to build it stands at its beginning."
                                            : "Written. Read it, and run it with psql -f.")
                  << '\n';
    }
    return exit_good;
}

}  // namespace

void add_new_controller(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<NewOptions>(app, invocation, "new-controller", "a script with a job type and its functions, to go on from", new_controller);
    arguments.positional("type", options.type, "the name of the job type");
    arguments.option("--source", options.source, "the table it syncs from, where the type is new");
    arguments.option("--target", options.target, "the table it syncs to, where the type is new");
    arguments.option("-l,--language", options.language, "plpgsql, sql, plpython3u or c++");
    arguments.option("-o,--output", options.output, "write it into this file");
    arguments.flag("--triggers", options.attach, "with the triggers that enqueue a job for each row that changes");
    arguments.flag("--make", options.make, "make them in the database, too");
}

}  // namespace sync_job
