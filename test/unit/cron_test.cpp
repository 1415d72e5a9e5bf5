#include "core/cron.hpp"

#include <gtest/gtest.h>

namespace sync_job {
namespace {

constexpr std::int64_t day = 86400;
// 2026-11-22 03:17:20 UTC, a Sunday.
constexpr std::int64_t sunday = 1795317440;
constexpr std::int64_t midnight = sunday - (3 * 3600 + 17 * 60 + 20);

std::int64_t next(const char* expression, std::int64_t after = sunday) {
    std::string problem;
    auto cron = parse_cron(expression, &problem);
    EXPECT_TRUE(cron) << expression << ": " << problem;
    if (!cron) return 0;
    return next_cron_time(*cron, after).value_or(-1);
}

std::string problem_of(const char* expression) {
    std::string problem;
    EXPECT_FALSE(parse_cron(expression, &problem)) << expression;
    return problem;
}

TEST(Cron, NextMinute) {
    EXPECT_EQ(next("* * * * *"), sunday + 40);
    EXPECT_EQ(next("* * * * *", midnight), midnight + 60) << "not the minute it is";
}

TEST(Cron, ListsRangesAndSteps) {
    EXPECT_EQ(next("*/5 * * * *"), midnight + 3 * 3600 + 20 * 60);
    EXPECT_EQ(next("10,18 * * * *"), midnight + 3 * 3600 + 18 * 60);
    EXPECT_EQ(next("0 4-6 * * *"), midnight + 4 * 3600);
    EXPECT_EQ(next("30 1-23/2 * * *"), midnight + 3 * 3600 + 30 * 60);
    EXPECT_EQ(next("50/5 * * * *"), midnight + 3 * 3600 + 50 * 60) << "a start with a step runs to the end";
}

TEST(Cron, DaysAndMonths) {
    EXPECT_EQ(next("0 0 * * *"), midnight + day);
    EXPECT_EQ(next("0 0 * * 0"), midnight + 7 * day);
    EXPECT_EQ(next("0 0 * * 7"), midnight + 7 * day) << "7 is Sunday too";
    EXPECT_EQ(next("0 0 * * Mon"), midnight + day);
    EXPECT_EQ(next("0 0 1 * *"), midnight + 9 * day);
    EXPECT_EQ(next("0 0 1 jan *"), midnight + 40 * day);
    EXPECT_EQ(next("0 0 24 * 1"), midnight + day) << "either day fits when both are restricted";
    EXPECT_EQ(next("0 0 */2 * 1"), midnight + day) << "a field that begins with * restricts as an and";
}

TEST(Cron, LeapDayAndNever) {
    EXPECT_EQ(next("0 0 29 2 *"), 1835395200);  // 2028-02-29
    std::string problem;
    EXPECT_FALSE(next_cron_time(*parse_cron("0 0 30 2 *", &problem), sunday));
}

TEST(Cron, Invalid) {
    EXPECT_NE(problem_of("* * * *").find("not 4"), std::string::npos);
    EXPECT_NE(problem_of("").find("not 0"), std::string::npos);
    EXPECT_NE(problem_of("60 * * * *").find("minute"), std::string::npos);
    EXPECT_NE(problem_of("* 24 * * *").find("hour"), std::string::npos);
    EXPECT_NE(problem_of("* * 0 * *").find("day of month"), std::string::npos);
    EXPECT_NE(problem_of("* * * 13 *").find("month"), std::string::npos);
    EXPECT_NE(problem_of("* * * * 8").find("day of week"), std::string::npos);
    for (const char* expression : {"*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "a * * * *", "-1 * * * *", "* * * foo *", "1- * * * *", "/5 * * * *"}) {
        EXPECT_FALSE(problem_of(expression).empty());
    }
}

TEST(Cron, Words) {
    bool is_long = true;
    EXPECT_EQ(cron_for_word("hourly", &is_long), "0 * * * *");
    EXPECT_FALSE(is_long);
    EXPECT_EQ(cron_for_word("Daily_Long", &is_long), "0 0 * * *");
    EXPECT_TRUE(is_long);
    EXPECT_EQ(cron_for_word("all", &is_long), "* * * * *");
    EXPECT_EQ(cron_for_word("weekly", &is_long), "0 0 * * 0");
    EXPECT_EQ(cron_for_word("monthly_long", &is_long), "0 0 1 * *");
    EXPECT_EQ(cron_for_word("5 4 * * *", &is_long), "5 4 * * *");
    EXPECT_FALSE(is_long);
    EXPECT_EQ(cron_for_word("_long", &is_long), "_long");
}

}  // namespace
}  // namespace sync_job
