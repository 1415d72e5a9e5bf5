// A position in the claim order, and the same packed into one word, for shared memory that is written without locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace sync_job {

// Sorts in the order of claiming: lower priority number first, then lower id.
struct ClaimPosition {
    int priority = std::numeric_limits<int>::min();
    std::int64_t id = std::numeric_limits<std::int64_t>::min();

    auto operator<=>(const ClaimPosition&) const = default;
};

// 16 bits of priority, 48 of id (ids are not negative). A position that does not fit is rounded down, so
// unpacked(packed(p)) <= p, and the least of several words is not after any of their positions.
using PackedPosition = std::uint64_t;

constexpr PackedPosition no_position = std::numeric_limits<PackedPosition>::max();

constexpr PackedPosition packed(ClaimPosition position) {
    constexpr int least = std::numeric_limits<std::int16_t>::min(), most = std::numeric_limits<std::int16_t>::max();
    constexpr std::int64_t most_id = (std::int64_t{1} << 48) - 2;  // the next one, at the highest priority, is "none"
    if (position.priority < least) return 0;
    if (position.priority > most) position = {most, 0};
    auto id = static_cast<PackedPosition>(std::clamp<std::int64_t>(position.id, 0, most_id));
    return static_cast<PackedPosition>(position.priority - least) << 48 | id;
}

constexpr ClaimPosition unpacked(PackedPosition word) {
    if (word == 0) return {};
    return {static_cast<int>(word >> 48) + std::numeric_limits<std::int16_t>::min(),
            static_cast<std::int64_t>(word & ((PackedPosition{1} << 48) - 1))};
}

}  // namespace sync_job
