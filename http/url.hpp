// Where a request goes. Every host, path and Location is checked here.
#pragma once

#include <string>

namespace sync_job::http {

struct Origin {
    std::string scheme;
    std::string host;  // in lower case; an IPv6 address without brackets
    int port = 0;

    // Throws Invalid. Port 0: that of the scheme.
    static Origin checked(const std::string& scheme, const std::string& host, int port);
    // "https://host:port"
    std::string text() const;
    bool operator==(const Origin&) const = default;
};

struct Url {
    Origin origin;
    std::string target;  // path and query, as they go on the wire

    std::string text() const { return origin.text() + target; }
};

// Throws Invalid. A segment "." or ".." of the path is refused, however it is encoded: a value for one segment must not choose the others.
void check_target(const std::string& target);

// Where a Location leads, seen from this URL. Throws Invalid with a text that does not quote it.
Url follow(const Url& from, const std::string& location);

}  // namespace sync_job::http
