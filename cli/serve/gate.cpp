#include "serve/gate.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "serve/database.hpp"

namespace sync_job::serve {

namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c); });
    return result;
}

bool has(const std::vector<std::string>& list, std::string_view value) { return std::ranges::find(list, value) != list.end(); }

// The address in one spelling, whatever the proxy's is: with blanks, a port, brackets; IPv4 as IPv6.
std::optional<std::string> address_in(std::string_view text) {
    text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t")));
    text = text.substr(0, text.find_last_not_of(" \t") + 1);
    if (text.starts_with('[')) {
        text = text.substr(1, text.find(']') - 1);
    } else if (std::ranges::count(text, ':') == 1) {
        text = text.substr(0, text.find(':'));
    }
    ErrorCode error;
    const auto address = asio::ip::make_address(std::string(text), error);
    if (error) return std::nullopt;
    if (address.is_v6() && address.to_v6().is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    return address.to_string();
}

}  // namespace

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

Gate::Gate(const Settings& settings, const std::string& address, unsigned port) : trusted_proxies_(settings.trusted_proxies) {
    const bool tls = !settings.tls_certificate.empty();
    const auto add = [&](const std::string& name) {
        const std::string with_port = name + ":" + std::to_string(port);
        hosts_.push_back(with_port);
        origins_.push_back((tls ? "https://" : "http://") + with_port);
        if (port == (tls ? 443 : 80)) {
            hosts_.push_back(name);
            origins_.push_back((tls ? "https://" : "http://") + name);
        }
    };
    if (address != "0.0.0.0" && address != "::") add(address.find(':') == std::string::npos ? address : "[" + address + "]");
    if (is_loopback(address)) add("localhost");
    for (const std::string& origin : settings.origins) {
        origins_.push_back(lower(origin));
        hosts_.push_back(lower(origin.substr(origin.find("://") + 3)));
    }
}

std::optional<Response> Gate::check(const Request& request) const {
    const auto host = request.header("host");
    if (!host || !has(hosts_, lower(*host))) {
        return error_response(421, "28000", "this is not a name of the console", "Start it with --origin for each address that people open it under.");
    }
    const auto origin = request.header("origin");
    if (request.count("origin") > 0 && (!origin || !has(origins_, *origin))) {
        return error_response(403, "28000", "the request comes from another site", "");
    }
    if (!request.path.starts_with("/api/")) return std::nullopt;
    const auto site = request.header("sec-fetch-site");
    if (site && *site != "same-origin" && *site != "none") return error_response(403, "28000", "the request comes from another site", "");
    if (request.method == Method::post) return check_post(request);
    return std::nullopt;
}

// A form of another site cannot send this type; a script of another site that sends it needs our permission first.
std::optional<Response> Gate::check_post(const Request& request) const {
    const auto type = request.header("content-type");
    if (!type || (lower(*type) != "application/json" && !lower(*type).starts_with("application/json;"))) {
        return error_response(415, "22023", "the body must be application/json", "");
    }
    if (request.count("origin") == 0) return error_response(403, "28000", "the request has no Origin", "");
    return std::nullopt;
}

// A proxy appends the address that it sees; what is before that comes from whoever sent the request.
std::string Gate::address_of(const Request& request) const {
    const std::string peer = address_in(request.peer).value_or(request.peer);
    const auto forwarded = request.header("x-forwarded-for");
    if (!forwarded || !has(trusted_proxies_, peer)) return peer;
    return address_in(forwarded->substr(forwarded->rfind(',') + 1)).value_or(peer);
}

const Headers& security_headers() {
    static const Headers headers = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
         " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
    };
    return headers;
}

}  // namespace sync_job::serve
