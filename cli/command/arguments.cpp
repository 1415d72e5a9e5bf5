// The arguments of commands, by CLI11; see the header.
#include "command/arguments.hpp"

#include "command/invocation.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace sync_job {

namespace {

std::string not_a_number(const std::string& text) {
    const bool number = !text.empty() && text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
    return number ? "" : "\"" + text + "\" is not the number of a job";
}

template <class Number>
void add_number(CLI::App& app, const std::string& names, Number& value, Number least, Number most, const std::string& help) {
    CLI::Option* option = app.add_option(names, value, help);
    option->check(CLI::Range(least, most).description(""));
    option->type_name("NUMBER");
    if (value > least) {
        option->capture_default_str();
    }
}

}  // namespace

Arguments add_command(CLI::App& app, Invocation& invocation, const std::string& name, const std::string& what, std::function<int()> run) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->callback([&invocation, name, run] {
        invocation.program = "sync-job " + name;
        invocation.command = run;
    });
    return Arguments(*sub);
}

void Arguments::positional(const std::string& name, std::string& value, const std::string& help) {
    app_.add_option(name, value, help)->required();
}

void Arguments::positional(const std::string& name, std::vector<std::string>& values, bool required, const std::string& help) {
    app_.add_option(name, values, help)->required(required);
}

void Arguments::id(std::string& value) {
    app_.add_option("id", value, "the job")->required()->check(not_a_number);
}

void Arguments::ids(std::vector<std::string>& values, bool required, const std::string& help) {
    app_.add_option("id", values, help)->required(required)->check(not_a_number);
}

void Arguments::option(const std::string& names, std::string& value, const std::string& help) {
    CLI::Option* option = app_.add_option(names, value, help);
    if (!value.empty()) {
        option->capture_default_str();
    }
}

void Arguments::choice(const std::string& names, std::string& value, const std::vector<std::string>& choices, const std::string& help) {
    app_.add_option(names, value, help)->check(CLI::IsMember(choices))->capture_default_str();
}

void Arguments::choices(const std::string& names, std::vector<std::string>& values, const std::vector<std::string>& choices, const std::string& help) {
    app_.add_option(names, values, help)->delimiter(',')->check(CLI::IsMember(choices).description(""));
}

void Arguments::list(const std::string& names, std::vector<std::string>& values, const std::string& help) {
    app_.add_option(names, values, help)->delimiter(',');
}

void Arguments::number(const std::string& names, int& value, int least, int most, const std::string& help) {
    add_number(app_, names, value, least, most, help);
}

void Arguments::number(const std::string& names, double& value, double least, double most, const std::string& help) {
    add_number(app_, names, value, least, most, help);
}

void Arguments::flag(const std::string& names, bool& value, const std::string& help) {
    app_.add_flag(names, value, help);
}

void Arguments::check(std::function<void()> check) {
    app_.parse_complete_callback([check] {
        try {
            check();
        } catch (const UsageError& error) {
            throw CLI::ValidationError("", error.what());
        }
    });
}

}  // namespace sync_job
