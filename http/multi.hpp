// libcurl's multi interface behind the poller: connections are kept, and handles are reused.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <vector>

#include "poller.hpp"

namespace sync_job::http {

class Multi {
public:
    struct Finished {
        CURL* handle;
        CURLcode code;
    };

    Multi(Poller& poller, int max_connections);
    Multi(const Multi&) = delete;
    Multi& operator=(const Multi&) = delete;
    ~Multi();

    // A handle without settings; add() starts it, give_back() ends it at any point.
    CURL* handle();
    void add(CURL* handle);
    void give_back(CURL* handle) noexcept;

    void process(const Poller::Event& event);
    // Processes what is due, including handles that were just added.
    void process(Clock::time_point now);
    // -1: nothing is pending.
    int64_t next_timeout_ms(Clock::time_point now) const;
    std::vector<Finished> finished();

private:
    static int socket_changed(CURL* handle, curl_socket_t fd, int what, void* multi, void* socket_data);
    static int timer_changed(CURLM* multi_handle, long timeout_ms, void* multi);

    struct Global {
        Global();
        ~Global() { curl_global_cleanup(); }
    };
    struct CleanUp {
        void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
    };

    Poller& poller_;
    const Global global_;
    std::unique_ptr<CURLM, CleanUp> multi_;
    std::vector<CURL*> idle_;
    bool timer_ = false;
    Clock::time_point due_{};
};

}  // namespace sync_job::http
