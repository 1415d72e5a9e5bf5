// Addresses as text: spaces, case, accents, house numbers and postal codes. Nothing of the database.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace address {

// Without blanks at its ends, and one between two words.
std::string squeezed(std::string_view text);
// For comparing: lower case, without accents and punctuation, of Latin letters; others stay as they are.
std::string folded(std::string_view text);
// A text all in capitals, or all in small letters, with a capital at each word; any other as it is.
std::string capitalized(std::string text);

struct Street {
    std::string name, number;
};
// In some countries the number comes first: 10 Downing Street. Abbreviations of the country are written out.
Street parted(std::string_view street, std::string_view country);

// As the post of the country writes it: sw1a1aa is SW1A 1AA in GB. Nothing where it cannot be one; countries that are not known here
// take any text.
std::optional<std::string> postal_code(std::string_view text, std::string_view country);

}  // namespace address
