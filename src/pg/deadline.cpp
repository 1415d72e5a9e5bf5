#include "pg/server.hpp"

#include <csignal>

#include "pg/deadline.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

namespace {

volatile sig_atomic_t fired = 0;
TimeoutId timeout_id = MAX_TIMEOUTS;
int registered_in = 0;  // the process: a forked one registers anew

void at_deadline() {
    fired = 1;
    QueryCancelPending = true;
    InterruptPending = true;
    SetLatch(MyLatch);
}

}  // namespace

Deadline::Deadline(std::int64_t microseconds) {
    fired = 0;
    if (microseconds <= 0) return;
    guarded([&] {
        if (registered_in != MyProcPid) {
            timeout_id = RegisterTimeout(USER_TIMEOUT, at_deadline);
            registered_in = MyProcPid;
        }
        constexpr int repeat_milliseconds = 1000;
        enable_timeout_every(timeout_id, GetCurrentTimestamp() + microseconds, repeat_milliseconds);
    });
    running_ = true;
}

void Deadline::stop() {
    if (!running_) return;
    running_ = false;
    disable_timeout(timeout_id, false);
    if (fired) QueryCancelPending = false;
}

Deadline::~Deadline() { stop(); }

bool Deadline::passed() const { return fired != 0; }

}  // namespace sync_job::pg
