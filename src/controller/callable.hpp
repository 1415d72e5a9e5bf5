// One function of a controller: finds it by name, checks its signature, and calls it with the arguments that it declares.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controller/controller.hpp"
#include "pg/function.hpp"
#include "pg/spi.hpp"

namespace sync_job {

// What an argument or a result means. Each may be a row (of the corresponding type) or jsonb.
enum class Role { job, source, target, json, targets, result };

struct Parameter {
    const char* name;
    Role role;
};

// The types that a signature is checked against.
struct SignatureTypes {
    Oid job_row = 0, source_row = 0, target_row = 0, target_type = 0, result_type = 0;  // no_oid: jsonb only
};

class ControllerFunction {
public:
    // Null if the module has no function of that name. Raises SetupError if its signature does not fit. Parameters after the first
    // `required` ones may be missing.
    static std::unique_ptr<ControllerFunction> find(const JobType& type, Oid module, const std::string& name,
                                                    const std::vector<Parameter>& parameters, std::size_t required,
                                                    std::optional<Role> result, bool set, const SignatureTypes& types);

    bool is_procedure() const { return info_.kind == 'p'; }
    bool result_is_json() const { return result_is_json_; }
    Oid result_type() const { return info_.result_type; }
    const std::string& name() const { return info_.signature; }

    pg::Value call(const Job& job, const Documents& documents, pg::Value target, pg::Value extra);
    std::vector<pg::Value> call_set(const Job& job, const Documents& documents);
    // Calls a procedure. It may commit, because its job has transactions of its own, except in a dry run.
    pg::Value call_procedure(const Job& job, const Documents& documents, pg::Value extra);

private:
    struct Argument {
        Role role;
        bool json;
    };
    explicit ControllerFunction(const pg::FunctionInfo& info) : info_(info) {}
    void arguments(const Job& job, const Documents& documents, pg::Value target, pg::Value extra, pg::Value* out) const;

    pg::FunctionInfo info_;
    std::vector<Argument> arguments_;
    bool result_is_json_ = false;
    std::unique_ptr<pg::Callable> callable_;
};

// Raises SetupError if `what` belongs to a role whose code must not run with the rights of the job type.
void check_trusted_owner(const JobType& type, Oid owner, const std::string& what);

// A job as passed to controllers: with the row type of table sync_job, or as jsonb.
Datum job_as_row(const Job& job);
Datum job_as_json(const Job& job);

}  // namespace sync_job
