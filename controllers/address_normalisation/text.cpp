#include "text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace address {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The next character of a text in UTF-8, whose bytes are valid: the database has seen to that.
std::uint32_t next_character(std::string_view text, std::size_t& at) {
    auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    unsigned first = byte(at++);
    if (first < 0x80) return first;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    std::uint32_t character = first & (0x3fu >> more);
    for (; more > 0; more--) character = character << 6 | (byte(at++) & 0x3fu);
    return character;
}

// Of Latin-1 and Latin Extended-A, U+00C0 to U+017F, in their order: what they are without their accent. A blank: more than one letter.
constexpr const char* without_accent =
    "AAAAAA CEEEEIIIIDNOOOOO*OUUUUY  aaaaaa ceeeeiiiidnooooo/ouuuuy y"
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi  JjKkkLlLlLlLlLlNnNnNnnNnOoOoOo  RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

std::string_view two_letters(std::uint32_t character) {
    switch (character) {
        case 0xc6:
        case 0xe6:
            return "ae";
        case 0xde:
        case 0xfe:
            return "th";
        case 0xdf:
            return "ss";
        case 0x132:
        case 0x133:
            return "ij";
        case 0x152:
        case 0x153:
            return "oe";
        default:
            return {};
    }
}

}  // namespace

std::string squeezed(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (!is_blank(c)) {
            out += c;
        } else if (!out.empty() && out.back() != ' ') {
            out += ' ';
        }
    }
    if (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

std::string folded(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t begin = at;
        std::uint32_t character = next_character(text, at);
        if (character < 0x80) {
            char c = static_cast<char>(character);
            if (is_letter(c) || is_digit(c)) out += lower(c);
        } else if (character >= 0xc0 && character <= 0x17f) {
            char plain = without_accent[character - 0xc0];
            if (plain == ' ') {
                out += two_letters(character);
            } else {
                out += lower(plain);
            }
        } else if (character < 0x300 || character > 0x36f) {  // not an accent that follows its letter
            out += text.substr(begin, at - begin);
        }
    }
    return out;
}

std::string capitalized(std::string text) {
    bool any_small = std::any_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    bool any_capital = std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (any_small && any_capital) return text;
    bool begins = true;
    for (char& c : text) {
        c = begins ? upper(c) : lower(c);
        begins = !is_letter(c) && c != '\'' && static_cast<unsigned char>(c) < 0x80;
    }
    return text;
}

namespace {

struct Abbreviation {
    const char *country, *end, *whole;  // the end of the last word
};
constexpr Abbreviation abbreviations[] = {
    {"DE", "str.", "straße"},    {"AT", "str.", "straße"}, {"CH", "str.", "strasse"}, {"DE", "pl.", "platz"},   {"GB", "St", "Street"},
    {"GB", "Rd", "Road"},        {"GB", "Ave", "Avenue"},  {"US", "St", "Street"},    {"US", "Ave", "Avenue"},  {"US", "Rd", "Road"},
    {"US", "Blvd", "Boulevard"}, {"CA", "St", "Street"},   {"NL", "str.", "straat"},  {"BE", "str.", "straat"}, {"SE", "g.", "gatan"},
};
constexpr const char* number_first[] = {"GB", "IE", "US", "CA", "AU", "NZ", "FR"};

bool ends_with_word(std::string_view text, std::string_view end) {
    if (!text.ends_with(end)) return false;
    return is_letter(end[0]) && end[0] >= 'A' && end[0] <= 'Z' ? text.size() > end.size() && text[text.size() - end.size() - 1] == ' ' : true;
}

std::string written_out(std::string street, std::string_view country) {
    std::string plain = street;
    if (country != "DE" && country != "AT" && country != "CH" && country != "NL" && country != "BE" && country != "SE" && plain.ends_with('.')) plain.pop_back();
    for (const Abbreviation& one : abbreviations) {
        if (country == one.country && ends_with_word(plain, one.end)) return plain.substr(0, plain.size() - std::strlen(one.end)) + one.whole;
    }
    return street;
}

// 12, 12b, 12-14, 12/3
bool is_number(std::string_view word) {
    if (word.empty() || !is_digit(word[0])) return false;
    std::size_t letters = 0;
    for (char c : word) {
        if (is_letter(c)) letters++;
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '/') return false;
    }
    return letters <= 1;
}

}  // namespace

Street parted(std::string_view given, std::string_view country) {
    std::string street = squeezed(given);
    std::replace(street.begin(), street.end(), ',', ' ');
    street = squeezed(street);
    bool first = std::find(std::begin(number_first), std::end(number_first), country) != std::end(number_first);
    std::size_t blank = first ? street.find(' ') : street.rfind(' ');
    if (blank == std::string::npos) return {written_out(capitalized(street), country), ""};
    std::string number = first ? street.substr(0, blank) : street.substr(blank + 1);
    std::string name = first ? street.substr(blank + 1) : street.substr(0, blank);
    if (!is_number(number)) return {written_out(capitalized(street), country), ""};
    std::transform(number.begin(), number.end(), number.begin(), lower);
    return {written_out(capitalized(name), country), number};
}

namespace {

struct Format {
    const char *country, *pattern;  // A: a letter, 9: a digit, all else as it is
};
// The first that has as many letters and digits, at their places.
constexpr Format formats[] = {
    {"AT", "9999"},      {"AU", "9999"},     {"BE", "9999"},   {"BR", "99999-999"}, {"CA", "A9A 9A9"},  {"CH", "9999"},     {"CZ", "999 99"},
    {"DE", "99999"},     {"DK", "9999"},     {"ES", "99999"},  {"FI", "99999"},     {"FR", "99999"},    {"GB", "A9 9AA"},   {"GB", "A99 9AA"},
    {"GB", "AA9 9AA"},   {"GB", "AA99 9AA"}, {"GB", "A9A 9AA"}, {"GB", "AA9A 9AA"}, {"GR", "999 99"},   {"IN", "999999"},   {"IT", "99999"},
    {"JP", "999-9999"},  {"NL", "9999 AA"},  {"NO", "9999"},   {"PL", "99-999"},    {"PT", "9999-999"}, {"SE", "999 99"},   {"SK", "999 99"},
    {"US", "99999-9999"}, {"US", "99999"},
};

bool fill(const char* pattern, const std::string& given, std::string& out) {
    std::size_t used = 0;
    out.clear();
    for (const char* place = pattern; *place != '\0'; place++) {
        bool letter = *place == 'A', digit = *place == '9';
        if (!letter && !digit) {
            out += *place;
            continue;
        }
        if (used == given.size() || (letter ? !is_letter(given[used]) : !is_digit(given[used]))) return false;
        out += given[used++];
    }
    return used == given.size();
}

}  // namespace

std::optional<std::string> postal_code(std::string_view text, std::string_view country) {
    std::string plain, out;
    for (char c : text) {
        if (is_letter(c) || is_digit(c)) plain += upper(c);
    }
    bool known = false;
    for (const Format& format : formats) {
        if (country != format.country) continue;
        known = true;
        if (fill(format.pattern, plain, out)) return out;
    }
    if (known) return std::nullopt;
    return squeezed(text);
}

}  // namespace address
