// Plain background work: a function or procedure of the user, called by name with arguments from a JSON object.
#pragma once

#include <string>
#include <vector>

#include "job/job_row.hpp"
#include "pg/catalog.hpp"
#include "pg/value.hpp"

namespace sync_job {

// A call, checked against the signature: SQL with typed arguments.
struct BackgroundCall {
    pg::FunctionInfo function;
    std::string sql;
    std::vector<Oid> types;
    std::vector<pg::Value> values;
};

// `procedure`: a name, with or without schema. `args`: a JSON object, or null for none. Raises 42883 for a procedure
// there is not, 42501 for one that the current user may not call, 22023 for an argument that is missing, surplus or of
// the wrong type, 42725 when several fit.
BackgroundCall prepare_call(const std::string& procedure, pg::Value args);

// The name as it is kept: schema and name, quoted.
std::string qualified_name(const pg::FunctionInfo& function);

// Calls it and returns what it returned, as jsonb (null for void). A procedure commits where `may_commit`.
pg::Value make_call(const BackgroundCall& call, bool may_commit);

// The procedure of a background job commits as it goes.
bool calls_procedure(const Job& job);

// --- Callbacks ---

// The arguments among `available` that a callback's parameters ask for. Raises 22023 for a parameter that is none of
// them.
pg::Value callback_args(const std::string& procedure, const std::vector<std::pair<std::string, pg::Value>>& available);
// Raises as above when the callback could not be called.
std::string checked_callback(const std::string& procedure);

}  // namespace sync_job
