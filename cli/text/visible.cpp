// Text for a terminal; see the header.
#include "text/visible.hpp"

#include <algorithm>
#include <clocale>
#include <cstdint>
#include <cstdio>
#include <cwchar>
#include <locale.h>

namespace sync_job {

namespace {

constexpr std::uint32_t invalid = 0xFFFFFFFF;

/// Removes the code point at the beginning of `text` and returns it; `invalid` for a byte that begins none.
std::uint32_t take(std::string_view& text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    std::size_t length = 1;
    std::uint32_t point = first, least = 0;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2, point = first & 0x1FU, least = 0x80;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3, point = first & 0x0FU, least = 0x800;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4, point = first & 0x07U, least = 0x10000;
    } else if (first >= 0x80) {
        length = 0;
    }
    bool good = length > 0 && length <= text.size();
    for (std::size_t i = 1; good && i < length; i++) {
        good = (byte(i) & 0xC0U) == 0x80;
        point = point << 6U | (byte(i) & 0x3FU);
    }
    if (!good || point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
        text.remove_prefix(1);
        return invalid;
    }
    text.remove_prefix(length);
    return point;
}

struct Range {
    std::uint32_t from, to;
};

/// Characters that a terminal obeys, or does not show. Joiners within a word or an emoji (U+200C, U+200D) are not among them: some
/// languages need them, and they change nothing around them.
constexpr Range hidden[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},     {0x061C, 0x061C}, {0x115F, 0x1160}, {0x17B4, 0x17B5},
                            {0x180E, 0x180E}, {0x200B, 0x200B}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164},
                            {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};

bool is_hidden(std::uint32_t point) {
    return std::any_of(std::begin(hidden), std::end(hidden), [&](const Range& range) { return point >= range.from && point <= range.to; });
}

std::string escape(std::uint32_t point) {
    char escaped[16];
    switch (point) {
        case '\n': return "\\n";
        case '\t': return "\\t";
        case '\r': return "\\r";
        default: std::snprintf(escaped, sizeof escaped, point < 0x80 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x", point);
    }
    return escaped;
}

std::string escape_byte(char byte) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(byte));
    return escaped;
}

/// The columns of one code point, by the C library's table for UTF-8, whatever locale the user has.
int columns_of(std::uint32_t point) {
    if (point < 0x80) {
        return 1;
    }
    static const bool utf8 = std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr || std::setlocale(LC_CTYPE, "en_US.UTF-8") != nullptr;
    return utf8 ? std::max(0, wcwidth(static_cast<wchar_t>(point))) : 1;
}

}  // namespace

std::string visible(std::string_view text) {
    std::string shown;
    shown.reserve(text.size());
    while (!text.empty()) {
        const std::string_view before = text;
        const std::uint32_t point = take(text);
        if (point == invalid) {
            shown += escape_byte(before[0]);
        } else if (is_hidden(point)) {
            shown += escape(point);
        } else {
            shown += before.substr(0, before.size() - text.size());
        }
    }
    return shown;
}

std::vector<std::string> visible_lines(std::string_view text) {
    std::vector<std::string> lines;
    while (true) {
        const std::size_t end = text.find('\n');
        std::string line;
        for (const char c : text.substr(0, end)) {
            line += c == '\t' ? std::string(8 - line.size() % 8, ' ') : std::string(1, c);
        }
        lines.push_back(visible(line));
        if (end == std::string_view::npos) {
            break;
        }
        text.remove_prefix(end + 1);
    }
    while (lines.size() > 1 && lines.back().empty()) {
        lines.pop_back();
    }
    return lines;
}

int width(std::string_view text) {
    int columns = 0;
    while (!text.empty()) {
        const std::uint32_t point = take(text);
        columns += point == invalid ? 1 : columns_of(point);
    }
    return columns;
}

std::string cut(std::string_view text, int columns) {
    if (width(text) <= columns) {
        return std::string(text);
    }
    std::string_view rest = text;
    std::size_t end = 0;
    for (int used = 0; !rest.empty();) {
        const std::uint32_t point = take(rest);
        used += point == invalid ? 1 : columns_of(point);
        if (used > columns - 1) {
            break;
        }
        end = text.size() - rest.size();
    }
    return std::string(text.substr(0, end)) + "…";
}

std::string visible_json(std::string_view json) {
    std::string shown;
    shown.reserve(json.size());
    while (!json.empty()) {
        const std::string_view before = json;
        const std::uint32_t point = take(json);
        char escaped[16];
        if (point == invalid) {
            shown += "\\ufffd";
        } else if (point == '\n') {
            shown += ' ';  // between values: inside a string it is escaped already
        } else if (!is_hidden(point)) {
            shown += before.substr(0, before.size() - json.size());
        } else if (point < 0x10000) {
            std::snprintf(escaped, sizeof escaped, "\\u%04x", point);
            shown += escaped;
        } else {
            const std::uint32_t pair = point - 0x10000;
            std::snprintf(escaped, sizeof escaped, "\\u%04x\\u%04x", 0xD800 + (pair >> 10U), 0xDC00 + (pair & 0x3FFU));
            shown += escaped;
        }
    }
    return shown;
}

}  // namespace sync_job
