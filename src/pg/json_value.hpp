// For src/pg/ only: what json.cpp and value.cpp share. The functions raise as the server does, so call them within guarded().
#pragma once

#include "pg/server.hpp"

#include "pg/json.hpp"

namespace sync_job::pg {

// Begins or ends a container, or adds a key or a finished value to it.
void push_token(JsonState& state, JsonbIteratorToken token, JsonbValue* value = nullptr);
// Adds a finished value to the container being built, or makes it the root.
void push_json(JsonState& state, JsonbValue* value);
// Converts an SQL value and adds it.
void push_value(JsonState& state, Datum datum, bool is_null, Oid type, bool exact);

}  // namespace sync_job::pg
