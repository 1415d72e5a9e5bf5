// Jobs that are about all documents of a type instead of one: what they do is in the column operation.
#pragma once

#include <optional>
#include <string_view>

#include "job/job_row.hpp"

namespace sync_job {

enum class Task { compare, full_sync };

std::string_view to_text(Task task);
// None for a job of one document, and for background work.
std::optional<Task> task_of(const Job& job);

}  // namespace sync_job
