// Jobs of other nodes, whose number is in the high bits of the ids. Nodes are asked through dblink, with the rights of the caller's
// user mapping.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/function.hpp"

namespace sync_job {

// The node of a job that is not here; 0: it is this node, or not in sync_job_node.
int other_node_of(std::int64_t id);

// The same for any id; 0 for one that is here.
int node_elsewhere(std::int64_t id);

// Runs the statement there, in a transaction of its own; returns the one text of its result. Raises its error.
std::optional<std::string> call_node(int node, const std::string& statement);

// An argument of the caller's, as SQL for such a statement.
std::string jsonb_argument(pg::Arguments& args, int i);

// Runs `call`, a function that returns the job, where the job is, if that is another node; returns its result as a row.
std::optional<Datum> job_elsewhere(std::int64_t id, const std::string& call);
// The same for a function that returns a number, or void (0).
std::optional<std::int64_t> number_elsewhere(std::int64_t id, const std::string& call);
// The same for functions that return several jobs: calls `function` for those of `ids` that are at other nodes. `arguments` follow
// the ids in the call.
std::vector<Datum> jobs_elsewhere(const std::vector<std::int64_t>& ids, const std::string& function, const std::string& arguments);

}  // namespace sync_job
