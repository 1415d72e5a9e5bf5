// The settings from the command line.
#pragma once

#include <string>
#include <vector>

#include "serve/database.hpp"

namespace sync_job::serve {

struct Settings {
    DatabaseServer server;
    std::vector<std::string> databases;
    std::string listen = "127.0.0.1:8080";
    bool read_only = false, allow_superusers = false;
    int sessions = 20;
    double idle_minutes = 15;
    std::string tls_certificate, tls_key;
    std::vector<std::string> origins, trusted_proxies;
    std::string metrics_role, metrics_password_file, metrics_listen, metrics_token_file;
    std::string metrics_token;  // from that file
};

}  // namespace sync_job::serve
