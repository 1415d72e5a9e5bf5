// Answers of servers: what is kept of one until it is written back, and what it means for the documents of a batch, which is a set job.
#pragma once

#include "controller/http_push.hpp"
#include "engine/http_settle.hpp"
#include "job/job_row.hpp"

namespace sync_job {

// The answer to a batch does not tell what became of each document; or the batch has only one, and that was refused.
class UnusableAnswer : public pg::Error {
public:
    explicit UnusableAnswer(const pg::Error& error) : pg::Error(error) {}
};

// Somebody has locked one of the documents: no part of the batch can be written back without waiting.
class LockedDocument : public pg::Error {
public:
    explicit LockedDocument(const pg::Error& error) : pg::Error(error) {}
};
// How long a write-back waits for a lock, in microseconds. It shares its transaction with others, whose rows stay locked meanwhile, and
// somebody may be waiting for those.
constexpr std::int64_t write_back_patience = 50'000;

// {"status": …, "headers": {…}, "body": …}; without a body if it is not JSON.
Datum json_of(const HttpAnswer& answer);
HttpReply reply_of(Datum json);
// Whether a batch's answer tells what became of each document.
bool reads_answers(const HttpBatch& batch);
// For a batch of one document: the part of the answer that is about it.
HttpReply own_part(const HttpReply& reply, const HttpPush& push, const HttpFlight& flight);

// Removes the documents of the batch from the set, which ends or goes on waiting with the rest. `reply`: the answers for the documents;
// null: all succeeded. `apart`: writes nothing back now; a job for each document, which has its answer, will do that. Raises
// LockedDocument.
HttpFate end_batch(const Job& set, const HttpFlight& flight, const HttpReply* reply, HttpPush& push, bool apart = false);
// Gives each document of the batch a job of its own: one of them may be the reason why the whole batch was refused.
HttpFate break_up_batch(const Job& set, const HttpFlight& flight);
// The names of the batch's documents, from the request.
std::vector<std::string> batch_names(const HttpFlight& flight, const char* key = "documents");

}  // namespace sync_job
