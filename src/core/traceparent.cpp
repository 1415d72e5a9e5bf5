#include "core/traceparent.hpp"

#include <algorithm>

namespace sync_job {

namespace {

bool is_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

}  // namespace

bool is_traceparent(std::string_view text) {
    constexpr std::size_t length = 55, longest = 255;
    if (text.size() < length || text.size() > longest || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
    std::string_view version = text.substr(0, 2), trace = text.substr(3, 32), parent = text.substr(36, 16), flags = text.substr(53, 2);
    if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags)) return false;
    if (version == "ff" || is_zero(trace) || is_zero(parent)) return false;
    if (text.size() == length) return true;
    std::string_view rest = text.substr(length);
    return version != "00" && rest[0] == '-' && std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 127; });
}

}  // namespace sync_job
