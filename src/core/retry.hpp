// When a failed job is tried again. Plain C++: times in microseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sync_job {

enum class Backoff { linear, constant, exponential };

std::optional<Backoff> parse_backoff(std::string_view text);
std::string_view backoff_list();

// The wait before the next attempt after `retry_count` retries: linear delay × (retry_count + 1), constant delay,
// exponential delay × 2^retry_count, varied by ±25% with `random` (0 ≤ random < 1), so that jobs that failed together
// are not retried together. Never more than 100 years.
std::int64_t retry_wait(std::int64_t delay, Backoff backoff, int retry_count, double random);

// The pause after this many failures in a row of something that is retried forever: doubles from `first` up to
// `longest`.
std::int64_t growing_pause(std::int64_t first, std::int64_t longest, int failures);

}  // namespace sync_job
