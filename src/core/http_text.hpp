// Texts of HTTP: where an endpoint is, and what is allowed in a path, a query and a header. Plain C++.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sync_job {

struct EndpointUrl {
    std::string scheme, host;  // in lower case; an IPv6 address in []
    int port = 0;              // 0: that of the scheme
    bool operator==(const EndpointUrl&) const = default;
};

// "https://shop.example.com:8443", with nothing after the port except one slash.
std::optional<EndpointUrl> parse_endpoint_url(std::string_view url);

// All but letters, digits and -._~ as %XX: the text is one segment of a path, or one part of a query.
std::string percent_encoded(std::string_view text);
// Whether the text can be in a path as it is: no control characters, blanks, "?", "#", or anything that would have to be encoded.
bool is_path_text(std::string_view text);

bool is_header_name(std::string_view name);
// The header says where a message goes, or where it ends: only the transport writes these.
bool is_reserved_header(std::string_view name);
// No control characters, and no blank at the ends.
bool is_header_value(std::string_view value);

}  // namespace sync_job
