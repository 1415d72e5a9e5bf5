// The jobs as stored: inserting, finding, locking, and moving them from state to state.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "job/job_row.hpp"
#include "pg/table.hpp"

namespace sync_job {

// A job that this transaction has locked, and the partition it lies in.
struct StoredJob {
    Job job;
    Partition partition;
};

// The job as the newest snapshot has it, not locked; nothing when there is none.
std::optional<StoredJob> find_job(std::int64_t id);
// Locked until the transaction ends. Waits for whoever has it locked, and follows it from state to state.
// With `wait` false: nothing when somebody has it locked, `busy` says so.
std::optional<StoredJob> lock_job(std::int64_t id, bool wait = true, bool* busy = nullptr);

// The children a Relayed job made, by id.
// For a scan of the index live_source: the jobs of a type that have this source name, and those whose name has the same hash.
std::vector<pg::ScanCondition> of_source(Datum type, Datum source_name);

std::vector<std::int64_t> children_of(std::int64_t parent);

// Raises where one of the tables that a job goes through cannot be written: before it runs, as its end could not be recorded.
void require_writable_tables();

void insert_job(const Job& job);
// Writes a locked job back, in the partition its status asks for. One whose id stands there already is removed instead.
void store_job(const StoredJob& stored);
// A restore, or a tool that copies tables, may leave a job in the queue though it has ended. It is then removed, with a line in
// the log; true.
bool remove_if_ended(const StoredJob& stored);

// Raises 42704.
[[noreturn]] void no_such_job(std::int64_t id);

}  // namespace sync_job
