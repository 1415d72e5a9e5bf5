// The HTTP requests under way, as the tables have them: sync_job_internal.http_request and http_document. They outlive the process
// that sends them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pg/types.hpp"
#include "pg/value.hpp"

namespace sync_job {

// What is kept of one between rounds, outside the server's memory. `request` and `answer`: JSON as text.
struct HttpFlight {
    std::int64_t job = 0;
    int number = 0;
    std::string type, endpoint, request;
    std::optional<std::string> answer;     // stored, and to be written back
    std::vector<std::uint64_t> documents;  // their keys
    std::int64_t timeout = 0;              // of the job, in milliseconds
    int most_of_type = 0;                  // at a time; 0: no limit
    bool sent = false;
    bool fresh = false;  // made by this process: whatever is known of it, is known of all that was sent for it
    int repeats = 0;  // of the write-back, after deadlocks and the like
    pg::Timestamp locked_since = 0, again_at = 0;  // its document has been locked by somebody since then; it is tried again then
};

void insert_requests(const std::vector<HttpFlight>& flights);
// With their documents.
void delete_requests(const std::vector<std::int64_t>& jobs);
void store_answers(const std::vector<const HttpFlight*>& flights);
// The stored requests of these jobs.
std::vector<HttpFlight> stored_requests(const std::vector<std::int64_t>& jobs);
// The jobs of the group that are Started, as their worker has ended.
std::vector<std::int64_t> jobs_left_over(const std::string& queue, unsigned int run_as);
// Which of these documents stand in a request, and of which jobs.
std::unordered_multimap<std::uint64_t, std::int64_t> taken_documents(const std::vector<std::uint64_t>& keys);
// The first part of each key that a server gets.
std::string installation();

}  // namespace sync_job
