#include "request.hpp"

#include <strings.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "failure.hpp"

namespace sync_job::http {

namespace {

// Headers that say where a message goes or ends, or that promise what only the client itself can do.
constexpr const char* refused_headers[] = {"Host",    "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive",       "Proxy-Connection",
                                           "Expect",  "TE",             "Trailer",           "Upgrade",    "HTTP2-Settings",   "Proxy-Authorization",
                                           "Accept-Encoding"};
constexpr const char* methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

void check_range(const char* what, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return;
    throw Invalid(std::string(what) + " must be between " + std::to_string(least) + " and " + std::to_string(most) + ", not " + std::to_string(value));
}

bool is_control(char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }

// RFC 9110, 5.6.2
bool is_token(const std::string& text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != nullptr);
    };
    return !text.empty() && std::ranges::all_of(text, allowed);
}

std::string checked_file(const char* what, const SyncJobHttpText& given) {
    std::string file = text_of(given);
    if (!file.empty() && (!file.starts_with('/') || std::ranges::any_of(file, is_control))) throw Invalid(std::string(what) + " must be an absolute path");
    return file;
}

Header checked_header(const SyncJobHttpHeader& given) {
    Header header{text_of(given.name), text_of(given.value), given.secret != 0};
    if (!is_token(header.name)) throw Invalid("\"" + header.name.substr(0, header.name.find_first_of("\r\n")) + "\" is no name of a header");
    if (std::ranges::any_of(refused_headers, [&](const char* name) { return same_name(header.name, name); })) {
        throw Invalid("header \"" + header.name + "\" is the client's own");
    }
    if (std::ranges::any_of(header.value, is_control)) throw Invalid("value of header \"" + header.name + "\" has a line break or another control character");
    return header;
}

}  // namespace

bool same_name(const std::string& left, const std::string& right) { return strcasecmp(left.c_str(), right.c_str()) == 0; }

Settings::Settings(const SyncJobHttpSettings& given)
    : user_agent(text_of(given.user_agent)), dns_servers(text_of(given.dns_servers)), max_in_flight(given.max_in_flight) {
    check_range("max_in_flight", max_in_flight, 1, 1000);
    if (std::ranges::any_of(user_agent, is_control)) throw Invalid("user agent has a control character");
}

EndpointSettings::EndpointSettings(const SyncJobHttpEndpoint& given)
    : name(text_of(given.name)),
      origin(Origin::checked(text_of(given.scheme), text_of(given.host), given.port)),
      max_in_flight(given.max_in_flight),
      requests_per_second(given.requests_per_second),
      connect_timeout_ms(given.connect_timeout_ms),
      max_redirects(given.max_redirects),
      max_pause_ms(given.max_pause_ms),
      ca_file(checked_file("ca_file", given.ca_file)),
      certificate_file(checked_file("certificate_file", given.certificate_file)),
      key_file(checked_file("key_file", given.key_file)) {
    check_range("max_in_flight", max_in_flight, 1, 1000);
    check_range("connect_timeout_ms", connect_timeout_ms, 1, INT32_MAX);
    check_range("max_redirects", max_redirects, 0, 20);
    check_range("max_pause_ms", max_pause_ms, 0, INT32_MAX);
    if (!std::isfinite(requests_per_second) || requests_per_second < 0 || (requests_per_second > 0 && requests_per_second < 1e-4)) {
        throw Invalid("requests_per_second must be 0 or between 0.0001 and 1e308");
    }
    if (!key_file.empty() && certificate_file.empty()) throw Invalid("key_file needs certificate_file");
    for (size_t i = 0; i < given.network_count; i++) {
        const auto network = Network::parse(text_of(given.networks[i]));
        if (!network) throw Invalid("\"" + text_of(given.networks[i]) + "\" is no network, such as 10.0.0.0/8 or fd00::/8");
        networks.push_back(*network);
    }
    if (const auto address = Address::parse(origin.host)) {
        if (const auto why = why_refused(*address, networks)) throw Invalid("address " + *why, SYNC_JOB_HTTP_ADDRESS_REFUSED);
    }
}

Request::Request(const SyncJobHttpRequest& given)
    : id(given.id),
      endpoint(text_of(given.endpoint)),
      method(text_of(given.method)),
      target(text_of(given.target)),
      body(text_of(given.body)),
      timeout_ms(given.timeout_ms),
      max_answer_bytes(given.max_answer_bytes) {
    if (std::ranges::find(methods, method) == std::end(methods)) {
        throw Invalid("method must be GET, HEAD, POST, PUT, PATCH or DELETE");
    }
    if (method == "HEAD" && !body.empty()) throw Invalid("HEAD has no body");
    check_target(target);
    for (size_t i = 0; i < given.header_count; i++) headers.push_back(checked_header(given.headers[i]));
    check_range("timeout_ms", timeout_ms, 1, INT32_MAX);
    check_range("max_answer_bytes", max_answer_bytes, 0, INT64_MAX);
}

bool Request::has_header(const std::string& name) const {
    return std::ranges::any_of(headers, [&](const Header& header) { return same_name(header.name, name); });
}

}  // namespace sync_job::http
