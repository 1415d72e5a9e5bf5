// Answers requests: pages, log-in, the routes of the API.
#pragma once

#include "serve/gate.hpp"
#include "serve/metrics.hpp"
#include "serve/request.hpp"
#include "serve/router.hpp"
#include "serve/sessions.hpp"

namespace sync_job::serve {

class Console {
public:
    // Metrics: null if this port does not show them.
    Console(const Settings& settings, const std::string& address, unsigned port, std::shared_ptr<Metrics> metrics);

    // By the head of a request: an answer for which no body need be read, or none.
    std::optional<Response> refuse(const Request& head) const;
    // The session that it belongs to, if any.
    std::shared_ptr<const void> owner(const Request& head) const;
    // How long the body of this request may be.
    std::size_t body_limit(const Request& head) const;
    // Never throws.
    Async<Response> answer(const Request& request);

    Async<void> watch() { return sessions_.watch(); }
    void end(const std::string& reason) { sessions_.end_all(reason); }

private:
    Async<Response> answer_api(const Request& request);
    Async<Response> answer_session(const Request& request, std::shared_ptr<Session> session);
    Async<Response> answer_route(const Request& request, std::shared_ptr<Session> session);
    Response log_in_facts() const;
    std::string common_facts() const;
    Response answer_page(const Request& request) const;

    const Settings& settings_;
    const Gate gate_;
    const bool secure_;  // the browser uses TLS, to us or to a proxy
    const Router router_;
    Sessions sessions_;
    const std::shared_ptr<Metrics> metrics_;
};

}  // namespace sync_job::serve
