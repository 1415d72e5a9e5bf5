// What becomes of a job when its request has been answered, or cannot be: recorded in the transaction under way.
#pragma once

#include "engine/http_requests.hpp"
#include "engine/http_transport.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class HttpFate {
    over,      // the job has ended, waits for a retry that makes a new request, or has gone: whoever asked deletes the request
    kept,      // the job has failed; what it sent, or what was answered, is there for its retry
    answered,  // whoever asked stores the answer, which is written back in another transaction
    again      // the write-back has met a deadlock, a lock or the like
};

// `reason`: somebody has canceled the job.
HttpFate settle(HttpFlight& flight, const HttpAnswer& answer, const std::string* reason = nullptr);
// Of a flight whose answer is stored.
HttpFate write_back(HttpFlight& flight);
// The request could not be sent, or its job not be recorded. A batch whose answer is stored is written back document by document instead.
void fail_push(const HttpFlight& flight, const pg::Error& error, bool bare);

}  // namespace sync_job
