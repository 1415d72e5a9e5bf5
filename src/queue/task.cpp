#include "queue/task.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/value.hpp"

namespace sync_job {

namespace {

constexpr Task all_tasks[] = {Task::compare, Task::full_sync, Task::revert, Task::apply};

template <class Number>
Number number_of(const pg::JsonField& field, Number least, Number most, const char* column) {
    Number number{};
    const char* end = field.text.data() + field.text.size();
    auto [read_to, error] = std::from_chars(field.text.data(), end, number);
    if (error == std::errc() && read_to == end && number >= least && number <= most) return number;
    throw pg::Error("22023", "invalid " + quoted(field.key) + " in " + column + ": " + quoted(pg::clipped(field.text, 60)));
}

}  // namespace

std::string_view to_text(Task task) {
    constexpr std::string_view texts[] = {"Compare", "Full Sync", "Revert", "Apply"};
    return texts[static_cast<int>(task)];
}

std::int64_t task_number(const pg::JsonField& field, std::int64_t least, std::int64_t most, const char* column) {
    return number_of(field, least, most, column);
}

double task_percent(const pg::JsonField& field) { return number_of(field, 0.0, 100.0, "context"); }

bool runs_while_paused(std::string_view operation) { return operation == to_text(Task::revert) || operation == to_text(Task::apply); }

bool is_task(std::string_view operation) {
    return std::any_of(std::begin(all_tasks), std::end(all_tasks), [&](Task task) { return operation == to_text(task); });
}

std::optional<Task> task_of(const Job& job) {
    if (job.is_null(JobColumn::operation)) return std::nullopt;
    for (Task task : all_tasks) {
        if (job.text(JobColumn::operation) == to_text(task)) return task;
    }
    return std::nullopt;
}

}  // namespace sync_job
