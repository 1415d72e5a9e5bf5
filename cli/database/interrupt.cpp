// Ctrl-C: see the header. The handler does only what a signal handler may: it sets a flag and calls PQcancel, which libpq allows there.
#include "database/interrupt.hpp"

#include "database/error.hpp"

#include <atomic>
#include <csignal>
#include <poll.h>

namespace sync_job::interrupt {

namespace {

std::atomic<PGcancel*> under_way{nullptr};
volatile std::sig_atomic_t asked = 0;

void handle(int) {
    asked = 1;
    if (PGcancel* cancel = under_way.load()) {
        char error[256];
        PQcancel(cancel, error, sizeof error);
    }
}

}  // namespace

void watch() {
    struct sigaction action = {};
    action.sa_handler = handle;  // without SA_RESTART: a read of a password or a sleep ends
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

void cancel_with(PGcancel* cancel) {
    under_way.store(cancel);
}

bool requested() {
    return asked != 0;
}

void check() {
    if (requested()) {
        throw Interrupted();
    }
}

void sleep(std::chrono::milliseconds time) {
    check();
    poll(nullptr, 0, static_cast<int>(time.count()));  // a signal ends it
    check();
}

}  // namespace sync_job::interrupt
