#include "controller/background_call.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

struct Argument {
    std::string name;
    Datum value;  // jsonb
    bool is_null;
};

std::vector<Argument> read_args(pg::Value args) {
    std::vector<Argument> list;
    if (args.null) return list;
    if (pg::json_kind(args.datum) != pg::JsonKind::object) {
        throw pg::Error("22023", "args must be a JSON object").hint("For example: '{\"outlet\": 5}'.");
    }
    for (const pg::JsonField& field : pg::json_fields(args.datum)) {
        list.push_back({field.key, field.value, field.kind == pg::JsonKind::null});
    }
    return list;
}

bool is_input(const pg::FunctionInfo& function, std::size_t i) { return function.argument_modes[i] != 'o'; }

int parameter_of(const pg::FunctionInfo& function, const std::string& name) {
    for (std::size_t i = 0; i < function.argument_names.size(); i++) {
        if (is_input(function, i) && function.argument_names[i] == name) return static_cast<int>(i);
    }
    return -1;
}

// The first input parameter that has neither an argument nor a default; -1: none.
int missing_parameter(const pg::FunctionInfo& function, const std::vector<Argument>& args) {
    int inputs = static_cast<int>(std::count_if(function.argument_modes.begin(), function.argument_modes.end(),
                                                [](char mode) { return mode != 'o'; }));
    int seen = 0;
    for (std::size_t i = 0; i < function.argument_types.size(); i++) {
        if (!is_input(function, i)) continue;
        bool has_default = ++seen > inputs - function.default_count;
        bool given = std::any_of(args.begin(), args.end(), [&](const Argument& argument) {
            return !function.argument_names[i].empty() && argument.name == function.argument_names[i];
        });
        if (!given && !has_default) return static_cast<int>(i);
    }
    return -1;
}

bool fits(const pg::FunctionInfo& function, const std::vector<Argument>& args) {
    for (const Argument& argument : args) {
        if (parameter_of(function, argument.name) < 0) return false;
    }
    return missing_parameter(function, args) < 0;
}

[[noreturn]] void does_not_fit(const pg::FunctionInfo& function, const std::vector<Argument>& args) {
    for (const Argument& argument : args) {
        if (parameter_of(function, argument.name) >= 0) continue;
        std::vector<std::string> names;
        for (std::size_t i = 0; i < function.argument_names.size(); i++) {
            if (is_input(function, i) && !function.argument_names[i].empty()) names.push_back(function.argument_names[i]);
        }
        throw pg::Error("22023", "procedure " + function.signature + " has no parameter " + quoted(argument.name))
            .detail(names.empty() ? "It has no parameter with a name." : "It has: " + join(names, ", ") + ".");
    }
    int missing = missing_parameter(function, args);
    std::string name = function.argument_names[missing];
    if (name.empty()) {
        throw pg::Error("22023", "procedure " + function.signature + " has a parameter without a name")
            .hint("Arguments are passed by name: give each parameter a name.");
    }
    throw pg::Error("22023", "missing argument " + quoted(name) + " of procedure " + function.signature);
}

// A superuser's job must not run code that somebody else may change before it runs.
void check_trusted(const pg::FunctionInfo& function) {
    if (!pg::is_superuser(pg::current_user()) || pg::is_superuser(function.owner)) return;
    throw pg::Error("42501", "procedure " + function.signature + " must not run in the background as a superuser")
        .detail("It belongs to role " + quoted(pg::role_name(function.owner)) +
                ", which could change it before it runs.")
        .hint("Enqueue it as that role, or give it to a superuser.");
}

pg::Error no_procedure(const std::string& procedure) {
    pg::Error error("42883", "procedure " + quoted(procedure) + " does not exist");
    if (procedure.find('(') != std::string::npos) {
        error.hint("Give only its name; arguments are passed by name in args, as in enqueue_background_job('f', '{\"x\": 1}').");
    }
    return error;
}

pg::FunctionInfo resolve(const std::string& procedure, const std::vector<Argument>& args) {
    bool looks_like_call = procedure.ends_with(')') && procedure.find('"') == std::string::npos;
    if (looks_like_call) throw no_procedure(procedure);
    auto [schema, name] = pg::find_function_name(procedure);
    std::vector<pg::FunctionInfo> candidates;
    for (const pg::FunctionInfo& info : pg::functions_named(schema, name)) {
        if (info.kind == 'f' || info.kind == 'p') candidates.push_back(info);
    }
    if (candidates.empty()) throw no_procedure(procedure);
    std::vector<pg::FunctionInfo> fitting;
    for (const pg::FunctionInfo& info : candidates) {
        if (fits(info, args)) fitting.push_back(info);
    }
    if (fitting.empty()) does_not_fit(candidates[0], args);
    if (fitting.size() > 1) {
        throw pg::Error("42725", "procedure " + quoted(procedure) + " is not unique")
            .detail("Both " + fitting[0].signature + " and " + fitting[1].signature + " take these arguments.");
    }
    const pg::FunctionInfo& function = fitting[0];
    if (function.returns_set) {
        throw pg::Error("0A000", "procedure " + function.signature + " returns a set")
            .hint("Background work returns one value; return an array or jsonb.");
    }
    if (!pg::may_execute(pg::current_user(), function.oid) || !pg::may_use_schema(pg::current_user(), schema)) {
        throw pg::Error("42501", "permission denied for procedure " + function.signature);
    }
    check_trusted(function);
    return function;
}

pg::Value argument_value(const pg::FunctionInfo& function, const Argument& argument, Oid type) {
    if (argument.is_null) return {};
    try {
        return pg::json_to_value(argument.value, type, -1, false);
    } catch (const pg::Error& error) {
        throw pg::Error("22023",
                        "invalid value for parameter " + quoted(argument.name) + " of procedure " + function.signature)
            .detail(error.report().message + ".");
    }
}

}  // namespace

std::string qualified_name(const pg::FunctionInfo& function) {
    return pg::quoted_identifier(function.schema) + "." + pg::quoted_identifier(function.name);
}

BackgroundCall prepare_call(const std::string& procedure, pg::Value args_json) {
    std::vector<Argument> args = read_args(args_json);
    BackgroundCall call;
    call.function = resolve(procedure, args);
    std::string list;
    auto add = [&](const std::string& name, Oid type, pg::Value value, bool variadic) {
        call.types.push_back(type);
        call.values.push_back(value);
        if (!list.empty()) list += ", ";
        if (variadic) list += "VARIADIC ";
        list += pg::quoted_identifier(name) + " => $" + std::to_string(call.types.size());
    };
    for (const Argument& argument : args) {
        int parameter = parameter_of(call.function, argument.name);
        Oid type = call.function.argument_types[parameter];
        bool variadic = call.function.argument_modes[parameter] == 'v';
        add(argument.name, type, argument_value(call.function, argument, type), variadic);
    }
    bool is_procedure = call.function.kind == 'p';
    for (std::size_t i = 0; i < call.function.argument_types.size(); i++) {  // CALL needs a value for OUT parameters, too
        if (is_input(call.function, i)) continue;
        add(call.function.argument_names[i], call.function.argument_types[i], {}, false);
    }
    call.sql = (is_procedure ? "CALL " : "SELECT ") + qualified_name(call.function) + "(" + list + ")";
    return call;
}

pg::Value make_call(const BackgroundCall& call, bool may_commit) {
    pg::Rows rows = may_commit ? pg::call_committing(call.sql, call.types, call.values)
                               : pg::Statement(call.sql, call.types).execute(call.values);
    if (rows.empty()) return {};
    if (call.function.kind == 'p' && rows.columns() > 1) {  // its INOUT and OUT parameters, by name
        pg::JsonBuilder json;
        json.begin_object();
        for (int column = 0; column < rows.columns(); column++) {
            json.key(rows.column_name(column));
            pg::Value value = rows.at(0, column);
            json.value(value.datum, value.null, rows.column_type(column), false);
        }
        json.end_object();
        return {json.finish(), false};
    }
    pg::Value value = rows.at(0, 0);
    constexpr Oid void_type = 2278;
    if (value.null || rows.column_type(0) == void_type) return {};
    return {pg::value_to_json(value.datum, rows.column_type(0), false), false};
}

bool calls_procedure(const Job& job) {
    auto [schema, name] = pg::find_function_name(std::string(job.text(C::procedure)));
    for (const pg::FunctionInfo& info : pg::functions_named(schema, name)) {
        if (info.kind == 'p') return true;
    }
    return false;
}

// --- Callbacks ---

pg::Value callback_args(const std::string& procedure, const std::vector<std::pair<std::string, pg::Value>>& available) {
    auto [schema, name] = pg::find_function_name(procedure);
    auto candidates = pg::functions_named(schema, name);
    if (candidates.empty()) throw no_procedure(procedure);
    const pg::FunctionInfo& function = candidates[0];
    pg::JsonBuilder json;
    json.begin_object();
    for (std::size_t i = 0; i < function.argument_names.size(); i++) {
        if (!is_input(function, i)) continue;
        auto found = std::find_if(available.begin(), available.end(),
                                  [&](const auto& item) { return item.first == function.argument_names[i]; });
        if (found == available.end()) {
            throw pg::Error("22023", "callback " + function.signature + " has an unknown parameter " +
                                         quoted(function.argument_names[i]))
                .hint(
                    "The parameters of a callback may be: sync_job bigint, args jsonb, result jsonb (on_success), "
                    "error jsonb "
                    "(on_failure).");
        }
        json.key(found->first);
        json.value(found->second.datum, found->second.null, pg::type::jsonb, false);
    }
    json.end_object();
    return {json.finish(), false};
}

std::string checked_callback(const std::string& procedure) {
    // Sample values, so that the types are checked: some number, no result, no error.
    pg::Value number{pg::json_from_text("0"), false};
    pg::Value args = callback_args(procedure, {{"sync_job", number}, {"args", {}}, {"result", {}}, {"error", {}}});
    return qualified_name(prepare_call(procedure, args).function);
}

}  // namespace sync_job
