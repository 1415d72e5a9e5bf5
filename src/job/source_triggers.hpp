// The triggers that enqueue jobs of a type.
#pragma once

#include <string>
#include <vector>

#include "pg/types.hpp"

namespace sync_job {

struct SourceTrigger {
    std::string name;
    Oid relation;
    bool deferrable;
    std::string enabled;     // as in pg_trigger
    std::string definition;  // the statement that makes it
};
// Those that name the type, on this table or (no_oid) on any, ordered by table and name; without the clones on partitions.
std::vector<SourceTrigger> source_triggers(const std::string& type, Oid relation = 0);

}  // namespace sync_job
