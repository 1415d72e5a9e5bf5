// The parameters of a request, by name, for the statements of the routes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "serve/request.hpp"

namespace sync_job::serve {

using Named = std::map<std::string, std::optional<std::string>, std::less<>>;

// Throw DatabaseError (22023, 22021, 22P02) if the text cannot be read, or a name occurs twice.
void add_query_string(std::string_view query, Named& parameters);
// The top level of a JSON object: a string gives its text, null gives NULL, anything else its JSON as written, so that large numbers
// stay exact.
void add_json_object(std::string_view body, Named& parameters);

// The text of a required string of a JSON object.
std::string required(const Named& parameters, std::string_view name);

}  // namespace sync_job::serve
