#include "pg/server.hpp"

extern "C" {
#include "access/reloptions.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
}

#include "pg/error.hpp"
#include "pg/foreign.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

namespace {

std::map<std::string, std::string> as_map(List* options) {
    std::map<std::string, std::string> map;
    ListCell* cell;
    foreach (cell, options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        map[option->defname] = option->arg == nullptr ? "" : strVal(option->arg);
    }
    return map;
}

}  // namespace

std::optional<ForeignServer> find_foreign_server(const std::string& name) {
    struct Found {
        ::ForeignServer* server;
        ForeignDataWrapper* wrapper;
    };
    Found found = guarded([&] {
        Found f{GetForeignServerByName(name.c_str(), true), nullptr};
        if (f.server != nullptr) f.wrapper = GetForeignDataWrapper(f.server->fdwid);
        return f;
    });
    if (found.server == nullptr) return std::nullopt;
    return ForeignServer{found.server->serverid, found.server->servername, found.wrapper->fdwname, as_map(found.server->options)};
}

bool may_use_server(Oid role, Oid server) {
    return guarded([&] {
#if PG_VERSION_NUM >= 160000
        return object_aclcheck(ForeignServerRelationId, server, role, ACL_USAGE) == ACLCHECK_OK;
#else
        return pg_foreign_server_aclcheck(server, role, ACL_USAGE) == ACLCHECK_OK;
#endif
    });
}

// GetUserMapping() raises an error if there is none.
std::optional<std::map<std::string, std::string>> user_mapping(Oid role, Oid server) {
    struct Found {
        bool any;
        List* options;
    };
    Found found = guarded([&] {
        for (Oid of : {role, InvalidOid}) {
            HeapTuple tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(of), ObjectIdGetDatum(server));
            if (!HeapTupleIsValid(tuple)) continue;
            bool null;
            Datum options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &null);
            List* list = null ? NIL : untransformRelOptions(options);
            ReleaseSysCache(tuple);
            return Found{true, list};
        }
        return Found{false, NIL};
    });
    if (!found.any) return std::nullopt;
    return as_map(found.options);
}

OptionsOf options_of(Oid catalog) {
    switch (catalog) {
        case ForeignDataWrapperRelationId:
            return OptionsOf::wrapper;
        case ForeignServerRelationId:
            return OptionsOf::server;
        case UserMappingRelationId:
            return OptionsOf::mapping;
        default:
            return OptionsOf::other;
    }
}

std::map<std::string, std::string> option_list(Datum options) {
    return as_map(guarded([&] { return untransformRelOptions(options); }));
}

}  // namespace sync_job::pg
