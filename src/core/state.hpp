// The states of a job, and what may happen in each. Plain C++: no server headers.
//
//   –        → Pending | Queued                      enqueued
//   Pending  → Queued                                start
//   Queued   → Started                               a worker runs it (committed; if batchable, unseen by others)
//   Started  → Finished | Skipped | No Target | Relayed | Failed
//   Started  → Queued                                not the job's fault: shutdown, crash, deadlock
//   Failed   → Queued                                retry, by time or by hand
//   Pending | Queued | Failed → Canceled             cancel; Started too, once the job has been stopped
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sync_job {

enum class Status { pending, queued, started, finished, skipped, no_target, relayed, failed, canceled };
enum class Operation { insert, update, remove };
enum class Action { start, retry, cancel, execute };

// The table that holds a job in this state.
enum class Partition { live, failed, ended };

std::string_view to_text(Status status);
std::string_view to_text(Operation operation);
std::string_view to_text(Action action);

// Case-insensitive; nothing if it is none of them.
std::optional<Status> parse_status(std::string_view text);
std::optional<Operation> parse_operation(std::string_view text);
// The stored spelling of a trigger type.
std::optional<std::string_view> parse_trigger_type(std::string_view text);

// For error messages: the valid spellings, comma-separated.
std::string_view operation_list();
std::string_view trigger_type_list();

Partition partition_of(Status status);
bool has_ended(Status status);  // for good, or until somebody acts: everything but Pending, Queued, Started
bool allows(Status status, Action action);
std::string_view allowed_states(Action action);

}  // namespace sync_job
