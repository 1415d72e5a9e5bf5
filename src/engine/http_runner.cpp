#include "engine/http_runner.hpp"

#include <algorithm>

#include "controller/controller.hpp"
#include "controller/http_declaration.hpp"
#include "core/text.hpp"
#include "job/job_store.hpp"
#include "pg/background.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/record.hpp"
#include "queue/transition.hpp"
#include "shared/activity.hpp"
#include "shared/settings.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;
using C = JobColumn;

// How much is claimed in advance, so that an answer makes room for the next request at once.
int ahead_of(int in_flight) { return std::max(1, in_flight / 2); }
// During a pause shorter than this, jobs that are already claimed wait it out.
constexpr std::int64_t short_pause = 2000;
// A backend's snapshot cache holds 64 subtransactions of a transaction; a write-back uses at least one.
constexpr int most_subtransactions = 48;
// After this time, a transaction begins nothing more.
constexpr auto longest_round = std::chrono::milliseconds(200);

}  // namespace

HttpRunner::HttpRunner(std::string queue, Oid run_as, Transactions& transactions, WorkerSlot& slot)
    : queue_(std::move(queue)), run_as_(run_as), transactions_(transactions), slot_(slot), memory_("sync job HTTP round", pg::Memory::Parent::backend) {}

HttpTransport& HttpRunner::transport() {
    if (transport_ != nullptr) return *transport_;
    try {
        transport_ = std::make_unique<HttpTransport>();
        show_types_alone("");
    } catch (const pg::Error& error) {
        show_types_alone("HTTP pushes wait: " + error.report().message);
        throw;
    }
    return *transport_;
}

// --- Between transactions ---

bool HttpRunner::step() {
    ask_for_cancel();
    transport().step();
    while (auto answer = transport().take()) {
        send_ended(*answer);
        auto flight = flights_.find(answer->job);
        if (flight == flights_.end()) continue;
        auto endpoint = endpoints_.find(flight->second.endpoint);
        bool asks = (answer->status == 429 || answer->status == 503) && answer->retry_after > 0 && endpoint != endpoints_.end();
        if (asks) note_pause(endpoint->second.server, std::min<std::int64_t>(answer->retry_after, endpoint->second.longest_pause) * 1000);
        arrived_.push_back({answer->job, std::move(*answer)});
    }
    send_ready();
    return !arrived_.empty() || any_answer_due();
}

void HttpRunner::ask_for_cancel() {
    std::int64_t job = slot_.cancel_job;
    if (job == 0 || slot_.cancel_known) return;
    slot_.cancel_known = true;
    auto flight = flights_.find(job);
    if (flight == flights_.end()) {
        slot_.cancel_job = 0;
        return;
    }
    if (flight->second.sent && !flight->second.answer) return transport().cancel(job);
    HttpAnswer never_sent;
    never_sent.job = job;
    never_sent.canceled = true;
    std::erase(ready_[flight->second.endpoint], job);
    std::erase(answered_, job);
    arrived_.push_back({job, never_sent});
}

void HttpRunner::send_ready() {
    next_turn_ = -1;
    for (auto& [endpoint, jobs] : ready_) {
        std::deque<std::int64_t> of_full_types;
        while (!jobs.empty() && begin_first(endpoint, jobs, of_full_types)) {
        }
        auto known = endpoints_.find(endpoint);  // a share of the endpoint is of no use to jobs whose type has no room
        if (known != endpoints_.end()) show_waiting_requests(endpoint_key(known->second.server), static_cast<int>(jobs.size()));
        jobs.insert(jobs.begin(), of_full_types.begin(), of_full_types.end());
    }
    std::map<RequestKey, int> waiting;  // waiting requests, by type
    for (const auto& [endpoint, jobs] : ready_) {
        for (std::int64_t job : jobs) {
            if (RequestKey type = limits_of(flights_.at(job)).type; type != 0) waiting[type]++;
        }
    }
    for (const RequestUse& use : request_uses(slot_)) {
        if (use.key != 0 && !is_endpoint_key(use.key)) show_waiting_requests(use.key, waiting[use.key]);
    }
}

// False: no request to the endpoint may begin now.
bool HttpRunner::begin_first(const std::string& endpoint, std::deque<std::int64_t>& jobs, std::deque<std::int64_t>& of_full_types) {
    auto flight = flights_.find(jobs.front());
    bool usable = transport().can_use(endpoint);  // if not, the attempt reports why
    if (flight != flights_.end() && usable) {
        if (transport().room(endpoint) <= 0) return false;
        RequestLimits limits = limits_of(flight->second);
        Turn turn = begin_request(limits);
        if (turn.is != Turn::Is::now && turn.wait >= 0) {
            std::int64_t wait = (turn.wait + 999) / 1000;
            next_turn_ = next_turn_ < 0 ? wait : std::min(next_turn_, wait);
        }
        if (turn.is == Turn::Is::later) return false;
        if (turn.is == Turn::Is::of_type_later) {
            of_full_types.push_back(jobs.front());
            jobs.pop_front();
            return true;
        }
        begun_[flight->first] = {limits.server, limits.type, Clock::now()};
    }
    jobs.pop_front();
    if (flight != flights_.end()) send(flight->second);
    transport().step();  // so that room() counts it
    return true;
}

RequestLimits HttpRunner::limits_of(const HttpFlight& flight) const {
    const HttpEndpoint& endpoint = endpoints_.at(flight.endpoint);
    RequestLimits limits{endpoint.server, endpoint.in_flight, endpoint.per_second};
    if (flight.most_of_type == 0) return limits;
    limits.type = type_requests_key(type_key(flight.type));
    limits.of_type = flight.most_of_type;
    return limits;
}

void HttpRunner::send(HttpFlight& flight) {
    pg::MemorySwitch memory(memory_);
    flight.sent = true;
    std::string key = installation_ + "-" + std::to_string(flight.job) + "-" + std::to_string(flight.number);
    HttpTransport::Sending sending{flight.job, flight.endpoint, 0, key, flight.timeout};
    try {
        sending.request = pg::json_from_text(flight.request);
        transport().send(sending);
    } catch (const pg::Error& error) {
        HttpAnswer refused;
        refused.job = flight.job;
        refused.outcome = HttpAnswer::Outcome::not_sent;
        refused.error = error.report().message;
        send_ended(refused);
        arrived_.push_back({flight.job, refused});
    }
}

void HttpRunner::send_ended(const HttpAnswer& answer) {
    auto begun = begun_.find(answer.job);
    if (begun == begun_.end()) return;
    constexpr int not_sent = -1;
    auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun->second.at).count();
    end_request(begun->second.server, begun->second.type);
    bool sent = answer.outcome != HttpAnswer::Outcome::not_sent;
    count_request(begun->second.server, !sent ? not_sent : answer.outcome == HttpAnswer::Outcome::definite ? answer.status : 0, took);
    begun_.erase(begun);
}

std::int64_t HttpRunner::next_time() {
    if (!arrived_.empty() || any_answer_due()) return 0;
    std::int64_t next = transport().next_timeout();
    auto lower = [&](std::int64_t time) {
        if (time >= 0 && (next < 0 || time < next)) next = time;
    };
    for (const auto& [endpoint, jobs] : ready_) {
        if (!jobs.empty()) lower(transport().room_in(endpoint) > 0 ? transport().room_in(endpoint) : -1);
    }
    lower(next_turn_);
    for (std::int64_t job : answered_) lower(std::max<std::int64_t>(0, (flights_.at(job).again_at - pg::now() + 999) / 1000));
    if (resumes_ != Clock::time_point::max()) {
        lower(std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(resumes_ - Clock::now()).count()));
    }
    if (more_ && claims_) lower(0);
    return next;
}

// --- Endpoints ---

// Takes over the server's current options. False: it does not exist, or may not be used.
bool HttpRunner::use_endpoint(const std::string& server) {
    try {
        pg::Subtransaction subtransaction;
        HttpEndpoint endpoint = find_endpoint(server, run_as_);
        HttpSecrets secrets = secrets_of(endpoint, run_as_);
        subtransaction.commit();
        transport().use(endpoint, std::move(secrets));
        endpoints_[server] = endpoint;
        std::int64_t pause = (pause_left(endpoint.server) + 999) / 1000;
        if (pause > transport().paused_for(server)) transport().pause(server, pause);
        return true;
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        return false;
    }
}

int HttpRunner::room_of(const JobType& type) {
    constexpr int to_fail = 50;  // jobs at a time; their attempts report what is wrong
    ServerOf& known = servers_[type.name];
    if (known.generation != job_type_generation()) {
        try {
            HttpDeclaration http = read_http_declaration(type.http);
            known = {job_type_generation(), http.server};
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            return to_fail;
        }
    }
    if (!use_endpoint(known.server)) return to_fail;
    const HttpEndpoint& endpoint = endpoints_.at(known.server);
    if (std::int64_t pause = transport().paused_for(known.server); pause > 0) {
        resumes_ = std::min(resumes_, Clock::now() + std::chrono::milliseconds(pause));
        return 0;
    }
    int own = 0, of_type = 0;
    for (const auto& [job, flight] : flights_) {
        if (flight.endpoint == known.server && !flight.answer) own++;
        if (flight.type == type.name) of_type++;
    }
    // A worker without any request takes one, to get its share.
    int room = endpoint.in_flight - requests_of_others(endpoint_key(endpoint.server)) + ahead_of(endpoint.in_flight) - own;
    if (own == 0) room = std::max(room, 1);
    if (!type.concurrency_limit) return room;
    int left = *type.concurrency_limit - requests_of_others(type_requests_key(type_key(type.name))) - of_type;
    return std::min(room, of_type == 0 ? std::max(left, 1) : left);
}

// --- Rounds ---

int HttpRunner::run_round() {
    memory_.reset();
    pg::MemorySwitch memory(memory_);
    step();
    bool records = !arrived_.empty() || any_answer_due() || !loaded_;
    auto now = Clock::now();
    bool looks = claims_ && (more_ || records || now >= resumes_ || now - looked_ >= std::chrono::milliseconds(settings.poll_interval));
    if (!looks && !records) return 0;
    Done done;
    std::vector<std::int64_t> later;  // answers to be written back in the next round
    try {
        transactions_.begin();
        if (!loaded_) load_left_over();
        for (const Arrived& arrived : arrived_) settle_one(arrived, done);
        later = write_back(done);
        record_requests(done);
        give_back_waiting(done);
        if (looks) claim(done);
        transactions_.commit();
    } catch (const pg::Error& error) {
        transactions_.rollback();
        more_ = true;
        if ((arrived_.empty() && !any_answer_due()) || pg::is_server_trouble(error)) throw;
        run_apart();
        return 1;
    }
    int count = static_cast<int>(arrived_.size() + answered_.size() - later.size() + done.begun.size());
    arrived_.clear();
    answered_ = std::move(later);
    apply(done);
    show();
    return count;
}

void HttpRunner::settle_one(const Arrived& arrived, Done& done) {
    auto found = flights_.find(arrived.job);
    if (found == flights_.end()) return;
    HttpFlight flight = found->second;
    std::string reason(slot_.cancel_job == arrived.job ? slot_.cancel_reason : "");
    bool by_somebody = slot_.cancel_job == arrived.job;
    HttpFate fate = settle(flight, arrived.answer, by_somebody ? &reason : nullptr);
    pg::command_counter_increment();
    if (fate == HttpFate::over) done.forgotten.push_back(arrived.job);
    fate == HttpFate::answered ? done.changed.push_back(std::move(flight)) : done.over.push_back(arrived.job);
}

// Uses one statement for all answers and one for all deletions. Called before anything is claimed, so that the documents are free by then.
void HttpRunner::record_requests(const Done& done) {
    std::vector<const HttpFlight*> answered;
    for (const HttpFlight& flight : done.changed) {
        if (flight.repeats == 0) answered.push_back(&flight);  // otherwise it is stored already
    }
    store_answers(answered);
    delete_requests(done.forgotten);
    pg::command_counter_increment();
}

bool HttpRunner::is_due(std::int64_t job) const {
    auto flight = flights_.find(job);
    return flight == flights_.end() || flight->second.again_at <= pg::now();
}

bool HttpRunner::any_answer_due() const {
    return std::any_of(answered_.begin(), answered_.end(), [this](std::int64_t job) { return is_due(job); });
}

// Writes back answers as long as the transaction stays short: rows that one has written are locked until its end. Returns those that are
// left for the next transaction.
std::vector<std::int64_t> HttpRunner::write_back(Done& done) {
    std::vector<std::int64_t> later;
    auto end = Clock::now() + longest_round;
    bool goes_on = true;
    for (std::int64_t job : answered_) {
        goes_on = goes_on && pg::cached_subtransactions() < most_subtransactions && Clock::now() < end;
        if (!goes_on || !is_due(job)) {
            later.push_back(job);
        } else {
            goes_on = write_back_one(job, done);
        }
    }
    return later;
}

// False: it met a lock, and the holder may be waiting for this transaction.
bool HttpRunner::write_back_one(std::int64_t job, Done& done) {
    auto found = flights_.find(job);
    if (found == flights_.end()) return true;
    HttpFlight flight = found->second;
    HttpFate fate = sync_job::write_back(flight);
    pg::command_counter_increment();
    bool again = fate == HttpFate::again;
    if (fate == HttpFate::over) done.forgotten.push_back(job);
    again ? done.changed.push_back(std::move(flight)) : done.over.push_back(job);
    return !again;
}

// The endpoint asks for a long pause: requests that have not been sent yet go back to the queue.
void HttpRunner::give_back_waiting(Done& done) {
    for (const auto& [endpoint, jobs] : ready_) {
        if (jobs.empty() || transport().paused_for(endpoint) < short_pause) continue;
        for (std::int64_t job : jobs) {
            auto flight = flights_.find(job);
            if (flight == flights_.end() || flight->second.sent) continue;
            auto stored = lock_job(job);
            if (stored && stored->job.status() == Status::started) recover_job(*stored, nullptr, 0);
            if (flight->second.fresh) delete_requests({job});  // otherwise what was sent before is sent again unchanged
            done.over.push_back(job);
        }
    }
}

void HttpRunner::claim(Done& done) {
    looked_ = Clock::now();
    resumes_ = Clock::time_point::max();
    more_ = false;
    auto queue = find_queue(queue_);
    if (queue == nullptr || queue->paused) return;
    HttpClaim claim(queue_, run_as_,
                    {[this](const JobType& type) { return room_of(type); },
                     [this](std::uint64_t key) { return documents_.count(key) > 0; },
                     [this](std::int64_t job) { return set_aside_.has(job) || flights_.count(job) > 0; }},
                    sweeps_);
    done.begun = claim.claim();
    more_ = claim.met() > 0 || claim.gave_up();
}

// Loads what a worker that has ended had sent: it is sent again, because nobody knows what became of it.
void HttpRunner::load_left_over() {
    installation_ = installation();
    Done done;
    for (HttpFlight& flight : stored_requests(jobs_left_over(queue_, run_as_))) {
        auto stored = find_job(flight.job);
        if (!stored) continue;
        flight.type = std::string(stored->job.text(C::sync_job_type));
        flight.timeout = stored->job.microseconds(C::timeout) / 1000;
        auto type = find_job_type(flight.type);
        if (type != nullptr && type->is_push()) room_of(*type);
        if (type != nullptr) flight.most_of_type = type->concurrency_limit.value_or(0);
        use_endpoint(flight.endpoint);
        done.begun.push_back(std::move(flight));
    }
    apply(done);
    loaded_ = true;
}

void HttpRunner::apply(Done& done) {
    for (std::int64_t job : done.over) forget(job);
    for (HttpFlight& flight : done.changed) {
        std::int64_t job = flight.job;
        flights_[job] = std::move(flight);
        answered_.push_back(job);
    }
    for (HttpFlight& flight : done.begun) {
        for (std::uint64_t key : flight.documents) documents_.emplace(key, flight.job);
        if (flight.answer) {
            answered_.push_back(flight.job);
        } else {
            ready_[flight.endpoint].push_back(flight.job);
        }
        flights_[flight.job] = std::move(flight);
    }
    send_ready();
}

void HttpRunner::forget(std::int64_t job) {
    auto found = flights_.find(job);
    if (found == flights_.end()) return;
    for (std::uint64_t key : found->second.documents) {
        auto [from, to] = documents_.equal_range(key);
        auto own = std::find_if(from, to, [&](const auto& entry) { return entry.second == job; });
        if (own != to) documents_.erase(own);
    }
    std::erase(ready_[found->second.endpoint], job);
    flights_.erase(found);
    if (slot_.cancel_job != job) return;
    slot_.cancel_job = 0;
    slot_.cancel_known = false;
}

// They could not be committed together: running each in a transaction of its own shows which one is the cause.
void HttpRunner::run_apart() {
    for (const Arrived& arrived : std::exchange(arrived_, {})) {
        run_one_apart(arrived.job, [&](Done& done) { settle_one(arrived, done); });
    }
    for (std::int64_t job : std::exchange(answered_, {})) {
        if (is_due(job)) {
            run_one_apart(job, [&](Done& done) { write_back_one(job, done); });
        } else {
            answered_.push_back(job);
        }
    }
}

void HttpRunner::run_one_apart(std::int64_t job, const std::function<void(Done&)>& act) {
    Done done;
    try {
        transactions_.begin();
        act(done);
        record_requests(done);
        transactions_.commit();
        return apply(done);
    } catch (const pg::Error& error) {
        transactions_.rollback();
        if (!pg::is_specific(error)) throw;
        auto flight = flights_.find(job);
        if (flight == flights_.end()) return;
        for (bool bare : {false, true}) {
            try {
                transactions_.begin();
                fail_push(flight->second, error, bare);
                transactions_.commit();
                break;
            } catch (const pg::Error& another) {
                transactions_.rollback();
                if (!pg::is_specific(another)) throw;
                if (bare) set_aside_.add(job, another);
            }
        }
        forget(job);
    }
}

// Publishes its state, for other workers and for monitoring.
void HttpRunner::show() {
    std::vector<std::string> resting;
    for (const auto& [name, endpoint] : endpoints_) {
        if (transport().paused_for(name) > 0) resting.push_back(quoted(name));
    }
    show_types_alone(resting.empty() ? "" : "servers that have asked for a pause: " + join(resting, ", "));
}

}  // namespace sync_job
