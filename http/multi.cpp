#include "multi.hpp"

#include <algorithm>
#include <stdexcept>

namespace sync_job::http {

namespace {

void check(CURLMcode code) {
    if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code != CURLM_OK) throw std::runtime_error(curl_multi_strerror(code));
}

}  // namespace

// Without signals: libcurl is initialized for TLS only. Its own name look-up, which would use signals, never happens, as it gets addresses.
Multi::Global::Global() {
    if (curl_global_init(CURL_GLOBAL_SSL) != CURLE_OK) throw std::runtime_error("could not initialize libcurl");
}

Multi::Multi(Poller& poller, int max_connections) : poller_(poller), multi_(curl_multi_init()) {
    if (!multi_) throw std::bad_alloc();
    check(curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, socket_changed));
    check(curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this));
    check(curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, timer_changed));
    check(curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this));
    check(curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(max_connections)));
    check(curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING)));
}

Multi::~Multi() {
    for (CURL* handle : idle_) curl_easy_cleanup(handle);
}

CURL* Multi::handle() {
    idle_.reserve(idle_.size() + 1);  // so that giving it back needs no memory
    CURL* handle = nullptr;
    if (idle_.empty()) {
        handle = curl_easy_init();
    } else {
        handle = idle_.back();
        idle_.pop_back();
    }
    if (handle == nullptr) throw std::bad_alloc();
    return handle;
}

void Multi::add(CURL* handle) { check(curl_multi_add_handle(multi_.get(), handle)); }

void Multi::give_back(CURL* handle) noexcept {
    curl_multi_remove_handle(multi_.get(), handle);
    curl_easy_reset(handle);
    if (idle_.size() < idle_.capacity()) {
        idle_.push_back(handle);
    } else {
        curl_easy_cleanup(handle);
    }
}

void Multi::process(const Poller::Event& event) {
    // libcurl finds out by itself why a socket has failed.
    const int what = event.failed ? 0 : (event.readable ? CURL_CSELECT_IN : 0) | (event.writable ? CURL_CSELECT_OUT : 0);
    int running = 0;
    curl_multi_socket_action(multi_.get(), event.fd, what, &running);
}

void Multi::process(Clock::time_point now) {
    if (!timer_ || due_ > now) return;
    timer_ = false;
    int running = 0;
    curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
}

int64_t Multi::next_timeout_ms(Clock::time_point now) const {
    if (!timer_) return -1;
    return std::max<int64_t>(0, std::chrono::ceil<Milliseconds>(due_ - now).count());
}

std::vector<Multi::Finished> Multi::finished() {
    std::vector<Finished> result;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg == CURLMSG_DONE) result.push_back({message->easy_handle, message->data.result});
    }
    return result;
}

int Multi::socket_changed(CURL*, curl_socket_t fd, int what, void* multi, void*) {
    const bool in = what == CURL_POLL_IN || what == CURL_POLL_INOUT, out = what == CURL_POLL_OUT || what == CURL_POLL_INOUT;
    return static_cast<Multi*>(multi)->poller_.watch(Poller::Owner::curl, fd, in, out) ? 0 : -1;
}

int Multi::timer_changed(CURLM*, long timeout_ms, void* data) {
    Multi& multi = *static_cast<Multi*>(data);
    multi.timer_ = timeout_ms >= 0;
    multi.due_ = Clock::now() + Milliseconds(timeout_ms);
    return 0;
}

}  // namespace sync_job::http
