// One request from its start to its answer: looks up the host, checks and tries its addresses, follows redirects; each hop is a Transfer.
// Decides what is known about the outcome.
#pragma once

#include <memory>
#include <vector>

#include "answer.hpp"
#include "multi.hpp"
#include "request.hpp"
#include "resolver.hpp"
#include "transfer.hpp"

namespace sync_job::http {

// What all exchanges share.
struct SharedIo {
    Resolver& resolver;
    Multi& multi;
    const std::string& user_agent;
};

class Exchange {
public:
    Exchange(Request request, std::shared_ptr<const EndpointSettings> endpoint)
        : request_(std::move(request)), endpoint_(std::move(endpoint)), answer_(std::make_unique<Answer>(request_.id)) {}

    const Request& request() const { return request_; }
    bool started() const { return started_ != Clock::time_point(); }
    bool done() const { return done_; }

    void start(SharedIo& io, Clock::time_point now);
    // It waits for a name look-up, and checks that from time to time.
    bool resolving() const { return lookup_ && !transfer_ && !done_; }
    Clock::time_point resolving_until() const { return hop_deadline_; }
    void check_lookup(SharedIo& io, Clock::time_point now);
    void transfer_ended(SharedIo& io, CURLcode code, Clock::time_point now);
    // Ends it at whatever point it is.
    void end(Failure failure, Clock::time_point now);

    // To be called once, when it is done.
    std::unique_ptr<Answer> take_answer() { return std::move(answer_); }

private:
    void begin_hop(SharedIo& io, Url url, Clock::time_point now);
    void begin_transfer(SharedIo& io, Clock::time_point now);
    bool begin_next_address(SharedIo& io, const Failure& failure, Clock::time_point now);
    bool should_follow(int status) const;
    void follow_redirect(SharedIo& io, const std::string& location, Clock::time_point now);
    void answered(Failure failure, Clock::time_point now);
    std::vector<Address> allowed(const std::vector<Address>& found, std::string& why_not) const;

    Request request_;
    std::shared_ptr<const EndpointSettings> endpoint_;
    std::unique_ptr<Answer> answer_;
    bool done_ = false, unanswered_ = false;  // unanswered: something was sent and no answer came
    Clock::time_point started_{}, deadline_{}, hop_deadline_{};
    Url url_;
    std::shared_ptr<Lookup> lookup_;
    std::vector<Address> addresses_;
    size_t next_address_ = 0;
    std::unique_ptr<Transfer> transfer_;
};

}  // namespace sync_job::http
