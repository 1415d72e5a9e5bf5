#include "core/cron.hpp"

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "core/text.hpp"

namespace sync_job {

namespace {

struct Field {
    const char* name;
    int least, most;
    const char* names;  // three letters each, numbered from `first_name`
    int first_name;
};

constexpr std::array<Field, 5> fields = {{{"minute", 0, 59, "", 0},
                                          {"hour", 0, 23, "", 0},
                                          {"day of month", 1, 31, "", 0},
                                          {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
                                          {"day of week", 0, 7, "sunmontuewedthufrisat", 0}}};

std::vector<std::string> split(std::string_view text, const char* separators) {
    std::vector<std::string> parts;
    std::string part;
    bool blank = separators[0] == ' ';
    for (char c : text) {
        if (std::string_view(separators).find(c) == std::string_view::npos) {
            part += c;
        } else if (!blank || !part.empty()) {
            parts.push_back(std::exchange(part, {}));
        }
    }
    if (!blank || !part.empty()) parts.push_back(part);
    return parts;
}

std::optional<int> parse_number(const std::string& text, const Field& field) {
    std::string_view names = field.names;
    if (text.size() == 3 && !names.empty()) {
        for (std::size_t at = 0; at < names.size(); at += 3) {
            if (names.substr(at, 3) == lower(text)) return field.first_name + static_cast<int>(at / 3);
        }
    }
    if (text.empty() || text.size() > 2) return std::nullopt;
    int number = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + (c - '0');
    }
    return number;
}

struct Range {
    int from, to, step;
};

// "*", "5", "1-5", each with "/step".
std::optional<Range> parse_range(const std::string& text, const Field& field) {
    std::size_t slash = text.find('/');
    std::string span = text.substr(0, slash);
    Range range{field.least, field.most, 1};
    if (slash != std::string::npos) {
        auto step = parse_number(text.substr(slash + 1), Field{"", 0, 99, "", 0});
        if (!step || *step == 0) return std::nullopt;
        range.step = *step;
    }
    if (span == "*") return range;
    std::size_t dash = span.find('-');
    auto from = parse_number(span.substr(0, dash), field);
    if (!from) return std::nullopt;
    range.from = *from;
    if (dash != std::string::npos) {
        auto to = parse_number(span.substr(dash + 1), field);
        if (!to) return std::nullopt;
        range.to = *to;
    } else if (slash == std::string::npos) {
        range.to = *from;
    }
    bool fits = range.from >= field.least && range.to <= field.most && range.from <= range.to;
    return fits ? std::optional(range) : std::nullopt;
}

template <class Set>
bool parse_field(const std::string& text, const Field& field, Set&& set, std::string* problem) {
    for (const std::string& item : split(text, ",")) {
        auto range = parse_range(item, field);
        if (!range) {
            *problem = "invalid " + std::string(field.name) + " \"" + text + "\": expected " +
                       std::to_string(field.least) + " to " + std::to_string(field.most) +
                       ", *, or a list, range or step of these";
            return false;
        }
        for (int value = range->from; value <= range->to; value += range->step) set(value);
    }
    return true;
}

}  // namespace

std::optional<Cron> parse_cron(std::string_view text, std::string* problem) {
    std::vector<std::string> parts = split(text, " \t\n");
    if (parts.size() != fields.size()) {
        *problem =
            "expected 5 fields (minute, hour, day of month, month, day of week), not " + std::to_string(parts.size());
        return std::nullopt;
    }
    Cron cron;
    bool fits = parse_field(
                    parts[0], fields[0], [&](int i) { cron.minutes.set(i); }, problem) &&
                parse_field(
                    parts[1], fields[1], [&](int i) { cron.hours.set(i); }, problem) &&
                parse_field(
                    parts[2], fields[2], [&](int i) { cron.days.set(i); }, problem) &&
                parse_field(
                    parts[3], fields[3], [&](int i) { cron.months.set(i); }, problem) &&
                parse_field(
                    parts[4], fields[4], [&](int i) { cron.weekdays.set(i % 7); }, problem);
    if (!fits) return std::nullopt;
    cron.any_day = parts[2][0] == '*';
    cron.any_weekday = parts[4][0] == '*';
    return cron;
}

// When both day fields are restricted, either may match, as in crontab(5).
static bool fits_day(const Cron& cron, std::chrono::sys_days day) {
    std::chrono::year_month_day date(day);
    if (!cron.months.test(static_cast<unsigned>(date.month()))) return false;
    bool by_day = cron.days.test(static_cast<unsigned>(date.day()));
    bool by_weekday = cron.weekdays.test(std::chrono::weekday(day).c_encoding());
    return cron.any_day || cron.any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<std::int64_t> next_cron_time(const Cron& cron, std::int64_t seconds) {
    using namespace std::chrono;
    sys_seconds after{std::chrono::seconds(seconds)};
    auto first = floor<minutes>(after) + minutes(1);
    for (int i = 0; i < 366 * 8; i++) {
        sys_days day = floor<days>(first) + days(i);
        if (!fits_day(cron, day)) continue;
        int from = i == 0 ? static_cast<int>((first - sys_time<minutes>(day)).count()) : 0;
        for (int minute = from; minute < 24 * 60; minute++) {
            if (cron.hours.test(minute / 60) && cron.minutes.test(minute % 60)) {
                return duration_cast<std::chrono::seconds>(day.time_since_epoch()).count() + minute * 60LL;
            }
        }
    }
    return std::nullopt;
}

std::string cron_for_word(std::string_view text, bool* is_long) {
    std::string word = lower(text);
    constexpr std::string_view suffix = "_long";
    *is_long = word.size() > suffix.size() && word.ends_with(suffix);
    if (*is_long) word.resize(word.size() - suffix.size());
    if (word == "all") return "* * * * *";
    if (word == "hourly") return "0 * * * *";
    if (word == "daily") return "0 0 * * *";
    if (word == "weekly") return "0 0 * * 0";
    if (word == "monthly") return "0 0 1 * *";
    *is_long = false;
    return std::string(text);
}

}  // namespace sync_job
