#include "core/secret_text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace sync_job {

namespace {

constexpr std::size_t shortest = 6;
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_digit(char c) {
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string hex(std::string_view bytes) {
    std::string text;
    for (char c : bytes) {
        auto byte = static_cast<unsigned char>(c);
        for (int digit : {byte >> 4, byte & 15}) text += "0123456789abcdef"[digit];
    }
    return text;
}

// The base64 digits that depend on these bytes alone, if `before` other bytes come first.
std::string base64_within(std::string_view bytes, std::size_t before) {
    std::string text, all = std::string(before, '\0').append(bytes);
    std::uint32_t bits = 0;
    int count = 0;
    for (char c : all) {
        bits = bits << 8 | static_cast<unsigned char>(c);
        for (count += 8; count >= 6; count -= 6) text += base64_digits[bits >> (count - 6) & 63];
    }
    return text.substr(std::array{0, 2, 3}[before]);
}

std::string url_safe(std::string text) {
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (char c : text) {
        std::size_t digit = base64_digits.find(c == '-' ? '+' : c == '_' ? '/' : c);
        if (digit == std::string_view::npos) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>(bits >> count & 255);
    }
    return bytes;
}

std::string utf8(std::uint32_t code) {
    auto more = [&](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3f)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xc0 | code >> 6), more(0)};
    if (code < 0x10000) return {static_cast<char>(0xe0 | code >> 12), more(6), more(0)};
    return {static_cast<char>(0xf0 | (code >> 18 & 7)), more(12), more(6), more(0)};
}

std::optional<std::uint32_t> hex_number(std::string_view text, std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return std::nullopt;
    std::uint32_t number = 0;
    for (char c : text.substr(at, digits)) {
        if (hex_digit(c) < 0) return std::nullopt;
        number = number << 4 | static_cast<std::uint32_t>(hex_digit(c));
    }
    return number;
}

// One encoded character in a text: the bytes that it stands for, and the length of its encoding.
struct Unit {
    std::string means;
    std::size_t length = 0;  // 0: nothing encoded
};

Unit percent_unit(std::string_view text, std::size_t at) {
    std::size_t digits = text.substr(at).starts_with("%25") && hex_number(text, at + 3, 2) ? at + 3 : at + 1;  // encoded twice
    auto byte = hex_number(text, digits, 2);
    return byte ? Unit{{static_cast<char>(*byte)}, digits + 2 - at} : Unit{};
}

Unit json_unit(std::string_view text, std::size_t at) {
    constexpr std::string_view letters = "\"\\/'bfnrt", bytes = "\"\\/'\b\f\n\r\t";
    if (at + 1 >= text.size()) return {};
    std::size_t known = letters.find(text[at + 1]);
    if (known != std::string_view::npos) return {{bytes[known]}, 2};
    auto code = text[at + 1] == 'u' ? hex_number(text, at + 2, 4) : std::nullopt;
    if (!code) return {};
    bool pair = *code >= 0xd800 && *code <= 0xdbff && text.substr(at + 6).starts_with("\\u");
    auto second = pair ? hex_number(text, at + 8, 4) : std::nullopt;
    if (second) return {utf8(0x10000 + ((*code & 0x3ff) << 10) + (*second & 0x3ff)), 12};
    return {utf8(*code), 6};
}

Unit html_unit(std::string_view text, std::size_t at) {
    constexpr std::array<std::pair<std::string_view, char>, 5> names = {{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
    text = text.substr(at);
    for (const auto& [name, means] : names) {
        if (text.starts_with(name)) return {{means}, name.size()};
    }
    std::size_t end = text.substr(0, 10).find(';');
    if (!text.starts_with("&#") || end == std::string_view::npos) return {};
    bool is_hex = text.size() > 2 && lower(text[2]) == 'x';
    if (is_hex) {
        auto code = hex_number(text, 3, end - 3);
        return code ? Unit{utf8(*code), end + 1} : Unit{};
    }
    std::uint32_t code = 0;
    for (char c : text.substr(2, end - 2)) {
        if (c < '0' || c > '9') return {};
        code = code * 10 + static_cast<std::uint32_t>(c - '0');
    }
    return {utf8(code), end + 1};
}

Unit encoded_unit(std::string_view text, std::size_t at) {
    switch (text[at]) {
        case '%': return percent_unit(text, at);
        case '\\': return json_unit(text, at);
        case '&': return html_unit(text, at);
        case '+': return {" ", 1};
        default: return {};
    }
}

bool begins_with(std::string_view wanted, std::string_view part) {
    return part.size() <= wanted.size() &&
           std::equal(part.begin(), part.end(), wanted.begin(), [](char one, char other) { return lower(one) == lower(other); });
}

// Where the bytes end, if they begin here; nothing: they do not, or there are no steps left.
std::optional<std::size_t> end_of(std::string_view text, std::size_t begin, std::string_view bytes, bool cut, std::size_t& steps) {
    struct Place {
        std::size_t at;
        std::string_view wanted;
    };
    std::vector<Place> places = {{begin, bytes}};  // a stack: the last is tried next; those below are other ways to read the same text
    while (!places.empty() && steps > 0) {
        steps--;
        auto [at, wanted] = places.back();
        places.pop_back();
        if (wanted.empty()) return at;
        if (at >= text.size()) {
            if (cut && bytes.size() - wanted.size() >= shortest) return text.size();
            continue;
        }
        if (begins_with(wanted, text.substr(at, 1))) places.push_back({at + 1, wanted.substr(1)});
        Unit unit = encoded_unit(text, at);
        if (unit.length > 0 && begins_with(wanted, unit.means)) places.push_back({at + unit.length, wanted.substr(unit.means.size())});
    }
    return std::nullopt;
}

}  // namespace

SecretFilter::SecretFilter(const std::map<std::string, std::string>& secrets) {
    for (const auto& [name, secret] : secrets) {
        add(name, secret);
        auto decoded = from_base64(secret);
        if (decoded) add(name, *decoded);
    }
    // The longest first: a form within another one is replaced together with that.
    std::stable_sort(forms_.begin(), forms_.end(), [](const Form& one, const Form& other) { return one.bytes.size() > other.bytes.size(); });
}

void SecretFilter::add(const std::string& name, std::string_view secret) {
    if (secret.size() < shortest) return;
    add_form(name, std::string(secret));
    add_form(name, hex(secret));
    std::string as_latin;  // many servers take the bytes of a header for Latin-1
    for (char c : secret) as_latin += utf8(static_cast<unsigned char>(c));
    add_form(name, as_latin);
    for (std::size_t before : {0, 1, 2}) {
        add_form(name, base64_within(secret, before));
        add_form(name, url_safe(base64_within(secret, before)));
    }
    std::size_t colon = secret.find(':');
    if (colon != std::string_view::npos) add(name, secret.substr(colon + 1));
}

void SecretFilter::add_form(const std::string& name, std::string bytes) {
    bool known = std::any_of(forms_.begin(), forms_.end(), [&](const Form& form) { return form.bytes == bytes; });
    if (!known) forms_.push_back({name, std::move(bytes)});
}

void SecretFilter::hide(std::string& text, bool cut) const {
    for (const Form& form : forms_) {
        char first = lower(form.bytes[0]);
        const std::string starts = {first, static_cast<char>(first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first), '%', '\\', '&', '+'};
        const std::string instead = "(secret " + form.name + ")";
        std::size_t steps = 20 * text.size() + 10'000;  // if text and secret are repetitive, each place could take as many steps as there are bytes
        for (std::size_t at = text.find_first_of(starts); at != std::string::npos; at = text.find_first_of(starts, at)) {
            auto end = end_of(text, at, form.bytes, cut, steps);
            if (steps == 0) {
                text = "(withheld: it takes too long to look for secrets in it)";
                return;
            }
            if (!end) {
                at++;
                continue;
            }
            text.replace(at, *end - at, instead);
            at += instead.size();
        }
    }
}

}  // namespace sync_job
