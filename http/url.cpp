#include "url.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "address.hpp"
#include "failure.hpp"

namespace sync_job::http {

namespace {

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

// Whether others would read it as an IPv4 address in one of the old forms: the last label is a number.
bool ends_in_number(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    const std::string_view label = name.substr(name.rfind('.') + 1);
    return std::ranges::all_of(label, is_digit) || (label.starts_with("0x") && std::ranges::all_of(label.substr(2), is_hex));
}

bool is_host_name(std::string_view name) {
    const auto allowed = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.'; };
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, allowed) && !name.starts_with('.') && name.find("..") == name.npos &&
           !ends_in_number(name);
}

std::string percent_decoded_dots(std::string_view segment) {
    std::string result = lower(std::string(segment));
    for (size_t at; (at = result.find("%2e")) != result.npos;) result.replace(at, 3, ".");
    return result;
}

}  // namespace

Origin Origin::checked(const std::string& scheme, const std::string& host, int port) {
    Origin result{lower(scheme), lower(host), port};
    if (result.scheme != "http" && result.scheme != "https") throw Invalid("scheme must be http or https, not \"" + scheme + "\"");
    if (port < 0 || port > 65535) throw Invalid("port must be between 1 and 65535, not " + std::to_string(port));
    if (port == 0) result.port = result.scheme == "http" ? 80 : 443;
    if (result.host.starts_with('[') && result.host.ends_with(']')) result.host = result.host.substr(1, result.host.size() - 2);
    if (const auto address = Address::parse(result.host)) {
        result.host = address->text();
    } else if (!is_host_name(result.host)) {
        throw Invalid("\"" + host + "\" is neither a host name in ASCII nor an IP address");
    }
    return result;
}

std::string Origin::text() const {
    return scheme + "://" + (host.find(':') == host.npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

void check_target(const std::string& target) {
    if (!target.starts_with('/')) throw Invalid("path does not begin with a slash");
    if (!std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7f && c != '#'; })) {
        throw Invalid("path or query has a character that is not encoded");
    }
    std::string_view path(target);
    path = path.substr(1, path.find('?') - 1);
    while (true) {
        const size_t end = path.find('/');
        const std::string segment = percent_decoded_dots(path.substr(0, end));
        if (segment == "." || segment == "..") throw Invalid("path has a segment \"" + segment + "\"");
        if (end == path.npos) return;
        path.remove_prefix(end + 1);
    }
}

Url follow(const Url& from, const std::string& location) {
    const std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
    if (!url) throw std::bad_alloc();
    const auto part = [&](CURLUPart which, unsigned flags) {
        char* text = nullptr;
        const CURLUcode code = curl_url_get(url.get(), which, &text, flags);
        const std::unique_ptr<char, void (*)(void*)> freed(text, curl_free);
        if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc();
        return code == CURLUE_OK ? std::string(text) : std::string();
    };
    if (curl_url_set(url.get(), CURLUPART_URL, from.text().c_str(), CURLU_PATH_AS_IS) != CURLUE_OK ||
        curl_url_set(url.get(), CURLUPART_URL, location.c_str(), CURLU_URLENCODE | CURLU_DISALLOW_USER) != CURLUE_OK || !part(CURLUPART_USER, 0).empty() ||
        !part(CURLUPART_ZONEID, 0).empty()) {
        throw Invalid("redirect to what is no URL for it");
    }
    const std::string port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (port == "0") throw Invalid("redirect to port 0");
    Url result{Origin::checked(part(CURLUPART_SCHEME, 0), part(CURLUPART_HOST, 0), port.empty() ? 0 : std::stoi(port)), part(CURLUPART_PATH, 0)};
    if (const std::string query = part(CURLUPART_QUERY, 0); !query.empty()) result.target += "?" + query;
    if (result.origin.scheme == "http" && from.origin.scheme == "https") throw Invalid("redirect from https to http");
    check_target(result.target);
    return result;
}

}  // namespace sync_job::http
