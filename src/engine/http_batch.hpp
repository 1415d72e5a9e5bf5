// Answers: what is kept of one until it is written back, and what it says of the documents of a batch, which is a set job.
#pragma once

#include "controller/http_push.hpp"
#include "engine/http_settle.hpp"
#include "job/job_row.hpp"

namespace sync_job {

// The answer to a batch does not say what became of each document; or it refuses the only one.
class UnusableAnswer : public pg::Error {
public:
    explicit UnusableAnswer(const pg::Error& error) : pg::Error(error) {}
};

// Somebody has locked one of the documents: nothing of the batch can be written back without waiting.
class LockedDocument : public pg::Error {
public:
    explicit LockedDocument(const pg::Error& error) : pg::Error(error) {}
};
// How long a write-back waits for a lock, in microseconds: it shares its transaction with others, whose rows are locked meanwhile, and
// somebody may wait for these.
constexpr std::int64_t write_back_patience = 50'000;

// {"status": …, "headers": {…}, "body": …}; no body where it is no JSON.
Datum json_of(const HttpAnswer& answer);
HttpReply reply_of(Datum json);
// Whether a batch's answer says what became of each document.
bool reads_answers(const HttpBatch& batch);
// Of a batch of one document: the part of the answer that is about it.
HttpReply own_part(const HttpReply& reply, const HttpPush& push, const HttpFlight& flight);

// The documents of the batch leave the set, which ends or waits on with the rest. `reply`: what each of them was answered; null: all
// are well. `apart`: nothing is written back now, but by a job for each of them, which has its answer. Raises LockedDocument.
HttpFate end_batch(const Job& set, const HttpFlight& flight, const HttpReply* reply, HttpPush& push, bool apart = false);
// Each of its documents gets a job of its own: one of them may be why the whole was refused.
HttpFate break_up_batch(const Job& set, const HttpFlight& flight);
// The names of its documents, as the request has them.
std::vector<std::string> batch_names(const HttpFlight& flight, const char* key = "documents");

}  // namespace sync_job
