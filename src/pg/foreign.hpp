// Foreign servers and user mappings, from the catalogs.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

struct ForeignServer {
    Oid oid = no_oid;
    std::string name, wrapper;
    std::map<std::string, std::string> options;
};
std::optional<ForeignServer> find_foreign_server(const std::string& name);
bool may_use_server(Oid role, Oid server);
// The options of the role's mapping, else of PUBLIC's. Nothing: there is no mapping.
std::optional<std::map<std::string, std::string>> user_mapping(Oid role, Oid server);

// Whose options a validator has to check: its second argument.
enum class OptionsOf { wrapper, server, mapping, other };
OptionsOf options_of(Oid catalog);
// The options themselves: a validator's first argument.
std::map<std::string, std::string> option_list(Datum options);

}  // namespace sync_job::pg
