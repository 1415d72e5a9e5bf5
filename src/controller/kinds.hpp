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

}  // namespace sync_job
