// What is counted for the jobs of one type in one queue: the counters in shared memory, and in the notes of a transaction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sync_job {

enum class Counter : std::size_t {
    enqueued,
    deduplicated,
    retries,
    // attempts that ended, by the state they led to, in the order of Status
    finished, skipped, no_target, relayed, failed, canceled,
    // documents, by what became of them, in the order of Count (queue/set_record.hpp)
    inserted, updated, deleted, document_skipped, without_target, document_failed,
    all
};

// A histogram of times: how many were at most as long as each of these (microseconds), and the sum. The last one has no
// bound.
constexpr std::array<std::int64_t, 13> time_bounds = {1000,    5000,     10000,    50000,     100000,    500000,    1000000,
                                                      5000000, 10000000, 60000000, 300000000, 900000000, 3600000000};
constexpr std::size_t time_buckets = time_bounds.size() + 1;
constexpr std::size_t histogram_size = time_buckets + 1;

constexpr std::size_t run_histogram = static_cast<std::size_t>(Counter::all);
constexpr std::size_t wait_histogram = run_histogram + histogram_size;
constexpr std::size_t counters = wait_histogram + histogram_size;

using Tally = std::array<std::uint64_t, counters>;

}  // namespace sync_job
