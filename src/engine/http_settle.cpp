#include "engine/http_settle.hpp"

#include <algorithm>

#include "controller/controller.hpp"
#include "controller/http_push.hpp"
#include "core/text.hpp"
#include "engine/attempt.hpp"
#include "engine/http_batch.hpp"
#include "engine/sync.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"
#include "pg/text.hpp"
#include "pg/xact.hpp"
#include "queue/push.hpp"
#include "queue/record.hpp"
#include "queue/setup_error.hpp"
#include "queue/transition.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr int too_many_requests = 429, unavailable = 503;

struct Sent {
    std::string method, target;
    std::optional<Operation> operation;
};

Sent sent_by(const HttpFlight& flight) {
    Sent sent;
    for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(flight.request))) {
        if (field.key == "method") sent.method = field.text;
        if (field.key == "target") sent.target = field.text;
        if (field.key == "operation") sent.operation = parse_operation(field.text);
    }
    return sent;
}

pg::Error refused(const HttpFlight& flight, const HttpAnswer& answer) {
    Sent sent = sent_by(flight);
    std::string what = sent.method + " " + pg::clipped(sent.target, 200);
    switch (answer.outcome) {
        case HttpAnswer::Outcome::not_sent:
            return pg::Error("HV00N", "the request to server " + quoted(flight.endpoint) + " was not sent: " + answer.error).detail("It was " + what + ".");
        case HttpAnswer::Outcome::unknown:
            return pg::Error("08007", "it is not known whether server " + quoted(flight.endpoint) + " has had the request: " + answer.error)
                .detail("It was " + what + ", and is sent again as it was, with the same key.");
        case HttpAnswer::Outcome::definite:
            break;
    }
    pg::Error error("HV000", "server " + quoted(flight.endpoint) + " has answered with status " + std::to_string(answer.status));
    constexpr int most = 500;
    std::string said = pg::is_text(answer.body) ? pg::clipped(answer.body, most) : std::string();
    return error.detail("The request was " + what + "." + (said.empty() ? "" : " The answer: " + said));
}

// The job with its result, ready to be stored.
Outcome finished(const Job& started, const HttpFlight& flight, int status) {
    Outcome outcome;
    outcome.job = started.copy();
    Job& job = outcome.job;
    if (auto operation = sent_by(flight).operation) job.set_text(C::operation, to_text(*operation));
    for (C column : {C::error_message, C::retry_after, C::checkpoint}) job.clear(column);
    pg::JsonBuilder json;
    json.begin_object();
    json.key("status");
    json.number(status);
    json.end_object();
    job.set(C::result, json.finish());
    job.set_status(Status::finished);
    stamp_end(job);
    return outcome;
}

HttpFate end(const Outcome& outcome) {
    record({outcome});
    announce_ended_at_commit();
    return HttpFate::over;
}

// A request that would be sent again is kept only if there will be a next attempt.
HttpFate fail(const StoredJob& stored, const pg::Error& error, bool keeps) {
    Outcome outcome = failed_outcome(stored.job, error, true);
    bool again = keeps && !outcome.job.is_null(C::retry_after);
    record({outcome});
    announce_ended_at_commit();
    return again ? HttpFate::kept : HttpFate::over;
}

HttpFate queue_anew(const StoredJob& stored) {
    recover_job(stored, nullptr, 0);
    return HttpFate::over;
}

HttpFate cancel(const StoredJob& stored, const std::string& reason) {
    Outcome outcome;
    outcome.job = stored.job.copy();
    outcome.job.set_status(Status::canceled);
    outcome.job.clear(C::source_documents);
    if (!reason.empty()) outcome.job.set_text(C::cancel_reason, reason);
    stamp_end(outcome.job);
    return end(outcome);
}

// The job, locked, if it is still the one that sent this request; and its type.
struct Ours {
    std::optional<StoredJob> stored;
    HttpPush* push = nullptr;
    std::shared_ptr<Controller> controller;
    std::shared_ptr<const pg::ErrorReport> broken;  // what is wrong with the type now
};

Ours find_ours(const HttpFlight& flight) {
    Ours ours;
    auto stored = lock_job(flight.job);
    bool started = stored && stored->partition == Partition::live && stored->job.status() == Status::started && !remove_if_ended(*stored);
    if (!started) return ours;
    ours.stored = stored;
    auto type = find_job_type(flight.type);
    if (type == nullptr || !type->is_push()) return ours;
    try {
        ours.controller = find_controller(*type);
        ours.push = ours.controller->push();
    } catch (const SetupError& error) {
        ours.broken = error.share();
    }
    return ours;
}

// The type is no usable HTTP push any more, whatever it was when the request was sent: the job is dropped, waits until the type is
// repaired, or runs as the type now says.
std::optional<HttpFate> without_push(const Ours& ours) {
    if (!ours.stored) return HttpFate::over;  // canceled, or ended in another way
    if (ours.broken != nullptr) {
        record({setup_failure(ours.stored->job, pg::Error(std::make_shared<pg::ErrorReport>(*ours.broken)))});
        return HttpFate::kept;
    }
    if (ours.push == nullptr) return queue_anew(*ours.stored);
    return std::nullopt;
}

HttpFate settle_definite(const Ours& ours, HttpFlight& flight, const HttpAnswer& answer) {
    const StoredJob& stored = *ours.stored;
    const HttpDeclaration& http = ours.push->declaration();
    bool deletes = sent_by(flight).operation == Operation::remove;
    if (http.succeeds(answer.status, deletes)) {
        bool reads = http.answer.any() || (http.batch && reads_answers(*http.batch));
        if (!reads || deletes) {
            return is_set(stored.job) ? end_batch(stored.job, flight, nullptr, *ours.push) : end(finished(stored.job, flight, answer.status));
        }
        if (answer.cut) {
            return fail(stored, pg::Error("HV000", "the answer of server " + quoted(flight.endpoint) + " is longer than max_answer allows")
                                            .hint("Raise option max_answer of the server."), true);
        }
        flight.answer = pg::json_to_text(json_of(answer));
        return HttpFate::answered;
    }
    bool rests = (answer.status == too_many_requests || answer.status == unavailable) && answer.retry_after >= 0;
    if (rests) return queue_anew(stored);
    constexpr int request_timeout = 408;
    bool about_documents = answer.status >= 400 && answer.status <= 499 && answer.status != request_timeout && answer.status != too_many_requests;
    if (is_set(stored.job) && about_documents) return break_up_batch(stored.job, flight);
    return fail(stored, refused(flight, answer), false);
}

constexpr int most_repeats = 3;

// Tries again later, when whoever has locked the document may have finished.
HttpFate again(HttpFlight& flight) {
    constexpr std::int64_t first = 50'000, longest = 2'000'000;
    flight.again_at = pg::now() + std::min(first << std::min(flight.repeats, 10), longest);
    flight.repeats++;
    return HttpFate::again;
}

HttpFate write_one(const Job& job, HttpFlight& flight, const HttpReply& reply) {
    PushStep step{&reply};
    AttemptLimits limits;
    limits.may_repeat = flight.repeats < most_repeats;
    limits.lock_patience_microseconds = write_back_patience;
    limits.push = &step;
    Outcome outcome = attempt(job, limits);
    pg::command_counter_increment();
    if (outcome.waits_for_lock) {
        if (flight.locked_since == 0) flight.locked_since = pg::now();
        bool too_long = flight.timeout > 0 && pg::now() - flight.locked_since > flight.timeout * 1000;
        if (!too_long) return again(flight);
        outcome = failed_outcome(as_started(job), pg::Error("55P03", "the answer cannot be written back, as another transaction has locked the document")
                                                      .hint("The answer is kept: a retry writes it back, and sends nothing."), true);
    }
    if (outcome.verdict != Verdict::ended) return again(flight);
    if (outcome.error == nullptr && outcome.job.status() == Status::finished) {
        outcome.job.set(C::started_at, job.datum(C::started_at));
        Outcome done = finished(outcome.job, flight, reply.status);
        done.job.place = outcome.job.place;
        return end(done);
    }
    bool retried = !outcome.job.is_null(C::retry_after);
    record({outcome});
    announce_ended_at_commit();
    return retried ? HttpFate::kept : HttpFate::over;
}

}  // namespace

HttpFate settle(HttpFlight& flight, const HttpAnswer& answer, const std::string* reason) {
    Ours ours = find_ours(flight);
    if (auto fate = without_push(ours)) return *fate;
    if (answer.canceled) return reason != nullptr ? cancel(*ours.stored, *reason) : queue_anew(*ours.stored);
    if (answer.outcome == HttpAnswer::Outcome::definite) return settle_definite(ours, flight, answer);
    bool may_have_come = answer.outcome == HttpAnswer::Outcome::unknown || !flight.fresh;  // this time or an earlier time
    return fail(*ours.stored, refused(flight, answer), may_have_come);
}

HttpFate write_back(HttpFlight& flight) {
    Ours ours = find_ours(flight);
    if (auto fate = without_push(ours)) return *fate;
    HttpReply reply = reply_of(pg::json_from_text(*flight.answer));
    try {
        if (is_set(ours.stored->job)) {
            pg::Subtransaction subtransaction;
            HttpFate fate = end_batch(ours.stored->job, flight, &reply, *ours.push, flight.repeats >= most_repeats);
            subtransaction.commit();
            return fate;
        }
        HttpReply own = own_part(reply, *ours.push, flight);
        return write_one(ours.stored->job, flight, own);
    } catch (const LockedDocument&) {
        return again(flight);
    } catch (const UnusableAnswer& error) {  // no document is to blame; the next request has a new key, as a server may repeat its answer to a key
        return fail(*ours.stored, error, false);
    }
}

namespace {

// For a batch whose answer cannot be written back. False: there is no answer, or this is another case.
bool write_back_apart(const HttpFlight& flight) {
    if (!flight.answer) return false;
    Ours ours = find_ours(flight);
    if (!ours.stored || ours.push == nullptr || !is_set(ours.stored->job)) return false;
    HttpReply reply = reply_of(pg::json_from_text(*flight.answer));
    end_batch(ours.stored->job, flight, &reply, *ours.push, true);
    delete_requests({flight.job});
    return true;
}

}  // namespace

void fail_push(const HttpFlight& flight, const pg::Error& error, bool bare) {
    if (!bare && write_back_apart(flight)) return;
    auto stored = lock_job(flight.job);
    if (!stored || stored->partition != Partition::live || stored->job.status() == Status::pending) return;
    Outcome outcome = failed_outcome(stored->job, error, !pg::is_server_trouble(error));
    bare ? record_bare_end(outcome) : record({outcome});
    announce_ended_at_commit();
    if (outcome.job.is_null(C::retry_after)) delete_requests({flight.job});
}

}  // namespace sync_job
