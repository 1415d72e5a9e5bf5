// libFuzzer over src/core: whatever text and numbers come in, nothing crashes, and what the headers promise holds.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "core/retry.hpp"
#include "core/state.hpp"
#include "core/text.hpp"

using namespace sync_job;

namespace {

void check(bool holds) {
    if (!holds) std::abort();
}

std::size_t characters(std::string_view utf8) {
    return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Takes the next number off the input, 0 where it has ended.
template <typename T>
T take(std::string_view& input) {
    T value{};
    std::size_t size = std::min(sizeof(T), input.size());
    std::memcpy(&value, input.data(), size);
    input.remove_prefix(size);
    return value;
}

void check_text(std::string_view text, std::size_t limit) {
    std::string name = scrubbed(text);
    check(name.size() <= text.size());
    check(name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ -\t\r\n") == std::string::npos);
    check(scrubbed(name) == name);

    std::string_view half = text.substr(0, text.size() / 2);
    check(make_title(text, half, text, half, text).starts_with(half.empty() ? text : half));
}

void check_names(std::string_view text) {
    if (auto status = parse_status(text)) check(lower(to_text(*status)) == lower(text));
    if (auto operation = parse_operation(text)) check(lower(to_text(*operation)) == lower(text));
    if (auto trigger_type = parse_trigger_type(text)) check(lower(*trigger_type) == lower(text));
    parse_backoff(text);
}

void check_wait(std::int64_t delay, int retry_count, double random) {
    constexpr std::int64_t longest = 36525LL * 86400 * 1000000;
    for (Backoff backoff : {Backoff::linear, Backoff::constant, Backoff::exponential}) {
        std::int64_t wait = retry_wait(delay, backoff, retry_count, random);
        check(wait >= 0 && wait <= longest);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    auto delay = take<std::int64_t>(input);
    int retry_count = take<int>(input) & 0x7FFFFFFF;
    double random = take<std::uint8_t>(input) / 256.0;
    std::size_t limit = take<std::uint8_t>(input);
    check_wait(delay, retry_count, random);
    check_text(input, limit);
    check_names(input);
    return 0;
}
