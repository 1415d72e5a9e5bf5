// The triggers that enqueue jobs, as others ask for them.
#pragma once

#include <string>
#include <vector>

#include "pg/types.hpp"

namespace sync_job {

// Those of the table that name the type. In an SpiScope.
std::vector<std::string> sync_triggers(const std::string& type, Oid source);

}  // namespace sync_job
