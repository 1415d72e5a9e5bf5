#include "core/http_text.hpp"

#include <algorithm>
#include <charconv>

#include "core/text.hpp"

namespace sync_job {

namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_one_of(char c, std::string_view characters) { return characters.find(c) != std::string_view::npos; }

bool is_host(std::string_view host) {
    if (host.starts_with('[')) {
        std::string_view inner = host.substr(1, host.size() - 2);
        return host.ends_with(']') && !inner.empty() &&
               std::all_of(inner.begin(), inner.end(), [](char c) { return is_one_of(c, "0123456789abcdef:."); });
    }
    return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) { return is_letter_or_digit(c) || is_one_of(c, "-._"); });
}

}  // namespace

std::optional<EndpointUrl> parse_endpoint_url(std::string_view given) {
    std::string url = lower(given);
    EndpointUrl parsed;
    std::size_t after_scheme = url.find("://");
    if (after_scheme == std::string::npos) return std::nullopt;
    parsed.scheme = url.substr(0, after_scheme);
    if (parsed.scheme != "http" && parsed.scheme != "https") return std::nullopt;
    std::string rest = url.substr(after_scheme + 3);
    if (rest.ends_with('/')) rest.pop_back();
    std::size_t colon = rest.rfind(':');
    std::size_t bracket = rest.rfind(']');
    bool has_port = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
    parsed.host = rest.substr(0, has_port ? colon : std::string::npos);
    if (has_port) {
        const char* end = rest.data() + rest.size();
        auto [read_to, error] = std::from_chars(rest.data() + colon + 1, end, parsed.port);
        if (error != std::errc() || read_to != end || parsed.port < 1 || parsed.port > 65535) return std::nullopt;
    }
    if (!is_host(parsed.host)) return std::nullopt;
    return parsed;
}

std::string percent_encoded(std::string_view text) {
    constexpr const char* digits = "0123456789ABCDEF";
    std::string encoded;
    for (char c : text) {
        if (is_letter_or_digit(c) || is_one_of(c, "-._~")) {
            encoded += c;
        } else {
            auto byte = static_cast<unsigned char>(c);
            encoded += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return encoded;
}

bool is_path_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return is_letter_or_digit(c) || is_one_of(c, "-._~!$&'()*+,;=:@/%"); });
}

bool is_header_name(std::string_view name) {
    return !name.empty() &&
           std::all_of(name.begin(), name.end(), [](char c) { return is_letter_or_digit(c) || is_one_of(c, "!#$%&'*+-.^_`|~"); });
}

bool is_reserved_header(std::string_view name) {
    std::string lowered = lower(name);
    for (const char* reserved : {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
                                 "keep-alive", "proxy-authorization", "proxy-connection", "accept-encoding"}) {
        if (lowered == reserved) return true;
    }
    return false;
}

bool is_header_value(std::string_view value) {
    auto blank = [](char c) { return c == ' ' || c == '\t'; };
    if (!value.empty() && (blank(value.front()) || blank(value.back()))) return false;
    return std::all_of(value.begin(), value.end(), [](char c) { return (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') || c == '\t'; });
}

}  // namespace sync_job
