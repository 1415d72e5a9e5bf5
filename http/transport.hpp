// The client as a whole: requests wait at their endpoint, start when it is their turn, and end with an answer. transport.h describes
// each function.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "answer.hpp"
#include "endpoint.hpp"
#include "exchange.hpp"
#include "multi.hpp"
#include "poller.hpp"
#include "resolver.hpp"

namespace sync_job::http {

class Transport {
public:
    explicit Transport(const Settings& settings);

    void set_endpoint(const SyncJobHttpEndpoint& endpoint);
    void pause(const std::string& endpoint, int64_t pause_ms);
    SyncJobHttpState state(const std::string& endpoint) const;

    void send(const SyncJobHttpRequest& request);
    void cancel(uint64_t id);

    int fd() const { return poller_.fd(); }
    int64_t next_timeout_ms() const;
    int step();

    const SyncJobHttpAnswer* take();
    void release(const SyncJobHttpAnswer* answer);

private:
    struct InTransport {
        InTransport(Request request, Endpoint* endpoint) : exchange(std::move(request), endpoint->settings()), endpoint(endpoint) {}
        Exchange exchange;
        Endpoint* endpoint;
    };

    template <typename Function>
    void contained(Exchange& exchange, Function function);
    bool start_waiting(Clock::time_point now);
    void collect(Clock::time_point now);
    void finish(Exchange& exchange, Clock::time_point now);

    const std::string user_agent_;
    const int max_in_flight_;
    int in_flight_ = 0;
    Poller poller_;
    Resolver resolver_;
    Multi multi_;
    SharedIo io_{resolver_, multi_, user_agent_};
    std::unordered_map<std::string, Endpoint> endpoints_;
    std::vector<Endpoint*> turns_;  // in the order in which they start next
    std::unordered_map<uint64_t, InTransport> requests_;
    std::vector<Exchange*> resolving_;
    std::deque<std::unique_ptr<Answer>> answers_;
    std::unordered_map<const SyncJobHttpAnswer*, std::unique_ptr<Answer>> taken_;
};

}  // namespace sync_job::http
