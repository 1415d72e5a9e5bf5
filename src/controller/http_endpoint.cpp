#include "controller/http_endpoint.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/value.hpp"

namespace sync_job {

namespace {

constexpr const char* wrapper_name = "sync_job_http";
constexpr int longest_timeout = 3600000;
constexpr Oid cidr = 650;  // fixed for ever in pg_type.dat

pg::Error wrong(const std::string& option, const std::string& value, const std::string& expected) {
    bool may_have_password = value.find('@') != std::string::npos;
    return pg::Error("22023", "invalid value for option " + quoted(option) + (may_have_password ? "" : ": " + quoted(pg::clipped(value, 60))))
        .detail("It must be " + expected + ".");
}

template <class Number>
std::string plain(Number number) {
    std::string text = std::to_string(number);
    if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

template <class Number>
Number number_of(const std::string& option, const std::string& value, Number least, Number most, const char* unit) {
    Number number{};
    const char* end = value.data() + value.size();
    auto [read_to, error] = std::from_chars(value.data(), end, number);
    if (error == std::errc() && read_to == end && number >= least && number <= most) return number;
    throw wrong(option, value, "a number of " + std::string(unit) + " from " + plain(least) + " to " + plain(most));
}

std::vector<std::string> list_of(const std::string& text) {
    std::vector<std::string> parts;
    std::string part;
    for (char c : text + ",") {
        if (c == ',') {
            if (!part.empty()) parts.push_back(std::exchange(part, {}));
        } else if (c != ' ') {
            part += c;
        }
    }
    return parts;
}

constexpr const char* known_options =
    "url, in_flight, per_second, timeout, connect_timeout, longest_pause, redirects, max_answer; for superusers networks, ca_file, certificate_file and key_file";

// False: no such option exists.
bool read_option(HttpEndpoint& endpoint, const std::string& name, const std::string& value) {
    if (name == "url") {
        auto url = parse_endpoint_url(value);
        if (!url) throw wrong(name, value, "a scheme, a host and maybe a port, as in https://shop.example.com:8443; a path is part of the sync job type");
        endpoint.url = *url;
    } else if (name == "in_flight") {
        endpoint.in_flight = number_of(name, value, 1, 1000, "requests");
    } else if (name == "per_second") {
        endpoint.per_second = number_of(name, value, 0.001, 1e6, "requests");
    } else if (name == "timeout") {
        endpoint.timeout = number_of(name, value, 1, longest_timeout, "milliseconds");
    } else if (name == "connect_timeout") {
        endpoint.connect_timeout = number_of(name, value, 1, longest_timeout, "milliseconds");
    } else if (name == "longest_pause") {
        endpoint.longest_pause = number_of(name, value, 0, 86400000, "milliseconds");
    } else if (name == "redirects") {
        endpoint.redirects = number_of(name, value, 0, 20, "redirects");
    } else if (name == "max_answer") {
        endpoint.most_answer_bytes = number_of<std::int64_t>(name, value, 0, 64 << 20, "bytes");
    } else if (name == "networks") {
        endpoint.networks = list_of(value);
        for (const std::string& network : endpoint.networks) pg::text_to_value(network, cidr);
    } else if (name == "ca_file") {
        endpoint.ca_file = value;
    } else if (name == "certificate_file") {
        endpoint.certificate_file = value;
    } else if (name == "key_file") {
        endpoint.key_file = value;
    } else {
        return false;
    }
    return true;
}

bool is_for_superusers(const std::string& name) { return name == "networks" || name == "ca_file" || name == "certificate_file" || name == "key_file"; }

}  // namespace

HttpEndpoint find_endpoint(const std::string& name, Oid role) {
    auto server = pg::find_foreign_server(name);
    if (!server) {
        throw pg::Error("42704", "server " + quoted(name) + " does not exist")
            .hint("CREATE SERVER ... FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://...').")
            .column("http.server");
    }
    if (server->wrapper != wrapper_name) {
        throw pg::Error("42809", "server " + quoted(name) + " is not one of the wrapper sync_job_http").column("http.server");
    }
    if (!pg::may_use_server(role, server->oid)) {
        throw pg::Error("42501", "role " + quoted(pg::role_name(role)) + " may not use server " + quoted(name))
            .hint("GRANT USAGE ON FOREIGN SERVER ... to it.")
            .column("http.server");
    }
    HttpEndpoint endpoint;
    endpoint.server = server->oid;
    endpoint.name = server->name;
    for (const auto& [option, value] : server->options) read_option(endpoint, option, value);
    return endpoint;
}

HttpSecrets secrets_of(const HttpEndpoint& endpoint, Oid role) { return pg::user_mapping(role, endpoint.server).value_or(HttpSecrets()); }

void check_server_options(const std::map<std::string, std::string>& options) {
    HttpEndpoint endpoint;
    for (const auto& [name, value] : options) {
        if (!read_option(endpoint, name, value)) {
            throw pg::Error("HV00D", "invalid option " + quoted(name)).hint(std::string("Options of a server are: ") + known_options + ".");
        }
        // If a server has one of these options, changing any other one of its options, above all url, also needs a superuser.
        if (is_for_superusers(name) && !pg::is_superuser(pg::current_user())) {
            throw pg::Error("42501", "permission denied for option " + quoted(name))
                .detail("Only superusers may set it, or change a server that has it.");
        }
    }
    if (endpoint.url.host.empty()) throw pg::Error("HV00J", "option \"url\" is missing").hint("OPTIONS (url 'https://shop.example.com').");
}

void check_secret_names(const std::map<std::string, std::string>& options) {
    for (const auto& [name, value] : options) {
        bool plain = std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
        if (!plain) throw pg::Error("HV00D", "invalid name of a secret: " + quoted(name)).hint("Use lower-case letters, digits and underscores.");
        if (value.empty()) throw pg::Error("22023", "secret " + quoted(name) + " is empty");
    }
}

}  // namespace sync_job
