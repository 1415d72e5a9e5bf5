// Plain background work: a function or procedure of the user, called by name, with arguments from a JSON object.
#pragma once

#include <string>
#include <vector>

#include "job/job_row.hpp"
#include "pg/catalog.hpp"
#include "pg/value.hpp"

namespace sync_job {

// A call that was checked against the signature: SQL with typed arguments.
struct BackgroundCall {
    pg::FunctionInfo function;
    std::string sql;
    std::vector<Oid> types;
    std::vector<pg::Value> values;
};

// `procedure`: a name, with or without schema. `args`: a JSON object, or null for none. Raises 42883 if the procedure
// does not exist, 42501 if the current user may not call it, 22023 if an argument is missing, surplus or of the wrong
// type, 42725 if several procedures fit.
BackgroundCall prepare_call(const std::string& procedure, pg::Value args);

// The name as it is stored: schema and name, each quoted as needed.
std::string qualified_name(const pg::FunctionInfo& function);

// Makes the call and returns its result as jsonb (null for void). A procedure may commit if `may_commit`.
pg::Value make_call(const BackgroundCall& call, bool may_commit);

// Whether the background job calls a procedure, which may commit as it goes.
bool calls_procedure(const Job& job);

// --- Callbacks ---

// Those of the `available` arguments that the callback has parameters for. Raises 22023 if it has any other parameter.
pg::Value callback_args(const std::string& procedure, const std::vector<std::pair<std::string, pg::Value>>& available);
// The callback's qualified name. Raises the errors of prepare_call() if it could not be called.
std::string checked_callback(const std::string& procedure);

}  // namespace sync_job
