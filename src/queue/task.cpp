#include "queue/task.hpp"

namespace sync_job {

namespace {

constexpr Task all_tasks[] = {Task::compare, Task::full_sync};

}  // namespace

std::string_view to_text(Task task) {
    constexpr std::string_view texts[] = {"Compare", "Full Sync"};
    return texts[static_cast<int>(task)];
}

std::optional<Task> task_of(const Job& job) {
    if (job.is_null(JobColumn::operation)) return std::nullopt;
    for (Task task : all_tasks) {
        if (job.text(JobColumn::operation) == to_text(task)) return task;
    }
    return std::nullopt;
}

}  // namespace sync_job
