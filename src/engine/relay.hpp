// Several targets: one child job each.
#pragma once

#include <vector>

#include "engine/road.hpp"

namespace sync_job {

// What the before_relay hook leaves of the list.
std::vector<Target> filtered_by_hook(Journey& journey, const std::vector<Target>& targets);

// Makes the children and ends the job as Relayed.
void relay(Journey& journey, const JobType& type, const std::vector<Target>& targets);

// Inserts the children that are still to be inserted (a dry run's, after its rollback).
void insert_children(Journey& journey);

}  // namespace sync_job
