// Controllers made of functions: standard (get_target_document, update_target_doc and hooks) and bypass (execute).
#include <array>

#include "controller/answer.hpp"
#include "controller/callable.hpp"
#include "controller/kinds.hpp"
#include "controller/validation.hpp"
#include "core/text.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/row.hpp"

namespace sync_job {

namespace {

constexpr std::array<const char*, 7> hook_names = {"after_start", "before_relay", "after_relay", "before_sync",
                                                   "after_sync",  "finished",     "failed"};

TargetFields read_target_row(Datum row) {
    pg::RowValues values = pg::take_apart(row, 4);
    TargetFields fields;
    if (!values.nulls[0]) fields.operation = std::string(pg::datum_text(values.values[0]));
    if (!values.nulls[1]) fields.document_type = pg::datum_oid(values.values[1]);
    if (!values.nulls[2]) fields.name = std::string(pg::datum_text(values.values[2]));
    if (!values.nulls[3]) fields.context = {values.values[3], false};
    return fields;
}

class FunctionController : public Controller {
public:
    enum class Parts { all, failed_hook };
    explicit FunctionController(const JobType& type, Parts parts = Parts::all);

    bool bypass() const override { return execute_ != nullptr; }
    bool has(Hook hook) const override { return hooks_[static_cast<std::size_t>(hook)] != nullptr; }

    HookResult result_of(Hook hook) const override {
        const ControllerFunction& function = *hooks_[static_cast<std::size_t>(hook)];
        if (function.result_is_json()) return HookResult::json;
        return target_row_ != pg::no_oid && function.result_type() == target_row_ ? HookResult::target_row
                                                                                  : HookResult::nothing;
    }
    std::vector<Target> targets_from_json(Datum jsonb, const Job& job) const override;

    BypassResult execute(const Job& job, const Documents& documents) override;
    std::vector<Target> targets(const Job& job, const Documents& documents) override;
    pg::RowValues update(const Job& job, const Documents& documents, const pg::RowValues& target,
                         ColumnSet* explicit_columns) override;
    pg::Value call_hook(Hook hook, const Job& job, const Documents& documents, pg::Value extra) override;

private:
    JobType type_;
    Oid target_row_ = pg::no_oid;
    std::unique_ptr<ControllerFunction> execute_, get_target_, get_targets_, update_;
    std::array<std::unique_ptr<ControllerFunction>, hook_names.size()> hooks_;
};

constexpr Parameter job_parameter{"sync_job", Role::job};
constexpr Parameter source_parameter{"source_doc", Role::source};
constexpr Parameter target_parameter{"target_doc", Role::target};

Oid require_module(const JobType& type) {
    Oid module = pg::schema_oid(type.module);
    if (module == pg::no_oid) {
        throw SetupError(pg::Error("3F000", "module " + quoted(type.module) + " of sync job type " + quoted(type.name) +
                                                " does not exist")
                             .hint("Create schema " + type.module +
                                   " with the functions of the controller, or name "
                                   "another one in sync_job_type.module."));
    }
    check_trusted_owner(type, pg::schema_owner(module), "module " + quoted(type.module));
    if (!pg::may_use_schema(type.run_as, module)) {
        throw SetupError(pg::Error("42501", "role " + quoted(pg::role_name(type.run_as)) + " may not use module " +
                                                quoted(type.module))
                             .hint("GRANT USAGE ON SCHEMA " + type.module + " to it."));
    }
    return module;
}

SignatureTypes signature_types(const JobType& type) {
    const SchemaObjects& o = schema_objects();
    SignatureTypes types;
    types.job_row = o.job_row_type;
    types.source_row = type.source == pg::no_oid ? pg::no_oid : pg::row_type_of(type.source);
    types.target_row = type.target == pg::no_oid ? pg::no_oid : pg::row_type_of(type.target);
    types.target_type = o.target_type;
    types.result_type = o.result_type;
    return types;
}

using Found = std::unique_ptr<ControllerFunction>;

// Looks up each function that a controller may have, with its name, parameters and result.
struct Finder {
    const JobType& type;
    Oid module;
    SignatureTypes types = signature_types(type);

    Found find(const char* name, const std::vector<Parameter>& parameters, std::size_t required,
               std::optional<Role> result, bool set) const {
        return ControllerFunction::find(type, module, name, parameters, required, result, set, types);
    }
    Found execute() const {
        return find("execute", {job_parameter, source_parameter, {"context", Role::json}}, 2, Role::result, false);
    }
    Found get_target() const {
        return find("get_target_document", {job_parameter, source_parameter}, 2, Role::targets, false);
    }
    Found get_targets() const {
        return find("get_multiple_target_documents", {job_parameter, source_parameter}, 2, Role::targets, true);
    }
    Found update() const {
        return find("update_target_doc", {job_parameter, source_parameter, target_parameter}, 3, Role::target, false);
    }
    Found hook(Hook which) const {
        std::vector<Parameter> parameters = {job_parameter, source_parameter};
        switch (which) {
            case Hook::after_start:
                break;
            case Hook::before_relay:
                parameters.push_back({"targets", Role::json});
                break;
            case Hook::after_relay:
                parameters.push_back({"child_jobs", Role::json});
                break;
            case Hook::failed:
                parameters.push_back({"error", Role::json});
                break;
            default:
                parameters.push_back(target_parameter);
        }
        const char* name = hook_names[static_cast<std::size_t>(which)];
        return find(name, parameters, parameters.size(), std::nullopt, false);
    }
};

[[noreturn]] void missing_function(const JobType& type, const std::string& name) {
    throw SetupError(pg::Error("42883", "function " + type.module + "." + name + " of sync job type " +
                                            quoted(type.name) + " does not exist")
                         .detail("A standard controller has update_target_doc and one of get_target_document and "
                                 "get_multiple_target_documents; a bypass controller has execute.")
                         .hint("create_sync_job_boilerplate() writes a controller to start from."));
}

FunctionController::FunctionController(const JobType& type, Parts parts) : type_(type) {
    Finder finder{type, require_module(type)};
    target_row_ = finder.types.target_row;
    if (parts == Parts::failed_hook) {
        hooks_[static_cast<std::size_t>(Hook::failed)] = finder.hook(Hook::failed);
        return;
    }
    execute_ = finder.execute();
    for (std::size_t i = 0; i < hooks_.size(); i++) hooks_[i] = finder.hook(static_cast<Hook>(i));
    if (execute_ != nullptr) return;
    get_targets_ = finder.get_targets();
    if (get_targets_ == nullptr) get_target_ = finder.get_target();
    update_ = finder.update();
    if (update_ == nullptr) missing_function(type, "update_target_doc");
    if (get_target_ == nullptr && get_targets_ == nullptr) missing_function(type, "get_target_document");
}

BypassResult FunctionController::execute(const Job& job, const Documents& documents) {
    pg::Value context{job.datum(JobColumn::context), job.is_null(JobColumn::context)};
    pg::Value value = execute_->is_procedure() ? execute_->call_procedure(job, documents, context)
                                               : execute_->call(job, documents, {}, context);
    return read_result(value, execute_->result_is_json(), execute_->name());
}

std::vector<Target> FunctionController::targets(const Job& job, const Documents& documents) {
    ControllerFunction& function = get_targets_ != nullptr ? *get_targets_ : *get_target_;
    std::vector<pg::Value> values;
    if (get_targets_ != nullptr) {
        values = function.call_set(job, documents);
    } else {
        values.push_back(function.call(job, documents, {}, {}));
    }
    std::vector<Target> targets;
    for (const pg::Value& value : values) {
        if (value.null) continue;
        TargetFields fields =
            function.result_is_json() ? read_target_json(value.datum, function.name()) : read_target_row(value.datum);
        if (auto target = to_target(fields, type_, job, function.name())) targets.push_back(*target);
    }
    return targets;
}

std::vector<Target> FunctionController::targets_from_json(Datum jsonb, const Job& job) const {
    return read_targets_json(jsonb, type_, job, hooks_[static_cast<std::size_t>(Hook::before_relay)]->name());
}

pg::RowValues FunctionController::update(const Job& job, const Documents& documents, const pg::RowValues& target,
                                         ColumnSet* explicit_columns) {
    const DocumentType& type = *documents.target_type;
    pg::Value row{pg::put_together(target, type.relation()), false};
    pg::Value result = update_->call(job, documents, row, {});
    if (result.null) {
        throw pg::Error("22004", "function " + update_->name() + " returned no target document")
            .hint("Declare target_doc as INOUT, or return the changed document.");
    }
    if (update_->result_is_json()) {
        require_object(result.datum, update_->name());
        return type.from_json(result.datum, target, explicit_columns);
    }
    return pg::take_apart(result.datum, type.relation());
}

pg::Value FunctionController::call_hook(Hook hook, const Job& job, const Documents& documents, pg::Value extra) {
    ControllerFunction& function = *hooks_[static_cast<std::size_t>(hook)];
    pg::Value result = function.call(job, documents, documents.target, extra);
    bool json_null = !result.null && function.result_is_json() && pg::json_kind(result.datum) == pg::JsonKind::null;
    return json_null ? pg::Value{} : result;  // a JSON null means the same as NULL
}

}  // namespace

std::shared_ptr<Controller> make_function_controller(const JobType& type) {
    return std::make_shared<FunctionController>(type);
}

std::shared_ptr<Controller> make_failed_hook(const JobType& type) {
    return std::make_shared<FunctionController>(type, FunctionController::Parts::failed_hook);
}

std::vector<std::string> controller_function_names() {
    std::vector<std::string> names = {"execute", "get_target_document", "get_multiple_target_documents",
                                      "update_target_doc"};
    names.insert(names.end(), hook_names.begin(), hook_names.end());
    return names;
}

void validate_functions(const JobType& type,
                       const std::function<void(const std::string&, const std::function<void()>&)>& look) {
    bool module_found = false;
    look("module", [&] {
        require_module(type);
        module_found = true;
    });
    if (!module_found) return;
    Finder finder{type, pg::schema_oid(type.module)};
    bool bypass = controller_kind(type).bypass;
    look("execute", [&] { finder.execute(); });
    if (!bypass) {
        look("update_target_doc", [&] {
            if (finder.update() == nullptr) missing_function(type, "update_target_doc");
        });
        bool several = false;
        look("get_multiple_target_documents", [&] { several = finder.get_targets() != nullptr; });
        look("get_target_document", [&] {
            if (finder.get_target() == nullptr && !several) missing_function(type, "get_target_document");
        });
    }
    for (std::size_t i = 0; i < hook_names.size(); i++) look(hook_names[i], [&] { finder.hook(static_cast<Hook>(i)); });
}

}  // namespace sync_job
