#include "engine/http_batch.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/text.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/document_batch.hpp"
#include "engine/sync.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/text.hpp"
#include "pg/xact.hpp"
#include "queue/push.hpp"
#include "queue/record.hpp"
#include "queue/set_record.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::optional<Datum> parsed(const std::string& body) {
    std::size_t first = body.find_first_not_of(" \t\r\n");
    if (first == std::string::npos || !pg::is_text(body)) return std::nullopt;
    try {
        pg::Subtransaction subtransaction;
        Datum json = pg::json_from_text(body);
        subtransaction.commit();
        return json;
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        return std::nullopt;
    }
}

pg::JsonField no_value() { return {"", pg::JsonKind::null, "", 0}; }

// The answers for the documents, in the order of the batch. Raises if a document has none.
std::vector<pg::JsonField> answers_of(const HttpReply& reply, const HttpBatch& batch, const HttpFlight& flight) {
    auto unmatched = [&](const std::string& why) {
        return UnusableAnswer(pg::Error("HV000", "the answer of server " + quoted(flight.endpoint) + " to a batch cannot be matched with its documents").detail(why));
    };
    auto list = at_pointer(reply.body, batch.answers);
    if (!list || list->kind != pg::JsonKind::array) throw unmatched("It has no list at " + quoted(batch.answers.empty() ? "/" : "/" + join(batch.answers, "/")) + ".");
    std::vector<pg::JsonField> elements = pg::json_elements(list->value), found;
    std::size_t documents = batch_names(flight).size();
    if (batch.answer_key.empty()) {
        if (elements.size() != documents) throw unmatched("It is about " + std::to_string(elements.size()) + " documents, and " + std::to_string(documents) + " were sent.");
        return elements;
    }
    std::unordered_map<std::string, const pg::JsonField*> by_key;
    for (const pg::JsonField& element : elements) {
        if (auto key = at_pointer(element, batch.answer_key)) by_key.emplace(key->text, &element);
    }
    for (const std::string& key : batch_names(flight, "keys")) {
        auto element = by_key.find(key);
        if (element == by_key.end()) throw unmatched("It says nothing of " + quoted(pg::clipped(key, 60)) + ".");
        found.push_back(*element->second);
    }
    return found;
}

bool is_well(const pg::JsonField& answer, const HttpBatch& batch) {
    if (batch.status.empty()) return true;
    auto status = at_pointer(answer, batch.status);
    return status && std::find(batch.ok.begin(), batch.ok.end(), status->text) != batch.ok.end();
}

pg::Error refused_document(const pg::JsonField& answer, const HttpBatch& batch, const HttpFlight& flight) {
    constexpr int most = 200;
    pg::Error error("HV000", "server " + quoted(flight.endpoint) + " has refused the document");
    auto said = batch.error.empty() ? std::nullopt : at_pointer(answer, batch.error);
    return error.detail("It says: " + pg::clipped(said ? said->text : pg::json_to_text(answer.value), most));
}

// What was sent, without the documents, for messages: it is kept with the answer of a single document.
Datum without_documents(const HttpFlight& flight) {
    pg::JsonBuilder json;
    json.begin_object();
    for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(flight.request))) {
        if (field.key == "body" || field.key == "documents" || field.key == "keys") continue;
        json.key(field.key);
        json.value(field.value, false, pg::type::jsonb, false);
    }
    json.end_object();
    return json.finish();
}

// Like that of a whole answer, with the document's own part as its body.
Datum json_of(const HttpReply& reply) {
    pg::JsonBuilder json;
    json.begin_object();
    json.key("status");
    json.number(reply.status);
    for (const auto& [key, part] : {std::pair("headers", &reply.headers), std::pair("body", &reply.body)}) {
        if (part->kind == pg::JsonKind::null) continue;
        json.key(key);
        json.value(part->value, false, pg::type::jsonb, false);
    }
    json.end_object();
    return json.finish();
}

class EndedBatch {
public:
    EndedBatch(const Job& set, const HttpFlight& flight, HttpPush& push) : set_(set), flight_(flight), push_(push), progress_{set.copy(), {}} {}

    void add(const std::string& name, const HttpReply* reply) {
        const HttpBatch& batch = *push_.declaration().batch;
        if (reply != nullptr && !is_well(reply->body, batch)) return add_failed(name, refused_document(reply->body, batch, flight_));
        if (reply != nullptr && push_.declaration().answer.any()) return add_written(name, *reply);
        add_well(name);
    }
    // Writes back each document's answer in a transaction of its own: one of them prevents this transaction from committing.
    void add_apart(const std::string& name, const HttpReply& reply) {
        if (is_well(reply.body, *push_.declaration().batch)) return keep_answer(name, reply, Outcome());
        add(name, &reply);
    }

    HttpFate record() {
        std::vector<std::string> names = batch_names(flight_);
        std::unordered_set<std::string> sent(names.begin(), names.end());
        for (const std::string& name : pg::datum_text_array(set_.datum(C::source_documents))) {
            if (!sent.contains(name)) progress_.done.left.push_back(name);
        }
        if (progress_.done.left.empty()) progress_.job.clear(C::checkpoint);  // otherwise the next request gets the next number
        record_set(progress_);
        announce_ended_at_commit();
        insert_requests(kept_);
        return HttpFate::over;
    }
    void hand_over(const std::string& name) {
        DocumentsDone one = sync_job::hand_over(set_, {name});
        progress_.done[Count::handed_over]++;
        progress_.done.jobs.push_back(std::move(one.jobs[0]));
    }

private:
    Job job_for(const std::string& name) const {
        Job job = set_.copy();
        job.clear(C::source_documents);
        job.set_text(C::source_document_name, name);
        return job;
    }
    void add_well(const std::string& name) {
        progress_.done[Count::updated]++;
        Outcome outcome;
        outcome.job = job_for(name);
        outcome.job.set_text(C::operation, to_text(Operation::update));
        outcome.job.set_status(Status::finished);
        progress_.done.documents.push_back(document_row(name, outcome));
    }
    void add_failed(const std::string& name, const pg::Error& error) {
        progress_.done[Count::failed]++;
        Outcome outcome = failed_outcome(job_for(name), error, true);
        outcome.job = job_of_its_own(set_, name, &outcome.job);
        progress_.done.jobs.push_back(std::move(outcome));
    }
    void add_written(const std::string& name, const HttpReply& reply) {
        PushStep step{&reply};
        AttemptLimits limits;
        limits.may_repeat = false;
        limits.lock_patience_microseconds = write_back_patience;
        limits.push = &step;
        Outcome outcome = attempt(job_for(name), limits);
        pg::command_counter_increment();
        if (outcome.waits_for_lock) throw LockedDocument(pg::Error("55P03", "document " + quoted(name) + " is locked"));
        bool ended = outcome.verdict == Verdict::ended;
        if (ended && outcome.error == nullptr && outcome.job.status() == Status::finished) return add_well(name);
        if (!ended) outcome = Outcome();
        keep_answer(name, reply, std::move(outcome));
    }
    // The server has received the document, and its answer is known: the document leaves the set with its answer, and nothing is sent for
    // it again. `failed`: the outcome of the write-back; without an error, it has not been tried.
    void keep_answer(const std::string& name, const HttpReply& reply, Outcome failed) {
        bool tried = failed.error != nullptr;
        progress_.done[tried ? Count::failed : Count::handed_over]++;
        bool again = !tried || !failed.job.is_null(C::retry_after);
        failed.job = job_of_its_own(set_, name, tried ? &failed.job : nullptr);
        if (again) {
            HttpFlight own;
            own.job = failed.job.id();
            own.number = 1;
            own.request = pg::json_to_text(without_documents(flight_));
            own.answer = pg::json_to_text(json_of(reply));
            own.documents = {document_key(job_for(name))};
            set_requests(failed.job, own.number);
            kept_.push_back(std::move(own));
        }
        progress_.done.jobs.push_back(std::move(failed));
    }

    const Job& set_;
    const HttpFlight& flight_;
    HttpPush& push_;
    SetProgress progress_;
    std::vector<HttpFlight> kept_;
};

}  // namespace

Datum json_of(const HttpAnswer& answer) {
    pg::JsonBuilder json;
    json.begin_object();
    json.key("status");
    json.number(answer.status);
    json.key("headers");
    json.begin_object();
    for (const auto& [name, value] : answer.headers) {
        if (pg::is_text(name) && pg::is_text(value)) json.field(name, value);
    }
    json.end_object();
    if (auto body = parsed(answer.body)) {
        json.key("body");
        json.value(*body, false, pg::type::jsonb, false);
    }
    json.end_object();
    return json.finish();
}

HttpReply reply_of(Datum json) {
    HttpReply reply{0, no_value(), no_value()};
    for (const pg::JsonField& field : pg::json_fields(json)) {
        if (field.key == "status") reply.status = std::stoi(field.text);
        if (field.key == "headers") reply.headers = field;
        if (field.key == "body") reply.body = field;
    }
    return reply;
}

bool reads_answers(const HttpBatch& batch) { return !batch.status.empty() || !batch.answers.empty() || !batch.answer_key.empty(); }

std::vector<std::string> batch_names(const HttpFlight& flight, const char* key) {
    std::vector<std::string> names;
    for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(flight.request))) {
        if (field.key != key) continue;
        for (const pg::JsonField& name : pg::json_elements(field.value)) names.push_back(name.text);
    }
    return names;
}

HttpReply own_part(const HttpReply& reply, const HttpPush& push, const HttpFlight& flight) {
    if (!push.declaration().batch || batch_names(flight).empty()) return reply;
    HttpReply own = reply;
    own.body = answers_of(reply, *push.declaration().batch, flight)[0];
    if (!is_well(own.body, *push.declaration().batch)) throw UnusableAnswer(refused_document(own.body, *push.declaration().batch, flight));
    return own;
}

HttpFate end_batch(const Job& set, const HttpFlight& flight, const HttpReply* reply, HttpPush& push, bool apart) {
    EndedBatch batch(set, flight, push);
    std::vector<std::string> names = batch_names(flight);
    std::vector<pg::JsonField> answers;
    if (reply != nullptr) answers = answers_of(*reply, *push.declaration().batch, flight);
    for (std::size_t i = 0; i < names.size(); i++) {
        if (reply == nullptr) {
            batch.add(names[i], nullptr);
            continue;
        }
        HttpReply own{reply->status, reply->headers, answers[i]};
        apart ? batch.add_apart(names[i], own) : batch.add(names[i], &own);
    }
    return batch.record();
}

HttpFate break_up_batch(const Job& set, const HttpFlight& flight) {
    auto type = find_job_type(flight.type);
    auto controller = find_controller(*type);
    EndedBatch batch(set, flight, *controller->push());
    for (const std::string& name : batch_names(flight)) batch.hand_over(name);
    return batch.record();
}

}  // namespace sync_job
