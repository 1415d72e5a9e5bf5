// Several targets: one child job each.
#pragma once

#include <vector>

#include "engine/sync.hpp"

namespace sync_job {

// What the before_relay hook leaves of the list.
std::vector<Target> filtered_by_hook(SyncContext& sync, const std::vector<Target>& targets);

// Makes the children and ends the job as Relayed.
void relay(SyncContext& sync, const JobType& type, const std::vector<Target>& targets);

// Inserts the children that are still to be inserted (a dry run's, after its rollback).
void insert_children(SyncContext& sync);

}  // namespace sync_job
