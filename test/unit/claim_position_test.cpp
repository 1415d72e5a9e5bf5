// Positions of claims in one word: what a commit lowers, and a worker takes, must never lie behind what it stands for.
#include "core/claim_position.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace sync_job {
namespace {

constexpr int least_priority = std::numeric_limits<int>::min(), most_priority = std::numeric_limits<int>::max();
constexpr std::int64_t most_id = std::numeric_limits<std::int64_t>::max();

std::vector<ClaimPosition> positions() {
    std::vector<ClaimPosition> all;
    for (int priority : {least_priority, -32769, -32768, -1, 0, 1, 100, 32767, 32768, most_priority}) {
        for (std::int64_t id : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 32,
                                (std::int64_t{1} << 48) - 2, (std::int64_t{1} << 48) - 1, most_id}) {
            all.push_back({priority, id});
        }
    }
    return all;
}

TEST(ClaimPosition, PriorityComesBeforeId) {
    EXPECT_LT((ClaimPosition{-1, 9}), (ClaimPosition{0, 1}));
    EXPECT_LT((ClaimPosition{0, 1}), (ClaimPosition{0, 2}));
    EXPECT_LT(ClaimPosition{}, (ClaimPosition{least_priority, 0}));
}

TEST(ClaimPosition, UsualOnesComeBackAsTheyWere) {
    for (ClaimPosition position : {ClaimPosition{0, 1}, ClaimPosition{-32768, 7}, ClaimPosition{32767, 7},
                                   ClaimPosition{-5, (std::int64_t{1} << 48) - 2}, ClaimPosition{5, 0}}) {
        EXPECT_EQ(unpacked(packed(position)), position);
    }
}

TEST(ClaimPosition, NoneLiesBehindWhatItStandsFor) {
    for (ClaimPosition position : positions()) {
        EXPECT_LE(unpacked(packed(position)), position) << position.priority << " " << position.id;
        EXPECT_LT(packed(position), no_position) << position.priority << " " << position.id;
    }
}

TEST(ClaimPosition, TheStartIsTheLeastWord) {
    EXPECT_EQ(packed({}), 0u);
    EXPECT_EQ(unpacked(0), ClaimPosition{});
}

}  // namespace
}  // namespace sync_job
