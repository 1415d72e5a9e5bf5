// The single descriptor that the caller waits for; behind it are the sockets of libcurl and c-ares.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <new>
#include <stdexcept>

namespace sync_job::http {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

class Poller {
public:
    enum class Owner : uint32_t { curl, resolver };
    struct Event {
        Owner owner;
        int fd;
        bool readable, writable, failed;
    };

    Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        if (epoll_ < 0) throw std::runtime_error("could not create an epoll descriptor");
    }
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    ~Poller() { close(epoll_); }

    int fd() const { return epoll_; }

    // Neither readable nor writable: stops watching. False: the kernel refuses it. A socket may have been closed, and its number reused,
    // without notice.
    bool watch(Owner owner, int fd, bool readable, bool writable) noexcept {
        if (!readable && !writable) {
            epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
            return true;
        }
        epoll_event event{};
        event.events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
        event.data.u64 = static_cast<uint64_t>(owner) << 32 | static_cast<uint32_t>(fd);
        return epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0 || (errno == ENOENT && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
    }

    // Calls the function for each event that is there now.
    template <typename Function>
    void events(Function function) {
        epoll_event events[256];
        const int count = epoll_wait(epoll_, events, 256, 0);
        for (int i = 0; i < count; i++) {
            const uint32_t what = events[i].events;
            function(Event{static_cast<Owner>(events[i].data.u64 >> 32), static_cast<int>(events[i].data.u64 & 0xffffffff), (what & EPOLLIN) != 0,
                           (what & EPOLLOUT) != 0, (what & (EPOLLERR | EPOLLHUP)) != 0});
        }
    }

private:
    const int epoll_;
};

}  // namespace sync_job::http
