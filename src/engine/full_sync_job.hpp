// What a full sync stores in its job: the request, in the context; how far it has come, in the checkpoint.
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
    // Limits. As percentages of the targets in scope: for updates and deletes together, and for deletes alone. As a total that includes
    // inserts: max_changes; nothing: no limit.
    double max_change_percent = 50, max_delete_percent = 10;
    std::optional<std::int64_t> max_changes;
    std::optional<int> documents_per_second;
    int chunk_size = most_in_chunk;
    bool check_first = false;  // for functions: compare all documents before the first write
    bool adopt = false;        // values of a target whose writer is not known count as written by a sync
};

// The request as a context, and back. Without dry_run, which has a column of its own.
pg::Value full_sync_context(const FullSyncRequest& request);
FullSyncRequest full_sync_request_from(Datum context);
FullSyncRequest full_sync_request_of(const Job& run);
// Raises 0A000 for a type that cannot be synced this way.
void require_full_sync(const JobType& type, const FullSyncRequest& request);
// A waiting or running full sync of the type other than `id`. Whoever enqueues one holds the lock to the end of the transaction: if two do
// so at once, the second sees the first one's.
void lock_full_syncs(const std::string& sync_job_type);
std::optional<std::int64_t> other_full_sync(const std::string& sync_job_type, std::int64_t id, bool only_started);

// What became of the documents, counted as set jobs count it (queue/set_record.hpp); `gone`: those that no longer existed.
namespace FullSyncCount {
enum Index { inserted, updated, deleted, skipped, no_target, failed, handed_over, gone, all };
}
using FullSyncCounts = std::array<std::int64_t, FullSyncCount::all>;
extern const char* const full_sync_count_names[FullSyncCount::all];

struct FullSyncCheckpoint {
    FullSyncCounts done = {};
    std::int64_t definition = 0;  // of the type, from definition_of(); 0: none yet
    std::int64_t code = 0;        // of its controller, from code_of(); 0: it has no code, or has not been looked at yet
    bool moved = false;           // something was committed since the last crash: the run is not blamed for the next one
    bool pause = false;           // requested: the run stops at its next commit, and becomes Pending
    std::int64_t attempt = 0;     // the attempt that has written this
    std::string after;            // for functions: the last source, in the order of the key, that has been looked at
};
FullSyncCheckpoint full_sync_checkpoint_of(const Job& run);
Datum as_json(const FullSyncCheckpoint& checkpoint);
std::int64_t definition_of(const JobType& type);
// A number that identifies the code of the functions that determine what documents become.
std::int64_t code_of(const JobType& type);

}  // namespace sync_job
