#include "core/retry.hpp"

#include <algorithm>
#include <cmath>

#include "core/text.hpp"

namespace sync_job {

std::optional<Backoff> parse_backoff(std::string_view text) {
    std::string wanted = lower(text);
    if (wanted == "linear") return Backoff::linear;
    if (wanted == "constant") return Backoff::constant;
    if (wanted == "exponential") return Backoff::exponential;
    return std::nullopt;
}

std::string_view backoff_list() { return "linear, constant, exponential"; }

std::int64_t retry_wait(std::int64_t delay, Backoff backoff, int retry_count, double random) {
    constexpr double longest = 100.0 * 365.25 * 86400e6;
    if (delay <= 0) return 0;
    double wait = static_cast<double>(delay);
    switch (backoff) {
        case Backoff::linear:
            wait *= retry_count + 1.0;
            break;
        case Backoff::constant:
            break;
        case Backoff::exponential:
            wait *= std::pow(2.0, retry_count) * (0.75 + 0.5 * random);
            break;
    }
    return static_cast<std::int64_t>(std::clamp(wait, 0.0, longest));
}

std::int64_t growing_pause(std::int64_t first, std::int64_t longest, int failures) {
    constexpr int most_doublings = 20;
    return std::min(first << std::clamp(failures - 1, 0, most_doublings), longest);
}

}  // namespace sync_job
