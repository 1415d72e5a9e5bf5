// Inside src/pg/ only: what json.cpp and value.cpp share. The functions raise as the server does: call them guarded.
#pragma once

#include "pg/server.hpp"

namespace sync_job::pg {

// Adds a finished value to the container being built, or makes it the root.
void push_json(JsonbParseState** state, JsonbValue** root, JsonbValue* value);
// Converts an SQL value and adds it.
void push_value(JsonbParseState** state, JsonbValue** root, Datum datum, bool is_null, Oid type, bool exact);

}  // namespace sync_job::pg
