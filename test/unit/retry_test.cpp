// When a failed job is tried again: the kinds of backoff, and their limits.
#include "core/retry.hpp"

#include <gtest/gtest.h>

#include <climits>
#include <limits>

namespace sync_job {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t minute = 60 * second;
constexpr std::int64_t day = 86'400 * second;
constexpr std::int64_t longest = 36'525 * day;
constexpr double middle = 0.5;  // the random number that varies nothing

TEST(Retry, BackoffIsReadInAnyCase) {
    EXPECT_EQ(parse_backoff("linear"), Backoff::linear);
    EXPECT_EQ(parse_backoff("Constant"), Backoff::constant);
    EXPECT_EQ(parse_backoff("EXPONENTIAL"), Backoff::exponential);
}

TEST(Retry, WhatIsNoBackoffIsNothing) {
    for (std::string_view text : {"", "linear ", "none", "exponentially", "lin"})
        EXPECT_EQ(parse_backoff(text), std::nullopt) << text;
}

TEST(Retry, BackoffListNamesThemAll) { EXPECT_EQ(backoff_list(), "linear, constant, exponential"); }

TEST(Retry, LinearGrowsByTheDelayEachTime) {
    EXPECT_EQ(retry_wait(minute, Backoff::linear, 0, middle), minute);
    EXPECT_EQ(retry_wait(minute, Backoff::linear, 1, middle), 2 * minute);
    EXPECT_EQ(retry_wait(minute, Backoff::linear, 9, middle), 10 * minute);
}

TEST(Retry, ConstantStays) {
    for (int count : {0, 1, 100, INT_MAX}) EXPECT_EQ(retry_wait(minute, Backoff::constant, count, middle), minute);
}

TEST(Retry, ExponentialDoubles) {
    EXPECT_EQ(retry_wait(minute, Backoff::exponential, 0, middle), minute);
    EXPECT_EQ(retry_wait(minute, Backoff::exponential, 1, middle), 2 * minute);
    EXPECT_EQ(retry_wait(minute, Backoff::exponential, 10, middle), 1024 * minute);
}

TEST(Retry, ExponentialVariesByAQuarter) {
    EXPECT_EQ(retry_wait(minute, Backoff::exponential, 0, 0.0), 45 * second);
    EXPECT_EQ(retry_wait(minute, Backoff::exponential, 2, 0.0), 3 * minute);
    constexpr double below_one = 1.0 - std::numeric_limits<double>::epsilon();
    EXPECT_LE(retry_wait(minute, Backoff::exponential, 0, below_one), 75 * second);
    EXPECT_GE(retry_wait(minute, Backoff::exponential, 0, below_one), 75 * second - 1);
}

TEST(Retry, OthersDoNotVary) {
    for (double random : {0.0, 0.3, 0.999}) {
        EXPECT_EQ(retry_wait(minute, Backoff::linear, 3, random), 4 * minute);
        EXPECT_EQ(retry_wait(minute, Backoff::constant, 3, random), minute);
    }
}

TEST(Retry, IsExactToTheMicrosecond) {
    EXPECT_EQ(retry_wait(1, Backoff::linear, 0, middle), 1);
    EXPECT_EQ(retry_wait(day + 1, Backoff::linear, 2, middle), 3 * (day + 1));
    EXPECT_EQ(retry_wait(day + 1, Backoff::exponential, 3, middle), 8 * (day + 1));
}

TEST(Retry, NoDelayIsNoWait) {
    for (Backoff backoff : {Backoff::linear, Backoff::constant, Backoff::exponential})
        EXPECT_EQ(retry_wait(0, backoff, 7, middle), 0);
}

TEST(Retry, ANegativeDelayIsNoWait) {
    for (Backoff backoff : {Backoff::linear, Backoff::constant, Backoff::exponential})
        EXPECT_EQ(retry_wait(-minute, backoff, 2, middle), 0);
}

TEST(Retry, NeverWaitsLongerThanAHundredYears) {
    EXPECT_EQ(retry_wait(day, Backoff::linear, INT_MAX, middle), longest);
    EXPECT_EQ(retry_wait(second, Backoff::exponential, 63, middle), longest);
    EXPECT_EQ(retry_wait(0, Backoff::exponential, INT_MAX, middle), 0);
    EXPECT_EQ(retry_wait(second, Backoff::exponential, INT_MAX, middle), longest);  // 2^INT_MAX is no number any more
    EXPECT_EQ(retry_wait(std::numeric_limits<std::int64_t>::max(), Backoff::constant, 0, middle), longest);
}

TEST(Retry, APauseGrowsToItsLongest) {
    EXPECT_EQ(growing_pause(second, minute, 1), second);
    EXPECT_EQ(growing_pause(second, minute, 2), 2 * second);
    EXPECT_EQ(growing_pause(second, minute, 6), 32 * second);
    for (int failures : {7, 1000, INT_MAX}) EXPECT_EQ(growing_pause(second, minute, failures), minute);
    EXPECT_EQ(growing_pause(second, minute, 0), second);
}

}  // namespace
}  // namespace sync_job
