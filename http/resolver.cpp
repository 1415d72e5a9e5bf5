#include "resolver.hpp"

#include <algorithm>

namespace sync_job::http {

namespace {

constexpr std::chrono::seconds shortest_life{1}, longest_life{300};
constexpr size_t known_at_most = 256;

Failure failure_of(const std::string& host, int status) {
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME) {
        return {SYNC_JOB_HTTP_NAME_NOT_FOUND, "host \"" + host + "\" does not exist"};
    }
    return {status == ARES_ENOMEM ? SYNC_JOB_HTTP_INTERNAL : SYNC_JOB_HTTP_NAME_FAILED,
            "could not look up host \"" + host + "\": " + ares_strerror(status)};
}

}  // namespace

void Lookup::avoid(const Address& address) {
    const auto found = std::ranges::find(addresses_, address);
    if (found != addresses_.end()) std::rotate(found, found + 1, addresses_.end());
}

void Lookup::answered(int status, const ares_addrinfo* result) {
    int life = status == ARES_SUCCESS ? INT32_MAX : 0;
    for (const ares_addrinfo_node* node = status == ARES_SUCCESS ? result->nodes : nullptr; node != nullptr; node = node->ai_next) {
        life = std::min(life, node->ai_ttl);
        const auto address = Address::of(*node->ai_addr);
        if (address && std::ranges::find(addresses_, *address) == addresses_.end()) addresses_.push_back(*address);
    }
    if (preferred_) {
        const auto found = std::ranges::find(addresses_, *preferred_);
        if (found != addresses_.end()) std::rotate(addresses_.begin(), found, found + 1);
    }
    if (addresses_.empty()) failure_ = failure_of(host_, status == ARES_SUCCESS ? ARES_ENODATA : status);
    good_until_ = Clock::now() + std::clamp<Clock::duration>(std::chrono::seconds(std::max(life, 0)), shortest_life, longest_life);
}

Resolver::Resolver(Poller& poller, std::string servers) : poller_(poller), servers_(std::move(servers)) {
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) throw std::bad_alloc();
}

Resolver::~Resolver() {
    for (Question& question : questions_) ares_destroy(question.channel);
    ares_library_cleanup();
}

std::shared_ptr<Lookup> Resolver::look_up(const std::string& host) {
    std::shared_ptr<Lookup>& known = known_[host];
    if (known && (!known->done_ || Clock::now() < known->good_until_)) return known;
    const std::shared_ptr<Lookup> lookup(new Lookup(host));
    if (known && !known->addresses_.empty()) lookup->preferred_ = std::make_unique<Address>(known->addresses_.front());
    known = lookup;
    ask(lookup);
    drop_old(Clock::now());
    return lookup;
}

void Resolver::ask(const std::shared_ptr<Lookup>& lookup) {
    Question& question = questions_.emplace_back(this, lookup);
    ares_options options{};
    options.timeout = 2000;
    options.tries = 3;
    options.sock_state_cb = socket_changed;
    options.sock_state_cb_data = &question;
    int status = ares_init_options(&question.channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS && !servers_.empty()) status = ares_set_servers_ports_csv(question.channel, servers_.c_str());
    if (status != ARES_SUCCESS) {
        answered(lookup.get(), status, 0, nullptr);
        return;
    }
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(question.channel, lookup->host_.c_str(), nullptr, &hints, answered, lookup.get());
}

// So that redirects to more and more hosts do not fill the memory.
void Resolver::drop_old(Clock::time_point now) {
    if (known_.size() <= known_at_most) return;
    std::erase_if(known_, [&](const auto& entry) { return entry.second->done_ && entry.second->good_until_ < now; });
}

void Resolver::process(const Poller::Event& event) {
    const auto found = sockets_.find(event.fd);
    if (found == sockets_.end()) return;
    const bool readable = event.readable || event.failed;
    ares_process_fd(found->second->channel, readable ? event.fd : ARES_SOCKET_BAD, event.writable ? event.fd : ARES_SOCKET_BAD);
}

void Resolver::process(Clock::time_point) {
    for (auto question = questions_.begin(); question != questions_.end();) {
        if (!question->lookup->done()) ares_process_fd(question->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        if (question->lookup->done()) {
            if (question->channel != nullptr) ares_destroy(question->channel);
            question = questions_.erase(question);
        } else {
            ++question;
        }
    }
}

int64_t Resolver::next_timeout_ms() const {
    int64_t result = -1;
    for (const Question& question : questions_) {
        if (question.lookup->done()) return 0;
        timeval most{.tv_sec = 60, .tv_usec = 0}, left{};
        const timeval* wait = ares_timeout(question.channel, &most, &left);
        const int64_t milliseconds = wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000;
        result = result < 0 ? milliseconds : std::min(result, milliseconds);
    }
    return result;
}

void Resolver::socket_changed(void* data, ares_socket_t fd, int readable, int writable) {
    Question& question = *static_cast<Question*>(data);
    Resolver& resolver = *question.resolver;
    if (!readable && !writable) {
        resolver.sockets_.erase(fd);
    } else {
        try {
            resolver.sockets_[fd] = &question;
        } catch (...) {
            return;  // the time-out ends the look-up
        }
    }
    resolver.poller_.watch(Poller::Owner::resolver, fd, readable != 0, writable != 0);
}

void Resolver::answered(void* data, int status, int, ares_addrinfo* result) {
    Lookup& lookup = *static_cast<Lookup*>(data);
    lookup.done_ = true;
    try {
        lookup.answered(status, result);
    } catch (...) {
        lookup.addresses_.clear();
        lookup.failure_.error = SYNC_JOB_HTTP_INTERNAL;
    }
    ares_freeaddrinfo(result);
}

}  // namespace sync_job::http
