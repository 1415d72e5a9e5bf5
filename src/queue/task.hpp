// Jobs about all documents of a type, or many, instead of one: the column operation says what they do.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "job/job_row.hpp"
#include "pg/json.hpp"

namespace sync_job {

enum class Task { compare, full_sync, revert, apply };

// SQL over a row of sync_job: whether it may have rows in sync_job_document.
constexpr const char* may_have_documents = "(documents IS NOT NULL OR operation IN ('Full Sync', 'Revert', 'Apply'))";

std::string_view to_text(Task task);
// None for a job of one document, and for background work.
std::optional<Task> task_of(const Job& job);
bool is_task(std::string_view operation);

// Runs even while its type is paused: a type may be paused just for that.
bool runs_while_paused(std::string_view operation);

// A number in the context of such a job, or in the named column. Somebody may have changed it: raises 22023 if it is invalid.
std::int64_t task_number(const pg::JsonField& field, std::int64_t least, std::int64_t most, const char* column = "context");
double task_percent(const pg::JsonField& field);

}  // namespace sync_job
