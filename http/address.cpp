#include "address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

namespace sync_job::http {

namespace {

struct SpecialBlock {
    const char* network;
    const char* name;
};

// IANA's IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190), without the blocks that are globally reachable: AS112 and AMT.
// Two single addresses in 192.0.0.0/24 are reachable, too (.9 and .10, RFC 7723 and RFC 8155), but lead to the nearest gateway: they are
// refused with the rest.
constexpr SpecialBlock ipv4_blocks[] = {
    {"0.0.0.0/8", "this network, RFC 791"},
    {"10.0.0.0/8", "private use, RFC 1918"},
    {"100.64.0.0/10", "shared address space, RFC 6598"},
    {"127.0.0.0/8", "loopback, RFC 1122"},
    {"169.254.0.0/16", "link local, RFC 3927"},
    {"172.16.0.0/12", "private use, RFC 1918"},
    {"192.0.0.0/24", "IETF protocol assignments, RFC 6890"},
    {"192.0.2.0/24", "documentation, RFC 5737"},
    {"192.88.99.0/24", "6to4 relays, RFC 7526"},
    {"192.168.0.0/16", "private use, RFC 1918"},
    {"198.18.0.0/15", "benchmarking, RFC 2544"},
    {"198.51.100.0/24", "documentation, RFC 5737"},
    {"203.0.113.0/24", "documentation, RFC 5737"},
    {"224.0.0.0/4", "multicast, RFC 5771"},
    {"240.0.0.0/4", "reserved, RFC 1112"},  // with 255.255.255.255, limited broadcast, RFC 8190
};

// The same for IPv6, and the general rule of RFC 4291: only 2000::/3 is global unicast; the last line covers the rest.
// In 2001::/23 single assignments are globally reachable (anycast of PCP, TURN and DNS-SD, AMT, AS112, ORCHIDv2, DRIP: RFC 7723, 8155, 9665,
// 7450, 7535, 7343, 9374); there are no web servers there, so all of it is refused. For 64:ff9b::/96, the IPv4 address within decides.
constexpr SpecialBlock ipv6_blocks[] = {
    {"::1/128", "loopback, RFC 4291"},
    {"::/128", "unspecified, RFC 4291"},
    {"::ffff:0:0/96", "IPv4-mapped, RFC 4291"},
    {"::ffff:0:0:0/96", "IPv4-translated, RFC 2765"},
    {"::/96", "IPv4-compatible, RFC 4291"},
    {"64:ff9b:1::/48", "IPv4/IPv6 translation in a local network, RFC 8215"},
    {"100::/64", "discard only, RFC 6666"},
    {"100:0:0:1::/64", "dummy prefix, RFC 9780"},
    {"2001::/32", "Teredo, RFC 4380"},
    {"2001:2::/48", "benchmarking, RFC 5180"},
    {"2001:10::/28", "ORCHID, RFC 4843"},
    {"2001::/23", "IETF protocol assignments, RFC 2928"},
    {"2001:db8::/32", "documentation, RFC 3849"},
    {"2002::/16", "6to4, RFC 3056"},
    {"3fff::/20", "documentation, RFC 9637"},
    {"5f00::/16", "segment routing, RFC 9602"},
    {"fc00::/7", "unique local, RFC 4193"},
    {"fe80::/10", "link local, RFC 4291"},
    {"fec0::/10", "site local, RFC 3879"},
    {"ff00::/8", "multicast, RFC 4291"},
};
constexpr const char* ipv6_global_unicast = "2000::/3";
constexpr const char* ipv6_translation = "64:ff9b::/96";  // RFC 6052

struct ParsedBlock {
    Network network;
    const SpecialBlock* block;
};

template <size_t count>
std::vector<ParsedBlock> parsed(const SpecialBlock (&blocks)[count]) {
    std::vector<ParsedBlock> result;
    for (const SpecialBlock& block : blocks) result.push_back({*Network::parse(block.network), &block});
    return result;
}

std::optional<std::string> special_block(const Address& address) {
    static const std::vector<ParsedBlock> ipv4 = parsed(ipv4_blocks), ipv6 = parsed(ipv6_blocks);
    static const Network global_unicast = *Network::parse(ipv6_global_unicast), translation = *Network::parse(ipv6_translation);
    for (const ParsedBlock& candidate : address.family == AF_INET ? ipv4 : ipv6) {
        if (candidate.network.contains(address)) return std::string(candidate.block->network) + ", " + candidate.block->name;
    }
    if (address.family == AF_INET || global_unicast.contains(address) || translation.contains(address)) return std::nullopt;
    return "outside 2000::/3, RFC 4291";
}

bool in_any(const Address& address, std::span<const Network> networks) {
    return std::ranges::any_of(networks, [&](const Network& network) { return network.contains(address); });
}

Address ipv4_of(const uint8_t* bytes, uint8_t mask = 0) {
    Address result{.family = AF_INET};
    for (int i = 0; i < 4; i++) result.bytes[i] = bytes[i] ^ mask;
    return result;
}

// The IPv4 addresses into which something on the way may translate an IPv6 address.
std::vector<Address> ipv4_within(const Address& address) {
    if (address.family != AF_INET6) return {};
    static const Network last_four_bytes[] = {*Network::parse("::ffff:0:0/96"), *Network::parse("::ffff:0:0:0/96"), *Network::parse("::/96"),
                                              *Network::parse(ipv6_translation), *Network::parse("64:ff9b:1::/48")};
    static const Network local_translation = *Network::parse("64:ff9b:1::/48"), six_to_four = *Network::parse("2002::/16"),
                         teredo = *Network::parse("2001::/32"), neither[] = {*Network::parse("::/128"), *Network::parse("::1/128")};
    const uint8_t* bytes = address.bytes.data();
    std::vector<Address> result;
    if (in_any(address, neither)) return result;
    if (in_any(address, last_four_bytes)) result.push_back(ipv4_of(bytes + 12));
    if (local_translation.contains(address)) {  // RFC 6052, 2.2: the bytes around byte 8
        const uint8_t around[] = {bytes[6], bytes[7], bytes[9], bytes[10]};
        result.push_back(ipv4_of(around));
    }
    if (six_to_four.contains(address)) result.push_back(ipv4_of(bytes + 2));
    if (teredo.contains(address)) {
        result.push_back(ipv4_of(bytes + 4));
        result.push_back(ipv4_of(bytes + 12, 0xff));
    }
    const bool isatap = (bytes[8] & ~2) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe;  // RFC 5214
    if (isatap) result.push_back(ipv4_of(bytes + 12));
    return result;
}

}  // namespace

std::optional<Address> Address::parse(const std::string& text) {
    Address result;
    for (const int family : {AF_INET, AF_INET6}) {
        result.family = family;
        if (text.size() == strlen(text.c_str()) && inet_pton(family, text.c_str(), result.bytes.data()) == 1) return result;
    }
    return std::nullopt;
}

std::optional<Address> Address::of(const sockaddr& address) {
    Address result{.family = address.sa_family};
    if (address.sa_family == AF_INET) {
        memcpy(result.bytes.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
    } else if (address.sa_family == AF_INET6) {
        memcpy(result.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
    } else {
        return std::nullopt;
    }
    return result;
}

std::string Address::text() const {
    char buffer[INET6_ADDRSTRLEN] = "";
    inet_ntop(family, bytes.data(), buffer, sizeof(buffer));
    return buffer;
}

std::optional<Network> Network::parse(const std::string& text) {
    const size_t slash = text.find('/');
    const std::optional<Address> address = Address::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    const int longest = address->family == AF_INET ? 32 : 128;
    Network result{*address, longest};
    if (slash != std::string::npos) {
        const char *begin = text.data() + slash + 1, *end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(begin, end, result.prefix);
        if (error != std::errc() || rest != end || *begin == '-' || result.prefix > longest) return std::nullopt;
    }
    return result;
}

bool Network::contains(const Address& other) const {
    if (other.family != address.family) return false;
    const int whole = prefix / 8, bits = prefix % 8;
    if (memcmp(other.bytes.data(), address.bytes.data(), whole) != 0) return false;
    return bits == 0 || ((other.bytes[whole] ^ address.bytes[whole]) >> (8 - bits)) == 0;
}

std::optional<std::string> why_refused(const Address& address, std::span<const Network> allowed) {
    if (!in_any(address, allowed)) {
        if (const auto block = special_block(address)) return address.text() + " is not globally reachable (" + *block + ")";
    }
    for (const Address& within : ipv4_within(address)) {
        if (in_any(within, allowed)) continue;
        if (const auto block = special_block(within)) {
            return address.text() + " stands for " + within.text() + ", which is not globally reachable (" + *block + ")";
        }
    }
    return std::nullopt;
}

}  // namespace sync_job::http
