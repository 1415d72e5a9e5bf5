// The HTTP client, as the engine calls it: endpoints, requests that are jsonb (controller/http_push.hpp), answers. Here secrets take
// the place of their names, and signatures are made; what comes out again has none of them.
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
    bool cut = false;  // the body is longer than may be
    std::string error;  // for people; empty: none
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    std::string body;
    std::int64_t retry_after = -1;  // milliseconds; below 0: it asks for nothing
};

class HttpTransport {
public:
    HttpTransport();  // raises where the library is missing
    ~HttpTransport();
    HttpTransport(const HttpTransport&) = delete;
    HttpTransport& operator=(const HttpTransport&) = delete;

    // From now on requests to the endpoint follow this; where it cannot be, send() says why.
    void use(const HttpEndpoint& endpoint, HttpSecrets secrets);
    bool can_use(const std::string& endpoint) const;
    void pause(const std::string& endpoint, std::int64_t milliseconds);
    // How many more requests would start at once, and for how long none does.
    int room(const std::string& endpoint) const;
    std::int64_t paused_for(const std::string& endpoint) const;
    // When there will be room without an answer, in milliseconds; below 0: not known.
    std::int64_t room_in(const std::string& endpoint) const;

    // Raises what cannot be sent. `key`: for the header that the request names.
    struct Sending {
        std::int64_t job;
        std::string endpoint;
        Datum request;
        std::string key;
        std::int64_t timeout;  // milliseconds; 0: the endpoint's
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
        std::string problem;  // why the client does not take it; empty: it does
    };
    const Known* known_of(const std::string& endpoint) const;
    std::string value_of(const Known& known, const pg::JsonField& header, const std::string& body) const;
    std::string signature(const std::string& key, const std::vector<pg::JsonField>& parts, const std::string& body) const;

    const SyncJobHttpApi& api_;
    int descriptors_;  // kept for sockets
    SyncJobHttp* transport_;
    std::map<std::string, Known> endpoints_;
    std::map<std::int64_t, std::shared_ptr<const SecretFilter>> sent_with_;  // the secrets that an answer must not have: those of then
};

}  // namespace sync_job
