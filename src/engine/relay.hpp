// Relaying: a job with several targets gets one child job for each.
#pragma once

#include <vector>

#include "engine/sync.hpp"

namespace sync_job {

// The list after the before_relay hook has changed it.
std::vector<Target> filtered_by_hook(SyncContext& sync, const std::vector<Target>& targets);

// Creates the children and ends the job as Relayed.
void relay(SyncContext& sync, const JobType& type, const std::vector<Target>& targets);

// Inserts the children that remain to be inserted (those of a dry run, after its rollback).
void insert_children(SyncContext& sync);

}  // namespace sync_job
