// The HTTP requests in flight, stored in the tables sync_job_internal.http_request and http_document. They outlive the process that sends
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pg/types.hpp"
#include "pg/value.hpp"

namespace sync_job {

// What is kept of a request between rounds, outside the server's memory contexts. `request` and `answer`: JSON as text.
struct HttpFlight {
    std::int64_t job = 0;
    int number = 0;
    std::string type, endpoint, request;
    std::optional<std::string> answer;     // stored, and still to be written back
    std::vector<std::uint64_t> documents;  // their keys
    std::int64_t timeout = 0;              // timeout of the job, in milliseconds
    int most_of_type = 0;                  // how many at a time; 0: no limit
    bool sent = false;
    bool fresh = false;  // made by this process, which therefore knows about everything that was sent for it
    int repeats = 0;  // repeats of the write-back, after deadlocks and the like
    pg::Timestamp locked_since = 0, again_at = 0;  // since when somebody has had its document locked; when the write-back is tried again
};

void insert_requests(const std::vector<HttpFlight>& flights);
// Deletes the requests and their documents.
void delete_requests(const std::vector<std::int64_t>& jobs);
void store_answers(const std::vector<const HttpFlight*>& flights);
// The stored requests of these jobs.
std::vector<HttpFlight> stored_requests(const std::vector<std::int64_t>& jobs);
// The jobs of the group that are Started although their worker has ended.
std::vector<std::int64_t> jobs_left_over(const std::string& queue, unsigned int run_as);
// Which of these documents are in requests, and of which jobs.
std::unordered_multimap<std::uint64_t, std::int64_t> taken_documents(const std::vector<std::uint64_t>& keys);
// The first part of each idempotency key that is sent to a server.
std::string installation();

}  // namespace sync_job
