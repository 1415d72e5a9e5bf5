// The arguments of a command. A thin layer over CLI11, whose headers take longer to compile than everything else here: only
// arguments.cpp and main.cpp include them.
#pragma once

#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sync_job {

/// The command was called wrongly.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The command has ended with this exit code, and has said why.
struct Ended {
    int code;
};

/// The arguments of one sub-command. Each is bound to a variable, whose value is the default.
class Arguments {
public:
    explicit Arguments(CLI::App& app) : app_(app) {}

    void positional(const std::string& name, std::string& value, const std::string& help);
    void positional(const std::string& name, std::vector<std::string>& values, bool required, const std::string& help);
    /// The id of a job, or several.
    void id(std::string& value);
    void ids(std::vector<std::string>& values, bool required, const std::string& help);

    void option(const std::string& names, std::string& value, const std::string& help);
    void choice(const std::string& names, std::string& value, const std::vector<std::string>& choices, const std::string& help);
    /// Several values, separated by commas: of the known ones, or any.
    void list(const std::string& names, std::vector<std::string>& values, const std::string& help);
    void choices(const std::string& names, std::vector<std::string>& values, const std::vector<std::string>& choices, const std::string& help);
    void number(const std::string& names, int& value, int least, int most, const std::string& help);
    void number(const std::string& names, double& value, double least, double most, const std::string& help);
    void flag(const std::string& names, bool& value, const std::string& help);

    /// Called when all have been read; throws UsageError if they do not fit together.
    void check(std::function<void()> check);

private:
    CLI::App& app_;
};

}  // namespace sync_job
