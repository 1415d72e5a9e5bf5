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
// Locks the job until the transaction ends. Waits for whoever has it locked, and follows it from partition to
// partition. With `wait` false: nothing if somebody has it locked, and `busy` is set.
std::optional<StoredJob> lock_job(std::int64_t id, bool wait = true, bool* busy = nullptr);

// For a scan of the index live_source: the jobs of a type that have this source name, or one with the same hash.
std::vector<pg::ScanCondition> of_source(Datum type, Datum source_name);

// The children that a Relayed job enqueued, by id.
std::vector<std::int64_t> children_of(std::int64_t parent);

// Raises if one of the tables that a job moves through cannot be written. To be called before it runs, as its end could
// not be recorded.
void require_writable_tables();

void insert_job(const Job& job);
// Writes a locked job to the partition of its status. If its id is there already, the job is removed instead.
void store_job(const StoredJob& stored);
// A restore, or a tool that copies tables, may leave a job in the queue that has already ended. Removes and logs such a
// job, and returns true.
bool remove_if_ended(const StoredJob& stored);

// Raises 42704.
[[noreturn]] void no_such_job(std::int64_t id);

}  // namespace sync_job
