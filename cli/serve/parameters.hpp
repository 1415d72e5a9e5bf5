// The parameters of a request, by name, as the statements of the routes take them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "serve/request.hpp"

namespace sync_job::serve {

using Named = std::map<std::string, std::optional<std::string>, std::less<>>;

// Throw DatabaseError (22023, 22021, 22P02) where that cannot be read, or a name is there twice.
void add_query_string(std::string_view query, Named& parameters);
// The top level of a JSON object: a string is its text, null is NULL, anything else its JSON as it stands there, so that large
// numbers stay whole.
void add_json_object(std::string_view body, Named& parameters);

// The text of a string that must be there, out of a JSON object.
std::string required(const Named& parameters, std::string_view name);

}  // namespace sync_job::serve
