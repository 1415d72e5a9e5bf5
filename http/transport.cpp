#include "transport.hpp"

#include <algorithm>

namespace sync_job::http {

namespace {

constexpr int pause_status[] = {429, 503};

// The earlier of two times; -1 means never.
int64_t earlier(int64_t left, int64_t right) { return left < 0 ? right : right < 0 ? left : std::min(left, right); }

}  // namespace

Transport::Transport(const Settings& settings)
    : user_agent_(settings.user_agent),
      max_in_flight_(settings.max_in_flight),
      resolver_(poller_, settings.dns_servers),
      multi_(poller_, settings.max_in_flight) {}

void Transport::set_endpoint(const SyncJobHttpEndpoint& given) {
    auto settings = std::make_shared<const EndpointSettings>(given);
    const auto [entry, is_new] = endpoints_.try_emplace(settings->name);
    entry->second.change(std::move(settings));
    if (is_new) turns_.push_back(&entry->second);
}

void Transport::pause(const std::string& name, int64_t pause_ms) {
    const auto found = endpoints_.find(name);
    if (found == endpoints_.end()) return;
    found->second.pause(Clock::now() + Milliseconds(std::clamp<int64_t>(pause_ms, 0, INT32_MAX)));
}

SyncJobHttpState Transport::state(const std::string& name) const {
    const auto found = endpoints_.find(name);
    return found == endpoints_.end() ? SyncJobHttpState{} : found->second.state(Clock::now(), max_in_flight_ - in_flight_);
}

void Transport::send(const SyncJobHttpRequest& given) {
    Request request(given);
    const uint64_t id = request.id;
    const auto endpoint = endpoints_.find(request.endpoint);
    if (endpoint == endpoints_.end()) throw Invalid("there is no endpoint \"" + request.endpoint + "\"");
    const auto [entry, is_new] = requests_.try_emplace(id, std::move(request), &endpoint->second);
    if (!is_new) throw Invalid("request " + std::to_string(id) + " is in flight already");
    try {
        endpoint->second.wait(&entry->second.exchange);
    } catch (...) {
        requests_.erase(entry);
        throw;
    }
}

void Transport::cancel(uint64_t id) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) return;
    const auto now = Clock::now();
    Exchange& exchange = found->second.exchange;
    if (!exchange.started()) found->second.endpoint->drop(&exchange);
    exchange.end({SYNC_JOB_HTTP_CANCELLED, "cancelled"}, now);
    finish(exchange, now);
}

int64_t Transport::next_timeout_ms() const {
    const auto now = Clock::now();
    if (!answers_.empty()) return 0;
    int64_t result = earlier(multi_.next_timeout_ms(now), resolver_.next_timeout_ms());
    const auto until = [&](Clock::time_point then) { return std::max<int64_t>(0, std::chrono::ceil<Milliseconds>(then - now).count()); };
    for (const Exchange* exchange : resolving_) result = earlier(result, until(exchange->resolving_until()));
    for (const Endpoint* endpoint : turns_) {
        if (in_flight_ < max_in_flight_ && endpoint->has_turn()) result = earlier(result, until(endpoint->opens()));
    }
    return result;
}

int Transport::step() {
    poller_.events([&](const Poller::Event& event) {
        if (event.owner == Poller::Owner::curl) {
            multi_.process(event);
        } else {
            resolver_.process(event);
        }
    });
    auto now = Clock::now();
    resolver_.process(now);
    do {
        multi_.process(now);  // also starts what was just added
        now = Clock::now();
        collect(now);
    } while (start_waiting(now));
    return static_cast<int>(answers_.size());
}

// An error in the function is the failure of this one request.
template <typename Function>
void Transport::contained(Exchange& exchange, Function function) {
    try {
        function();
    } catch (const std::exception& error) {
        exchange.end({SYNC_JOB_HTTP_INTERNAL, error.what()}, Clock::now());
    }
}

// Handles progress: transfers that have ended, names that have been found.
void Transport::collect(Clock::time_point now) {
    for (const Multi::Finished& finished : multi_.finished()) {
        Exchange& exchange = *static_cast<Exchange*>(Transfer::owner(finished.handle));
        contained(exchange, [&] { exchange.transfer_ended(io_, finished.code, now); });
        if (exchange.resolving()) resolving_.push_back(&exchange);  // a redirect
        if (exchange.done()) finish(exchange, now);
    }
    const auto asked = std::move(resolving_);
    resolving_.clear();
    for (Exchange* exchange : asked) {
        contained(*exchange, [&] { exchange->check_lookup(io_, now); });
        if (exchange->resolving()) resolving_.push_back(exchange);
        if (exchange->done()) finish(*exchange, now);
    }
}

// Starts one request of each endpoint in turn. True: something has started.
bool Transport::start_waiting(Clock::time_point now) {
    bool started = false;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < turns_.size() && in_flight_ < max_in_flight_; i++) {
            Exchange* exchange = turns_[i]->start(now);
            if (exchange == nullptr) continue;
            more = started = true;
            in_flight_++;
            contained(*exchange, [&] { exchange->start(io_, now); });
            if (exchange->resolving()) resolving_.push_back(exchange);
            if (exchange->done()) finish(*exchange, now);
        }
        if (!turns_.empty()) std::rotate(turns_.begin(), turns_.begin() + 1, turns_.end());
    }
    return started;
}

void Transport::finish(Exchange& exchange, Clock::time_point now) {
    const auto entry = requests_.find(exchange.request().id);
    Endpoint& endpoint = *entry->second.endpoint;
    if (exchange.started()) {
        in_flight_--;
        endpoint.ended();
        std::erase(resolving_, &exchange);
    }
    answers_.push_back(exchange.take_answer());
    const Answer& answer = *answers_.back();
    const int64_t longest = endpoint.settings()->max_pause_ms, wait = std::min(answer.retry_after_ms, longest);
    if (wait > 0 && std::ranges::find(pause_status, answer.status) != std::end(pause_status)) endpoint.pause_at_least(now + Milliseconds(wait));
    requests_.erase(entry);
}

const SyncJobHttpAnswer* Transport::take() {
    if (answers_.empty()) return nullptr;
    const SyncJobHttpAnswer* seen = answers_.front()->seen_from_c();
    taken_[seen] = std::move(answers_.front());
    answers_.pop_front();
    return seen;
}

void Transport::release(const SyncJobHttpAnswer* answer) { taken_.erase(answer); }

}  // namespace sync_job::http
