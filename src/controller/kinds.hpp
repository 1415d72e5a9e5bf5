// The kinds of controller, one factory function each.
#pragma once

#include <memory>

#include "controller/controller.hpp"

namespace sync_job {

// Functions of fixed names in the module schema: standard, or bypass if execute() exists.
std::shared_ptr<Controller> make_function_controller(const JobType& type);
// The same with only the hook `failed`.
std::shared_ptr<Controller> make_failed_hook(const JobType& type);

// Declared by match and field_map.
std::shared_ptr<Controller> make_declarative_controller(const JobType& type);
// Declared by http: its execute() makes the request, but sends nothing.
std::shared_ptr<Controller> make_push_controller(const JobType& type);

// A library named by the job type. Which target belongs to a source may be declared by match.
std::shared_ptr<Controller> make_native_controller(const JobType& type);

// Whether a few statements can sync many of its documents (engine/set_sync.hpp): it is declarative; or native with a match, and without a
// hook that each document would have to go through separately.
bool syncs_by_statements(const JobType& type);

}  // namespace sync_job
