// Results as JSON. Numbers and JSON values are written exactly as the database sent them, so that large ones stay exact; there are no
// control characters in it, so it can be shown on a terminal as it is.
#pragma once

#include "database/connection.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

std::string json_string(std::string_view text);

/// An array of strings, as a parameter of a statement.
std::string json_strings(const std::vector<std::string>& texts);

/// A value: booleans, numbers and JSON as such, times as ISO 8601 ("2026-11-29T02:30:56.5Z"), everything else as strings.
std::string json_value(const Result& result, int row, int column);

/// An object with the columns as keys.
std::string json_object(const Row& row);

/// An array of such objects, one per line.
std::string json_array(const Result& result);

}  // namespace sync_job
