#include "controller/callable.hpp"

#include "core/text.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"

namespace sync_job {

namespace {

Oid row_type_for(Role role, const SignatureTypes& types) {
    switch (role) {
        case Role::job:
            return types.job_row;
        case Role::source:
            return types.source_row;
        case Role::target:
            return types.target_row;
        case Role::targets:
            return types.target_type;
        case Role::result:
            return types.result_type;
        case Role::json:
            return pg::no_oid;
    }
    return pg::no_oid;
}

bool accepts(Role role, Oid type, const SignatureTypes& types) {
    return type == pg::type::jsonb || (type != pg::no_oid && type == row_type_for(role, types));
}

std::string type_text(Role role, const SignatureTypes& types) {
    Oid row = row_type_for(role, types);
    return row == pg::no_oid ? "jsonb" : pg::type_name(row);
}

std::string expected_signature(const JobType& type, const std::string& name, const std::vector<Parameter>& parameters,
                               std::size_t required, std::optional<Role> result, bool set,
                               const SignatureTypes& types) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < parameters.size(); i++) {
        std::string text = std::string(parameters[i].name) + " " + type_text(parameters[i].role, types);
        texts.push_back(i < required ? text : "[" + text + "]");
    }
    std::string out = type.module + "." + name + "(" + join(texts, ", ") + ")";
    if (result) out += std::string(" returning ") + (set ? "SETOF " : "") + type_text(*result, types);
    return out;
}

// The only function of a controller that may be a procedure, and commit.
constexpr const char* committing_function = "execute";

// A procedure returns its result, if any, through its last argument, which is INOUT or OUT.
bool is_result(const pg::FunctionInfo& info, std::size_t argument) {
    return info.kind == 'p' && info.argument_modes[argument] != 'i';
}

bool fits(const pg::FunctionInfo& info, const std::vector<Parameter>& parameters, std::size_t required,
          std::optional<Role> result, bool set, const SignatureTypes& types) {
    std::size_t given = info.argument_types.size();
    bool returns = given > 0 && is_result(info, given - 1);
    std::size_t inputs = returns ? given - 1 : given;
    bool kind_fits = info.kind == 'f' || (info.kind == 'p' && info.name == committing_function);
    if (!kind_fits || inputs < required || inputs > parameters.size() || info.returns_set != set) return false;
    for (std::size_t i = 0; i < inputs; i++) {
        if (is_result(info, i) || !accepts(parameters[i].role, info.argument_types[i], types)) return false;
    }
    if (!result) return true;
    if (info.kind == 'p') return !returns || accepts(*result, info.argument_types.back(), types);
    return info.kind == 'f' && accepts(*result, info.result_type, types);
}

}  // namespace

// The owner must be a superuser, the job's role, or a role that may become that one: nobody else's code must run with the job's rights.
void check_trusted_owner(const JobType& type, Oid owner, const std::string& what) {
    bool trusted = owner == type.run_as || pg::is_superuser(owner) || pg::may_set_role(owner, type.run_as);
    if (pg::is_superuser(type.run_as)) trusted = pg::is_superuser(owner);
    if (trusted) return;
    throw SetupError(
        pg::Error("42501", what + " belongs to role " + quoted(pg::role_name(owner)) + ", which jobs running as " +
                               quoted(pg::role_name(type.run_as)) + " do not trust")
            .detail("A controller must belong to the role its jobs run as, to a superuser, or to a role that "
                    "may SET ROLE to it; for jobs that run as a superuser, to a superuser.")
            .hint("Change the owner, or run_as of sync job type " + quoted(type.name) + "."));
}

std::unique_ptr<ControllerFunction> ControllerFunction::find(const JobType& type, Oid module, const std::string& name,
                                                             const std::vector<Parameter>& parameters,
                                                             std::size_t required, std::optional<Role> result, bool set,
                                                             const SignatureTypes& types) {
    std::vector<pg::FunctionInfo> candidates = pg::functions_named(module, name);
    if (candidates.empty()) return nullptr;
    std::vector<pg::FunctionInfo> fitting;
    for (const pg::FunctionInfo& info : candidates) {
        if (fits(info, parameters, required, result, set, types)) fitting.push_back(info);
    }
    if (fitting.size() != 1) {
        std::vector<std::string> found;
        found.reserve(candidates.size());
        for (const pg::FunctionInfo& info : candidates)
            found.push_back(info.kind == 'p' ? "procedure " + info.signature
                                             : info.signature + " returning " + (info.returns_set ? "SETOF " : "") +
                                                   pg::type_name(info.result_type));
        std::string expected = expected_signature(type, name, parameters, required, result, set, types);
        if (fitting.empty()) {
            throw SetupError(pg::Error("42P13", "function " + type.module + "." + name + " of sync job type " +
                                                    quoted(type.name) + " has a wrong signature")
                                 .detail("Found: " + join(found, "; ") + ". Expected: " + expected + ".")
                                 .hint("Any of the documents may also be declared as jsonb."));
        }
        throw SetupError(pg::Error("42725", "function " + type.module + "." + name + " of sync job type " +
                                                quoted(type.name) + " is not unique")
                             .detail("Found: " + join(found, "; ") + ".")
                             .hint("Keep one of them."));
    }
    const pg::FunctionInfo& info = fitting[0];
    check_trusted_owner(type, info.owner, "function " + info.signature);
    if (!pg::may_execute(type.run_as, info.oid)) {
        throw SetupError(
            pg::Error("42501",
                      "role " + quoted(pg::role_name(type.run_as)) + " may not execute function " + info.signature)
                .hint("GRANT EXECUTE on it to the role that sync job type " + quoted(type.name) + " runs as."));
    }
    std::unique_ptr<ControllerFunction> function(new ControllerFunction(info));
    Oid result_type = info.result_type;
    for (std::size_t i = 0; i < info.argument_types.size(); i++) {
        bool json = info.argument_types[i] == pg::type::jsonb;
        if (is_result(info, i)) result_type = info.argument_types[i];
        function->arguments_.push_back({is_result(info, i) ? Role::result : parameters[i].role, json});
    }
    function->result_is_json_ = result_type == pg::type::jsonb;
    if (info.kind != 'p') function->callable_ = std::make_unique<pg::Callable>(info);
    return function;
}

void ControllerFunction::arguments(const Job& job, const Documents& documents, pg::Value target, pg::Value extra,
                                   pg::Value* out) const {
    for (std::size_t i = 0; i < arguments_.size(); i++) {
        const Argument& argument = arguments_[i];
        switch (argument.role) {
            case Role::job:
                out[i] = {argument.json ? job_as_json(job) : job_as_row(job), false};
                break;
            case Role::source:
                out[i] = documents.source;
                if (!out[i].null) pg::require_current(documents.source_type->relation());
                if (argument.json && !documents.source.null) {
                    out[i].datum = documents.source_type->to_json(documents.source.datum);
                }
                break;
            case Role::target:
                out[i] = target;
                if (!target.null) pg::require_current(documents.target_type->relation());
                if (argument.json && !target.null) {
                    out[i].datum = documents.target_type->to_json(target.datum, documents.target_is_new);
                }
                break;
            case Role::json:
            case Role::targets:
                out[i] = extra;
                break;
            case Role::result:
                out[i] = {};
                break;
        }
    }
}

pg::Value ControllerFunction::call(const Job& job, const Documents& documents, pg::Value target, pg::Value extra) {
    pg::Value values[8];
    arguments(job, documents, target, extra, values);
    return callable_->call(values, static_cast<int>(arguments_.size()));
}

std::vector<pg::Value> ControllerFunction::call_set(const Job& job, const Documents& documents) {
    pg::Value values[8];
    arguments(job, documents, {}, {}, values);
    return callable_->call_set(values, static_cast<int>(arguments_.size()));
}

pg::Value ControllerFunction::call_procedure(const Job& job, const Documents& documents, pg::Value extra) {
    std::vector<pg::Value> values(arguments_.size());
    arguments(job, documents, {}, extra, values.data());
    std::string sql = "CALL " + pg::quoted_identifier(info_.schema) + "." + pg::quoted_identifier(info_.name) + "(";
    for (std::size_t i = 0; i < arguments_.size(); i++) sql += (i > 0 ? ", $" : "$") + std::to_string(i + 1);
    sql += ")";
    bool atomic = job.flag(JobColumn::dry_run);
    pg::Rows rows = atomic ? pg::Statement(sql, info_.argument_types).execute(values)
                           : pg::call_committing(sql, info_.argument_types, values);
    if (rows.empty()) return {};
    pg::Value result = rows.at(0, 0);
    if (!result.null) result.datum = pg::copy_value(result.datum, false, -1);
    return result;
}

Datum job_as_row(const Job& job) { return pg::put_together(job.row(), schema_objects().job_row_type); }

Datum job_as_json(const Job& job) { return pg::value_to_json(job_as_row(job), schema_objects().job_row_type, false); }

}  // namespace sync_job
