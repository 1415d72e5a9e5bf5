#include "core/traceparent.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sync_job {
namespace {

const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::string with(std::size_t place, char c) {
    std::string text = good;
    text[place] = c;
    return text;
}

TEST(Traceparent, Grammar) {
    EXPECT_TRUE(is_traceparent(good));
    EXPECT_FALSE(is_traceparent(""));
    EXPECT_FALSE(is_traceparent(good.substr(1)));
    EXPECT_FALSE(is_traceparent(good + " "));
    for (std::size_t place : {2, 35, 52}) EXPECT_FALSE(is_traceparent(with(place, '_'))) << place;
    for (std::size_t place : {0, 1, 3, 34, 36, 51, 53, 54}) {
        for (char c : {'G', 'F', '-', '\n', '\0', '\'', 'g'}) EXPECT_FALSE(is_traceparent(with(place, c))) << place << c;
    }
}

TEST(Traceparent, NoIds) {
    EXPECT_FALSE(is_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
}

TEST(Traceparent, Versions) {
    EXPECT_FALSE(is_traceparent("ff" + good.substr(2)));
    EXPECT_FALSE(is_traceparent(good + "-more"));
    std::string later = "01" + good.substr(2);
    EXPECT_TRUE(is_traceparent(later));
    EXPECT_TRUE(is_traceparent(later + "-more"));
    EXPECT_FALSE(is_traceparent(later + "more"));
    EXPECT_FALSE(is_traceparent(later + "-mo re"));
    EXPECT_FALSE(is_traceparent(later + "-" + std::string(300, 'a')));
}

}  // namespace
}  // namespace sync_job
