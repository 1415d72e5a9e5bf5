// IP addresses, and to which of them requests may go: those that are globally reachable, and those in an endpoint's networks.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sync_job::http {

struct Address {
    int family = AF_UNSPEC;
    std::array<uint8_t, 16> bytes{};  // for IPv4 the first four; the rest is 0

    // Only whole addresses in their usual form: not "127.1", not "fe80::1%eth0".
    static std::optional<Address> parse(const std::string& text);
    static std::optional<Address> of(const sockaddr& address);
    std::string text() const;
    bool operator==(const Address&) const = default;
};

struct Network {
    Address address;
    int prefix = 0;  // bits

    // "10.0.0.0/8"; without a length, one address.
    static std::optional<Network> parse(const std::string& text);
    bool contains(const Address& other) const;
};

// Why no request may go there, as a text for people; nothing: it may. An IPv6 address that stands for an IPv4 address must be allowed as
// both.
std::optional<std::string> why_refused(const Address& address, std::span<const Network> allowed);

}  // namespace sync_job::http
