// What a full sync keeps with its job: what was asked for, in the context; how far it has come, in the checkpoint.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/value.hpp"

namespace sync_job {

constexpr int most_in_chunk = 1000;

struct FullSyncRequest {
    std::string condition;  // SQL over source; empty: all
    bool dry_run = false;
    bool delete_surplus = false;
    // Of the targets in scope: updates and deletes, and deletes alone. In all, inserts too; none: no limit.
    double max_change_percent = 50, max_delete_percent = 10;
    std::optional<std::int64_t> max_changes;
    std::optional<int> documents_per_second;
    int chunk_size = most_in_chunk;
    bool check_first = false;  // functions: all documents are compared before the first write
    bool adopt = false;        // what a target has, and nobody knows who wrote it, counts as written by a sync
};

// All but dry_run, which has a column of its own; and back.
pg::Value full_sync_context(const FullSyncRequest& request);
FullSyncRequest full_sync_request_from(Datum context);
FullSyncRequest full_sync_request_of(const Job& run);
// Raises 0A000 for a type that cannot be synced so.
void require_full_sync(const JobType& type, const FullSyncRequest& request);
// A run of the type that waits or runs, other than `id`.
// Whoever enqueues one holds this to the end of the transaction: of two that do it at once the second sees the first one's.
void lock_full_syncs(const std::string& sync_job_type);
std::optional<std::int64_t> other_full_sync(const std::string& sync_job_type, std::int64_t id, bool only_started);

// What has become of the documents, as set jobs count it (queue/set_record.hpp); `gone` are those that were no longer
// there.
namespace FullSyncCount {
enum Index { inserted, updated, deleted, skipped, no_target, failed, handed_over, gone, all };
}
using FullSyncCounts = std::array<std::int64_t, FullSyncCount::all>;
extern const char* const full_sync_count_names[FullSyncCount::all];

struct FullSyncCheckpoint {
    FullSyncCounts done = {};
    std::int64_t definition = 0;  // of the type, as definition_of() has it; 0: none yet
    std::int64_t code = 0;        // of its controller, as code_of() has it; 0: it is not code, or not looked at yet
    bool moved = false;           // something was committed since the last crash: the next one is not charged to the run
    bool pause = false;           // asked for: the run stops at its next commit, and is Pending
    std::int64_t attempt = 0;     // which attempt has written this
    std::string after;            // functions: the last source, in the order of the key, that has been looked at
};
FullSyncCheckpoint full_sync_checkpoint_of(const Job& run);
Datum as_json(const FullSyncCheckpoint& checkpoint);
std::int64_t definition_of(const JobType& type);
// The functions that say what documents become, as one number.
std::int64_t code_of(const JobType& type);

}  // namespace sync_job
