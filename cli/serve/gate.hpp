// Checks a request before anything is done for it: its Host, its Origin, its form. Protects against DNS rebinding, and against other
// sites and other ports of this host that send requests from somebody's browser.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/request.hpp"
#include "serve/settings.hpp"

namespace sync_job::serve {

class Gate {
public:
    // The names under which the console answers: of the address it listens on, and those of --origin.
    Gate(const Settings& settings, const std::string& address, unsigned port);

    // Why this request is turned away, if it is.
    std::optional<Response> check(const Request& request) const;

    // The client's address: what a trusted proxy says, or else the peer. Nothing else that a proxy says is trusted.
    std::string address_of(const Request& request) const;

private:
    std::optional<Response> check_post(const Request& request) const;

    std::vector<std::string> hosts_, origins_, trusted_proxies_;
};

bool is_loopback(const std::string& address);

// Sent with every answer.
using Headers = std::vector<std::pair<std::string, std::string>>;
const Headers& security_headers();

}  // namespace sync_job::serve
