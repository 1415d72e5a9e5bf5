// What the caller wants to send, and where: checked copies of what came over the border.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "address.hpp"
#include "transport.h"
#include "url.hpp"

namespace sync_job::http {

struct Settings {
    std::string user_agent, dns_servers;
    int max_in_flight;

    explicit Settings(const SyncJobHttpSettings& given);  // throws Invalid, as do the others
};

struct EndpointSettings {
    std::string name;
    Origin origin;
    int max_in_flight;
    double requests_per_second;
    int connect_timeout_ms, max_redirects, max_pause_ms;
    std::vector<Network> networks;
    std::string ca_file, certificate_file, key_file;

    explicit EndpointSettings(const SyncJobHttpEndpoint& given);
};

struct Header {
    std::string name, value;
    bool secret;
};

struct Request {
    uint64_t id;
    std::string endpoint, method, target;
    std::vector<Header> headers;
    std::string body;
    int timeout_ms;
    int64_t max_answer_bytes;

    explicit Request(const SyncJobHttpRequest& given);
    bool has_header(const std::string& name) const;
};

bool same_name(const std::string& left, const std::string& right);  // for headers: ignores case

}  // namespace sync_job::http
