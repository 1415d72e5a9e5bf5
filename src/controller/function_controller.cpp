// Controllers made of functions: standard (get_target_document, update_target_doc and hooks) and bypass (execute).
#include <array>

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

// A relation given by a controller, as OID or as text.
Oid relation_from_text(const std::string& text) { return pg::datum_oid(pg::text_to_value(text, pg::type::regclass)); }

Operation operation_from(const std::string& text, const std::string& function) {
    if (auto operation = parse_operation(text)) return *operation;
    throw pg::Error("22023", "invalid operation " + quoted(text) + " from function " + function)
        .hint("Valid operations are: " + std::string(operation_list()) + ".");
}

pg::Value json_or_null(const pg::JsonField& field) {
    if (field.kind == pg::JsonKind::null) return {};
    return {field.value, false};
}

void require_object(Datum json, const std::string& function) {
    if (pg::json_kind(json) == pg::JsonKind::object) return;
    throw pg::Error("22023", "function " + function + " returned no JSON object")
        .detail("It returned: " + pg::clipped(pg::json_to_text(json), 60) + ".");
}

// What get_target_document returns, as composite or as jsonb.
struct TargetFields {
    std::optional<std::string> operation, name;
    Oid document_type = pg::no_oid;
    pg::Value context;
};

void require_target_key(const std::string& key, const std::string& function) {
    for (const char* known : {"operation", "target_document_type", "target_document_name", "context"}) {
        if (key == known) return;
    }
    throw pg::Error("22023", "invalid key " + quoted(key) + " in a target from function " + function)
        .hint("Valid keys are: operation, target_document_type, target_document_name, context.");
}

// Nothing for a JSON null, which means what NULL means.
TargetFields read_target_json(Datum json, const std::string& function) {
    TargetFields fields;
    if (pg::json_kind(json) == pg::JsonKind::null) return fields;
    require_object(json, function);
    for (const pg::JsonField& field : pg::json_fields(json)) {
        require_target_key(field.key, function);
        if (field.kind == pg::JsonKind::null) continue;
        if (field.key == "operation") fields.operation = field.text;
        if (field.key == "target_document_name") fields.name = field.text;
        if (field.key == "target_document_type") fields.document_type = relation_from_text(field.text);
        if (field.key == "context") fields.context = json_or_null(field);
    }
    return fields;
}

TargetFields read_target_row(Datum row) {
    pg::RowValues values = pg::take_apart(row, 4);
    TargetFields fields;
    if (!values.nulls[0]) fields.operation = std::string(pg::datum_text(values.values[0]));
    if (!values.nulls[1]) fields.document_type = pg::datum_oid(values.values[1]);
    if (!values.nulls[2]) fields.name = std::string(pg::datum_text(values.values[2]));
    if (!values.nulls[3]) fields.context = {values.values[3], false};
    return fields;
}

// Nothing: the controller named no target.
std::optional<Target> to_target(const TargetFields& fields, const JobType& type, const Job& job,
                                const std::string& function) {
    Oid fixed = job.oid(JobColumn::target_document_type);  // from the job type, or given when the job was enqueued
    if (fields.document_type == pg::no_oid && fixed == pg::no_oid) return std::nullopt;
    if (!fields.operation) {
        if (fields.document_type == pg::no_oid && !fields.name) return std::nullopt;
        throw pg::Error("22004", "function " + function + " named a target without an operation")
            .hint("Return sync_job_target('insert' | 'update' | 'delete', ...), or NULL for no target.");
    }
    if (!fields.context.null && pg::json_kind(fields.context.datum) != pg::JsonKind::object) {
        throw pg::Error("22023", "function " + function + " named a target whose context is no JSON object")
            .detail("It is: " + pg::clipped(pg::json_to_text(fields.context.datum), 60) + ".");
    }
    Target target;
    target.operation = operation_from(*fields.operation, function);
    target.document_type = fields.document_type;
    target.document_name = fields.name;
    target.context = fields.context;
    if (target.operation != Operation::insert && !target.document_name) {
        if (target.operation == Operation::remove) return std::nullopt;  // nothing found to delete
        throw pg::Error("22004", "function " + function + " returned an update without target_document_name")
            .hint("Name the document to update, or return operation insert.");
    }
    if (fields.document_type != pg::no_oid && type.target != pg::no_oid && fields.document_type != type.target) {
        throw pg::Error("42804", "function " + function + " named target document type " +
                                     quoted(pg::relation_name(fields.document_type)) + ", but sync job type " +
                                     quoted(type.name) + " fixes " + quoted(type.target_label))
            .hint("Leave target_document_type of the sync job type NULL to choose it for each job.");
    }
    return target;
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

// Looks up each function that a controller may have, by its name, parameters and result.
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

BypassResult read_result(pg::Value value, bool json, const std::string& function) {
    BypassResult result;
    if (value.null) return result;
    std::optional<std::string> operation;
    if (json) {
        if (pg::json_kind(value.datum) != pg::JsonKind::object) return result;
        for (const pg::JsonField& field : pg::json_fields(value.datum)) {
            if (field.kind == pg::JsonKind::null) continue;
            if (field.key == "target_document_type") result.document_type = relation_from_text(field.text);
            if (field.key == "target_document_name") result.document_name = field.text;
            if (field.key == "operation") operation = field.text;
            if (field.key == "diff") result.diff = {field.value, false};
        }
    } else {
        pg::RowValues row = pg::take_apart(value.datum, 4);
        if (!row.nulls[0]) result.document_type = pg::datum_oid(row.values[0]);
        if (!row.nulls[1]) result.document_name = std::string(pg::datum_text(row.values[1]));
        if (!row.nulls[2]) operation = std::string(pg::datum_text(row.values[2]));
        if (!row.nulls[3]) result.diff = {row.values[3], false};
    }
    if (operation) result.operation = operation_from(*operation, function);
    return result;
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
    const std::string& function = hooks_[static_cast<std::size_t>(Hook::before_relay)]->name();
    if (pg::json_kind(jsonb) != pg::JsonKind::array) {
        throw pg::Error("22023", "function " + function + " returned no JSON array")
            .detail("It returned: " + pg::clipped(pg::json_to_text(jsonb), 60) + ".");
    }
    std::vector<Target> targets;
    for (const pg::JsonField& item : pg::json_elements(jsonb)) {
        if (auto target = to_target(read_target_json(item.value, function), type_, job, function))
            targets.push_back(*target);
    }
    return targets;
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
    return json_null ? pg::Value{} : result;  // a JSON null means what NULL means
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
