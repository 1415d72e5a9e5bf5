// What became of a request, as the caller gets it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "request.hpp"

namespace sync_job::http {

class Answer {
public:
    explicit Answer(uint64_t id) : id_(id) {}
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;

    SyncJobHttpOutcome outcome = SYNC_JOB_HTTP_NOT_SENT;
    Failure failure;
    int status = 0, redirects = 0;
    std::vector<Header> headers;
    std::string body, address;
    int64_t retry_after_ms = -1, elapsed_ms = 0;

    // As a struct whose pointers point into this object. After this call nothing may be changed.
    const SyncJobHttpAnswer* seen_from_c();

private:
    const uint64_t id_;
    SyncJobHttpAnswer c_{};
    std::vector<SyncJobHttpHeader> c_headers_;
};

// The wait that a Retry-After asks for, from now on, in milliseconds; -1: it cannot be understood. A date is relative to the server's own
// clock, if that is known.
int64_t retry_after_ms(const std::string& value, const std::string& server_date);

}  // namespace sync_job::http
