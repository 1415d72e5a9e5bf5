// sync-job doctor: runs all checks, says what to do, and ends with a code that a deployment can stop at.
#include "command/invocation.hpp"
#include "doctor/check.hpp"
#include "text/json.hpp"
#include "text/table.hpp"
#include "text/visible.hpp"

#include <algorithm>
#include <iostream>

namespace sync_job {

namespace {

struct DoctorOptions {
    std::string fail_on = "error";
    std::vector<std::string> skip;
    double behind = 3600, transaction = 3600;
    int bloat = 64;
};

struct Finding {
    std::string check, severity, json;
    std::optional<std::string> object, message, hint;
};

struct Examination {
    std::vector<Finding> findings;
    std::vector<std::string> done;
    std::vector<std::pair<std::string, std::string>> not_done;  // the check, and why
};

std::vector<Check> all_checks() {
    std::vector<Check> checks = server_checks();
    for (const auto& more : {table_checks(), type_checks()}) {
        checks.insert(checks.end(), more.begin(), more.end());
    }
    return checks;
}

/// A check that ended with an error: that is a finding, as nobody knows what else it would have found.
Finding failed_check(const std::string& name, const DatabaseError& error) {
    const auto value = [](const std::string& text) { return text.empty() ? std::string("null") : json_string(text); };
    const std::string hint = error.hint.empty() ? error.detail : error.hint;
    return {name, "error", "{\"check\": " + json_string(name) + ", \"severity\": \"error\", \"object\": null, \"message\": " + json_string(error.what()) +
            ", \"hint\": " + value(hint) + "}", std::nullopt, error.what(), hint};
}

bool has_no_right(const DatabaseError& error) {
    return error.sqlstate == "42501";
}

/// The extension has another version, without the object that the check reads.
bool does_not_exist(const DatabaseError& error) {
    return error.sqlstate == "42883" || error.sqlstate == "42703" || error.sqlstate == "42P01";
}

/// If this role has no right to make a check, the report says so, and the other checks go on, as after an error.
Examination examine(Connection& database, const DoctorOptions& options) {
    const Parameters parameters{std::to_string(options.behind), std::to_string(options.transaction), std::to_string(std::int64_t{options.bloat} << 20),
                                SYNC_JOB_VERSION, std::to_string(PQbackendPID(database.handle()))};
    Examination examination;
    for (const Check& check : all_checks()) {
        const std::string name(check.name);
        if (std::find(options.skip.begin(), options.skip.end(), name) != options.skip.end()) {
            continue;
        }
        try {
            for (const Row row : database.query(check.sql, parameters)) {
                const std::string object = json_object(row);
                examination.findings.push_back({name, row["severity"], "{\"check\": " + json_string(name) + ", " + object.substr(1), row.get("object"),
                                                row.get("message"), row.get("hint")});
            }
            examination.done.push_back(name);
        } catch (const DatabaseError& error) {
            if (has_no_right(error) || does_not_exist(error)) {
                examination.not_done.emplace_back(name, error.what());
            } else {
                examination.findings.push_back(failed_check(name, error));
            }
        }
    }
    return examination;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string all;
    for (const std::string& part : parts) {
        all += (all.empty() ? "" : ", ") + part;
    }
    return all;
}

void print_json(const Examination& examination, int errors, int warnings) {
    std::string findings, done, not_done;
    for (const Finding& finding : examination.findings) {
        findings += (findings.empty() ? "\n  " : ",\n  ") + finding.json;
    }
    for (const std::string& name : examination.done) {
        done += (done.empty() ? "" : ", ") + json_string(name);
    }
    for (const auto& [name, why] : examination.not_done) {
        not_done += (not_done.empty() ? "" : ", ") + std::string("{\"check\": ") + json_string(name) + ", \"message\": " + json_string(why) + "}";
    }
    std::cout << "{\"errors\": " << errors << ", \"warnings\": " << warnings << ",\n\"findings\": [" << findings << "],\n\"checks\": [" << done
              << "],\n\"not_checked\": [" << not_done << "]}\n";
}

void print_text(const Examination& examination, int errors, int warnings) {
    for (const Finding& finding : examination.findings) {
        print_value(finding.severity == "error" ? "ERROR" : "WARNING", finding.message.value_or(""), finding.severity == "error" ? Colour::red : Colour::yellow);
        print_value("  check", finding.check + (finding.object ? ": " + *finding.object : ""));
        if (finding.hint && !finding.hint->empty()) {
            print_value("  to do", *finding.hint);
        }
    }
    for (const auto& [name, why] : examination.not_done) {
        print_value("NOT CHECKED", name + ": " + why);
    }
    std::cout << examination.done.size() << " checks, " << errors << (errors == 1 ? " error, " : " errors, ") << warnings
              << (warnings == 1 ? " warning" : " warnings") << '\n';
}

int doctor(Invocation& invocation, const DoctorOptions& options) {
    const Examination examination = examine(invocation.database(), options);
    const auto count = [&](std::string_view severity) {
        return static_cast<int>(std::count_if(examination.findings.begin(), examination.findings.end(), [&](const Finding& f) { return f.severity == severity; }));
    };
    const int errors = count("error"), warnings = count("warning");
    if (invocation.json) {
        print_json(examination, errors, warnings);
    } else {
        print_text(examination, errors, warnings);
    }
    const bool bad = options.fail_on != "never" && (errors > 0 || (options.fail_on == "warning" && warnings > 0));
    return bad ? exit_bad : exit_good;
}

}  // namespace

void add_doctor(CLI::App& app, Invocation& invocation) {
    auto [arguments, options] = add_command<DoctorOptions>(app, invocation, "doctor", "what keeps jobs from running well, and what to do about it", doctor);
    std::vector<std::string> names;
    for (const Check& check : all_checks()) {
        names.emplace_back(check.name);
    }
    arguments.choice("--fail-on", options.fail_on, {"error", "warning", "never"}, "exit with 1 on these");
    arguments.choices("--skip", options.skip, names, "leave out these checks: " + joined(names));
    arguments.number("--behind", options.behind, 0, 1e9, "a change may wait for so many seconds");
    arguments.number("--transaction", options.transaction, 0, 1e9, "a transaction may be open for so many seconds");
    arguments.number("--bloat", options.bloat, 0, 1000000, "an index of so many megabytes is never bloated");
}

}  // namespace sync_job
