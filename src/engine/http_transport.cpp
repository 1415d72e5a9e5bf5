#include "engine/http_transport.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "http/transport.h"
#include "pg/error.hpp"
#include "pg/http_library.hpp"

namespace sync_job {

namespace {

constexpr int most_in_flight = 1000;
constexpr int other_descriptors = 12;  // for name look-ups and for the library itself

SyncJobHttpText text(const std::string& value) { return {value.data(), value.size()}; }
std::string string(SyncJobHttpText value) { return std::string(value.data, value.length); }

std::string text_of_field(const std::vector<pg::JsonField>& fields, const char* key) {
    auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.key == key; });
    return found == fields.end() ? std::string() : found->text;
}

SyncJobHttpEndpoint described(const HttpEndpoint& endpoint, std::vector<SyncJobHttpText>& networks) {
    for (const std::string& network : endpoint.networks) networks.push_back(text(network));
    SyncJobHttpEndpoint given = {};
    given.name = text(endpoint.name);
    given.scheme = text(endpoint.url.scheme);
    given.host = text(endpoint.url.host);
    given.port = endpoint.url.port;
    given.max_in_flight = endpoint.in_flight;
    given.requests_per_second = endpoint.per_second;
    given.connect_timeout_ms = endpoint.connect_timeout;
    given.max_redirects = endpoint.redirects;
    given.max_pause_ms = endpoint.longest_pause;
    given.networks = networks.data();
    given.network_count = networks.size();
    given.ca_file = text(endpoint.ca_file);
    given.certificate_file = text(endpoint.certificate_file);
    given.key_file = text(endpoint.key_file);
    return given;
}

std::string hex(const unsigned char* bytes, std::size_t count) {
    constexpr const char* digits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < count; i++) out += {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
    return out;
}

}  // namespace

HttpTransport::HttpTransport() : api_(pg::http_library()), descriptors_(pg::reserve_descriptors(most_in_flight + other_descriptors)) {
    std::string agent = std::string("pg_sync_job/") + SYNC_JOB_VERSION;
    SyncJobHttpSettings settings = {};
    settings.user_agent = text(agent);
    settings.max_in_flight = std::max(1, descriptors_ - other_descriptors);
    char error[256] = "";
    transport_ = api_.open(&settings, error, sizeof(error));
    if (transport_ != nullptr) return;
    pg::release_descriptors(descriptors_);
    throw pg::Error("58000", std::string("could not start the HTTP client: ") + error);
}

HttpTransport::~HttpTransport() {
    api_.close(transport_);
    pg::release_descriptors(descriptors_);
}

void HttpTransport::use(const HttpEndpoint& endpoint, HttpSecrets secrets) {
    Known& known = endpoints_[endpoint.name];
    if (known.filter == nullptr || known.secrets != secrets) known.filter = std::make_shared<const SecretFilter>(secrets);
    known.secrets = std::move(secrets);
    if (known.endpoint == endpoint) return;
    known.problem.clear();
    known.endpoint = endpoint;
    std::vector<SyncJobHttpText> networks;
    SyncJobHttpEndpoint given = described(endpoint, networks);
    char error[256] = "";
    if (api_.endpoint(transport_, &given, error, sizeof(error)) != SYNC_JOB_HTTP_OK) {
        known.problem = error;
    }
}

void HttpTransport::pause(const std::string& endpoint, std::int64_t milliseconds) { api_.pause(transport_, text(endpoint), milliseconds); }

const HttpTransport::Known* HttpTransport::known_of(const std::string& endpoint) const {
    auto found = endpoints_.find(endpoint);
    return found == endpoints_.end() ? nullptr : &found->second;
}

bool HttpTransport::can_use(const std::string& endpoint) const {
    const Known* known = known_of(endpoint);
    return known != nullptr && known->problem.empty();
}

int HttpTransport::room(const std::string& endpoint) const {
    SyncJobHttpState state = {};
    api_.state(transport_, text(endpoint), &state);
    return state.paused_ms > 0 ? 0 : state.room;
}

std::int64_t HttpTransport::room_in(const std::string& endpoint) const {
    SyncJobHttpState state = {};
    api_.state(transport_, text(endpoint), &state);
    return std::max(state.room_in_ms, state.paused_ms > 0 ? state.paused_ms : std::int64_t{-1});
}

std::int64_t HttpTransport::paused_for(const std::string& endpoint) const {
    SyncJobHttpState state = {};
    api_.state(transport_, text(endpoint), &state);
    return state.paused_ms;
}

std::string HttpTransport::signature(const std::string& key, const std::vector<pg::JsonField>& parts, const std::string& body) const {
    constexpr std::size_t longest = 64;
    unsigned char mac[longest];
    std::string digest = text_of_field(parts, "digest");
    std::size_t bytes = api_.hmac(text(digest), text(key), text(body), mac);
    if (bytes == 0) throw pg::Error("22023", "there is no digest " + quoted(digest));
    if (text_of_field(parts, "encoding") != "base64") return hex(mac, bytes);
    char out[2 * longest];
    std::size_t length = api_.base64({reinterpret_cast<const char*>(mac), bytes}, out);
    return std::string(out, length);
}

std::string HttpTransport::value_of(const Known& known, const pg::JsonField& header, const std::string& body) const {
    if (header.kind != pg::JsonKind::object) return header.text;
    auto parts = pg::json_fields(header.value);
    std::string hmac = text_of_field(parts, "hmac");
    std::string name = hmac.empty() ? text_of_field(parts, "secret") : hmac;
    auto secret = known.secrets.find(name);
    if (secret == known.secrets.end()) throw pg::Error("42704", "server " + quoted(known.endpoint.name) + " has no secret " + quoted(name));
    return text_of_field(parts, "prefix") + (hmac.empty() ? secret->second : signature(secret->second, parts, body));
}

void HttpTransport::send(const Sending& sending) {
    const Known* found = known_of(sending.endpoint);
    if (found == nullptr) throw pg::Error("42704", "server " + quoted(sending.endpoint) + " is not there, or may not be used");
    const Known& known = *found;
    if (!known.problem.empty()) throw pg::Error("22023", "server " + quoted(sending.endpoint) + " cannot be used: " + known.problem);
    auto fields = pg::json_fields(sending.request);
    std::string method = text_of_field(fields, "method"), target = text_of_field(fields, "target"), body = text_of_field(fields, "body");
    std::vector<std::pair<std::string, std::string>> values;
    std::vector<bool> secret;
    for (const pg::JsonField& field : fields) {
        if (field.key != "headers") continue;
        for (const pg::JsonField& header : pg::json_fields(field.value)) {
            values.emplace_back(header.key, value_of(known, header, body));
            secret.push_back(header.kind == pg::JsonKind::object);
        }
    }
    if (std::string header = text_of_field(fields, "key"); !header.empty()) {
        values.emplace_back(header, sending.key);
        secret.push_back(false);
    }
    std::vector<SyncJobHttpHeader> headers;
    for (std::size_t i = 0; i < values.size(); i++) headers.push_back({text(values[i].first), text(values[i].second), secret[i] ? 1 : 0});
    SyncJobHttpRequest request = {};
    request.id = static_cast<std::uint64_t>(sending.job);
    request.endpoint = text(sending.endpoint);
    request.method = text(method);
    request.target = text(target);
    request.headers = headers.data();
    request.header_count = headers.size();
    request.body = text(body);
    std::int64_t timeout = known.endpoint.timeout;
    if (sending.timeout > 0) timeout = std::min(timeout, sending.timeout);
    request.timeout_ms = static_cast<std::int32_t>(timeout);
    request.max_answer_bytes = known.endpoint.most_answer_bytes;
    char error[256] = "";
    if (api_.send(transport_, &request, error, sizeof(error)) != SYNC_JOB_HTTP_OK) throw pg::Error("22023", std::string("the request cannot be sent: ") + error);
    sent_with_[sending.job] = known.filter;
}

void HttpTransport::cancel(std::int64_t job) { api_.cancel(transport_, static_cast<std::uint64_t>(job)); }
int HttpTransport::descriptor() const { return api_.fd(transport_); }
std::int64_t HttpTransport::next_timeout() const { return api_.next_timeout_ms(transport_); }
void HttpTransport::step() { api_.step(transport_); }

std::optional<HttpAnswer> HttpTransport::take() {
    const SyncJobHttpAnswer* given = api_.take(transport_);
    if (given == nullptr) return std::nullopt;
    HttpAnswer answer;
    answer.job = static_cast<std::int64_t>(given->id);
    answer.outcome = given->outcome == SYNC_JOB_HTTP_DEFINITE   ? HttpAnswer::Outcome::definite
                     : given->outcome == SYNC_JOB_HTTP_NOT_SENT ? HttpAnswer::Outcome::not_sent
                                                                : HttpAnswer::Outcome::unknown;
    answer.canceled = given->error == SYNC_JOB_HTTP_CANCELLED;
    answer.cut = given->error == SYNC_JOB_HTTP_ANSWER_TOO_LARGE;
    answer.error = string(given->error_text);
    answer.status = given->status;
    answer.body = string(given->body);
    answer.retry_after = given->retry_after_ms;
    for (std::size_t i = 0; i < given->header_count; i++) {
        answer.headers.emplace_back(lower(string(given->headers[i].name)), string(given->headers[i].value));
    }
    api_.release(transport_, given);
    auto sent = sent_with_.find(answer.job);
    if (sent != sent_with_.end()) {
        sent->second->hide(answer.body, answer.cut);
        for (auto& header : answer.headers) sent->second->hide(header.second);
        sent_with_.erase(sent);
    }
    return answer;
}

}  // namespace sync_job
