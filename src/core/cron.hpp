// Cron expressions: parsing them, and the next time they match. Five fields as in crontab(5) and pg_cron: minute, hour,
// day of month, month, day of week (0 and 7 are Sunday); lists, ranges, steps, and three-letter names of months and
// days. Times are UTC.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sync_job {

struct Cron {
    std::bitset<60> minutes;
    std::bitset<24> hours;
    std::bitset<32> days;      // 1 to 31
    std::bitset<13> months;    // 1 to 12
    std::bitset<7> weekdays;   // Sunday is 0
    bool any_day = false;      // day of month begins with *
    bool any_weekday = false;  // day of week begins with *
};

// Nothing when the text is not a cron expression; `problem` then says why.
std::optional<Cron> parse_cron(std::string_view text, std::string* problem);

// The first full minute after `seconds` (since 1970, UTC) that matches, in the same unit; nothing if none does within
// eight years (30 February).
std::optional<std::int64_t> next_cron_time(const Cron& cron, std::int64_t seconds);

// The expression for one of the words all, hourly, daily, weekly, monthly, which may have the suffix _long (`is_long`
// is then set); an expression is returned unchanged.
std::string cron_for_word(std::string_view word_or_expression, bool* is_long);

}  // namespace sync_job
