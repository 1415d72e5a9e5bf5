// An endpoint of HTTP pushes: a foreign server of the wrapper sync_job_http. Its options say where it is, and what applies to all requests
// to it. Its secrets are the options of the user mapping of the role that sends.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/http_text.hpp"
#include "pg/foreign.hpp"
#include "pg/types.hpp"

namespace sync_job {

struct HttpEndpoint {
    Oid server = 0;
    std::string name;
    EndpointUrl url;
    int in_flight = 16;
    double per_second = 0;  // 0: no limit
    int timeout = 30000, connect_timeout = 10000, longest_pause = 3600000;  // milliseconds
    int redirects = 0;
    std::int64_t most_answer_bytes = 1 << 20;
    std::vector<std::string> networks;  // networks allowed besides publicly reachable addresses
    std::string ca_file, certificate_file, key_file;
    bool operator==(const HttpEndpoint&) const = default;
};

using HttpSecrets = std::map<std::string, std::string>;

// Raises if there is no server of that name, if it is not one of ours, or if the role has no USAGE on it.
HttpEndpoint find_endpoint(const std::string& name, Oid role);
HttpSecrets secrets_of(const HttpEndpoint& endpoint, Oid role);

// For the wrapper's validator: raises what is wrong with an option, or if the current user may not set it.
void check_server_options(const std::map<std::string, std::string>& options);
void check_secret_names(const std::map<std::string, std::string>& options);

}  // namespace sync_job
