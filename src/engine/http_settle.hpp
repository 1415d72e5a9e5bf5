// What becomes of a job when its request has been answered, or cannot be answered. Recorded in the current transaction.
#pragma once

#include "engine/http_requests.hpp"
#include "engine/http_transport.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class HttpFate {
    over,      // the job has ended, waits for a retry that makes a new request, or is gone: the caller deletes the request
    kept,      // the job has failed; its request or the answer is kept for its retry
    answered,  // the caller stores the answer, which is written back in another transaction
    again      // the write-back met a deadlock, a lock or the like
};

// `reason`: not null if somebody has canceled the job.
HttpFate settle(HttpFlight& flight, const HttpAnswer& answer, const std::string* reason = nullptr);
// For a flight whose answer is stored.
HttpFate write_back(HttpFlight& flight);
// The request could not be sent, or its job could not be recorded. If the answer to a batch is stored, it is written back document by
// document instead.
void fail_push(const HttpFlight& flight, const pg::Error& error, bool bare);

}  // namespace sync_job
