// The HTTP client as seen by the engine: endpoints, requests as jsonb (controller/http_push.hpp), answers. Here names of secrets are
// replaced by the secrets, and signatures are made; answers come back with the secrets removed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/http_endpoint.hpp"
#include "core/secret_text.hpp"
#include "pg/json.hpp"

struct SyncJobHttp;
struct SyncJobHttpApi;

namespace sync_job {

struct HttpAnswer {
    std::int64_t job = 0;
    enum class Outcome { definite, unknown, not_sent };
    Outcome outcome = Outcome::unknown;
    bool canceled = false;
    bool cut = false;  // the body was longer than allowed
    std::string error;  // readable text; empty: none
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    std::string body;
    std::int64_t retry_after = -1;  // milliseconds; below 0: not given
};

class HttpTransport {
public:
    HttpTransport();  // raises an error if the library is missing
    ~HttpTransport();
    HttpTransport(const HttpTransport&) = delete;
    HttpTransport& operator=(const HttpTransport&) = delete;

    // From now on, requests to the endpoint use these options. If it cannot be used, send() reports why.
    void use(const HttpEndpoint& endpoint, HttpSecrets secrets);
    bool can_use(const std::string& endpoint) const;
    void pause(const std::string& endpoint, std::int64_t milliseconds);
    // How many more requests could start at once; and for how many milliseconds none can.
    int room(const std::string& endpoint) const;
    std::int64_t paused_for(const std::string& endpoint) const;
    // In how many milliseconds there will be room even if no answer arrives; below 0: not known.
    std::int64_t room_in(const std::string& endpoint) const;

    // send() raises an error if the request cannot be sent. `key`: for the header that the request names.
    struct Sending {
        std::int64_t job;
        std::string endpoint;
        Datum request;
        std::string key;
        std::int64_t timeout;  // milliseconds; 0: that of the endpoint
    };
    void send(const Sending& sending);
    void cancel(std::int64_t job);

    int descriptor() const;
    std::int64_t next_timeout() const;  // milliseconds; below 0: none
    void step();
    std::optional<HttpAnswer> take();

private:
    struct Known {
        HttpEndpoint endpoint;
        HttpSecrets secrets;
        std::shared_ptr<const SecretFilter> filter;
        std::string problem;  // why the client does not accept it; empty: it does
    };
    const Known* known_of(const std::string& endpoint) const;
    std::string value_of(const Known& known, const pg::JsonField& header, const std::string& body) const;
    std::string signature(const std::string& key, const std::vector<pg::JsonField>& parts, const std::string& body) const;

    const SyncJobHttpApi& api_;
    int descriptors_;  // file descriptors reserved for sockets
    SyncJobHttp* transport_;
    std::map<std::string, Known> endpoints_;
    std::map<std::int64_t, std::shared_ptr<const SecretFilter>> sent_with_;  // the secrets that the answer must not contain: those used for sending
};

}  // namespace sync_job
