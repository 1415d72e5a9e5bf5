// Looks up the addresses of names with c-ares, on the caller's thread. Answers are cached as long as the name's servers allow, and for at
// least a second.
#pragma once

#include <ares.h>

#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "address.hpp"
#include "failure.hpp"
#include "poller.hpp"

namespace sync_job::http {

// One look-up, whose answer serves all who ask the same meanwhile.
class Lookup {
public:
    bool done() const { return done_; }
    const Failure& failure() const { return failure_; }
    // In the order to try them.
    const std::vector<Address>& addresses() const { return addresses_; }
    // Later requests try this address last.
    void avoid(const Address& address);

private:
    friend class Resolver;
    explicit Lookup(std::string host) : host_(std::move(host)) {}
    void answered(int status, const ares_addrinfo* result);

    const std::string host_;
    bool done_ = false;
    Failure failure_;
    std::vector<Address> addresses_;
    Clock::time_point good_until_{};
    std::unique_ptr<Address> preferred_;  // the one that worked last time
};

class Resolver {
public:
    Resolver(Poller& poller, std::string servers);
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver();

    std::shared_ptr<Lookup> look_up(const std::string& host);
    void process(const Poller::Event& event);
    // Handles time-outs, and removes what is done.
    void process(Clock::time_point now);
    // -1: nothing is under way.
    int64_t next_timeout_ms() const;

private:
    // c-ares reads the system's configuration when a channel is created: one channel per look-up follows changes of it.
    struct Question {
        Resolver* resolver;
        std::shared_ptr<Lookup> lookup;
        ares_channel channel = nullptr;
    };
    void ask(const std::shared_ptr<Lookup>& lookup);
    void drop_old(Clock::time_point now);
    static void socket_changed(void* question, ares_socket_t fd, int readable, int writable);
    static void answered(void* lookup, int status, int timeouts, ares_addrinfo* result);

    Poller& poller_;
    const std::string servers_;
    std::list<Question> questions_;
    std::unordered_map<int, Question*> sockets_;
    std::unordered_map<std::string, std::shared_ptr<Lookup>> known_;
};

}  // namespace sync_job::http
