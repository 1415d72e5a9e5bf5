// The kinds of controller, one factory function each.
#pragma once

#include <memory>

#include "controller/controller.hpp"

namespace sync_job {

// Functions of fixed names in the module schema: standard, or bypass where there is execute().
std::shared_ptr<Controller> make_function_controller(const JobType& type);
// Of it, the hook `failed` alone.
std::shared_ptr<Controller> make_failed_hook(const JobType& type);

// Declared by match and field_map.
std::shared_ptr<Controller> make_declarative_controller(const JobType& type);
// Declared by http: its execute() makes the request and sends nothing.
std::shared_ptr<Controller> make_push_controller(const JobType& type);

// A library named by the job type; which target belongs to a source may be declared by match.
std::shared_ptr<Controller> make_native_controller(const JobType& type);

// Many of its documents can be synced by a few statements (engine/set_sync.hpp): it is declarative; or native with a match, and has no
// hook that a document would have to run through by itself.
bool syncs_by_statements(const JobType& type);

}  // namespace sync_job
