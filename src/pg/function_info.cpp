// The part of catalog.hpp about functions: found by name, with their arguments.
#include "pg/server.hpp"

#include "pg/catalog.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

namespace {

void read_arguments(FunctionInfo& info, HeapTuple tuple) {
    Oid* types = nullptr;
    char** names = nullptr;
    char* modes = nullptr;
    int count = guarded([&] { return get_func_arg_info(tuple, &types, &names, &modes); });
    for (int i = 0; i < count; i++) {
        char mode = modes == nullptr ? static_cast<char>(FUNC_PARAM_IN) : modes[i];
        bool passed = mode == FUNC_PARAM_IN || mode == FUNC_PARAM_INOUT || mode == FUNC_PARAM_VARIADIC ||
                      (mode == FUNC_PARAM_OUT && info.kind == PROKIND_PROCEDURE);
        if (!passed) continue;
        info.argument_types.push_back(types[i]);
        info.argument_modes.push_back(mode);
        info.argument_names.emplace_back(names != nullptr && names[i] != nullptr ? names[i] : "");
    }
}

FunctionInfo read_function(HeapTuple tuple, const std::string& schema) {
    auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    FunctionInfo info;
    info.oid = form->oid;
    info.owner = form->proowner;
    info.schema = schema;
    info.name = NameStr(form->proname);
    info.kind = form->prokind;
    info.returns_set = form->proretset;
    info.strict = form->proisstrict;
    info.result_type = form->prorettype;
    info.default_count = form->pronargdefaults;
    read_arguments(info, tuple);
    const char* signature = guarded([&] { return format_procedure(form->oid); });
    info.signature = signature;
    return info;
}

}  // namespace

std::vector<FunctionInfo> functions_named(Oid schema, const std::string& name) {
    std::string schema_text = schema_name(schema);
    std::vector<Oid> oids;
    CatCList* list = guarded([&] { return SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name.c_str())); });
    for (int i = 0; i < list->n_members; i++) {
        auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple));
        if (form->pronamespace == schema) oids.push_back(form->oid);
    }
    guarded([&] { ReleaseSysCacheList(list); });
    std::vector<FunctionInfo> found;
    for (Oid oid : oids) {
        HeapTuple tuple = guarded([&] { return SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(oid)); });
        if (HeapTupleIsValid(tuple)) found.push_back(read_function(tuple, schema_text));
    }
    return found;
}

namespace {

List* name_list(const char* text) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(text, nullptr);
#else
    return stringToQualifiedNameList(text);
#endif
}

}  // namespace

std::pair<Oid, std::string> find_function_name(const std::string& text) {
    Oid schema = no_oid;
    const char* name = nullptr;
    guarded([&] {
        char* schema_name = nullptr;
        char* function_name = nullptr;
        DeconstructQualifiedName(name_list(text.c_str()), &schema_name, &function_name);
        name = function_name;
        if (schema_name != nullptr) {
            schema = LookupExplicitNamespace(schema_name, false);
            return;
        }
        ListCell* cell;
        foreach (cell, fetch_search_path(true)) {
            CatCList* list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(function_name));
            for (int i = 0; i < list->n_members && schema == InvalidOid; i++) {
                auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple));
                if (form->pronamespace == lfirst_oid(cell)) schema = form->pronamespace;
            }
            ReleaseSysCacheList(list);
            if (schema != InvalidOid) break;
        }
    });
    if (schema == no_oid) throw Error("42883", "procedure \"" + text + "\" does not exist");
    return {schema, name};
}

}  // namespace sync_job::pg
