#include "pg/server.hpp"

#include "pg/error.hpp"
#include "pg/lock_patience.hpp"

namespace sync_job::pg {

namespace {

LockPatience* volatile current = nullptr;
TimeoutId look_timeout = MAX_TIMEOUTS;
int registered_in = 0;  // the process in which it is registered; a forked process registers again

void at_look() {
    if (current != nullptr) current->look();
}

}  // namespace

LockPatience::LockPatience(std::int64_t microseconds) {
    if (microseconds <= 0 || current != nullptr) return;
    if (registered_in != MyProcPid) {
        look_timeout = guarded([] { return RegisterTimeout(USER_TIMEOUT, at_look); });
        registered_in = MyProcPid;
    }
    current = this;
    running_ = true;
    auto half = static_cast<int>(microseconds / 2000);
    enable_timeout_every(look_timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), half), half);
}

void LockPatience::look() noexcept {
    if (gave_up()) return;
    if (MyProc == nullptr || MyProc->waitStatus != PROC_WAIT_STATUS_WAITING) {
        current = nullptr;  // the process is working
        return;
    }
    looks_ = looks_ + 1;
    if (!gave_up()) return;
    QueryCancelPending = true;
    InterruptPending = true;
    SetLatch(MyLatch);
}

void LockPatience::stop() {
    if (!running_) return;
    running_ = false;
    disable_timeout(look_timeout, false);
    current = nullptr;
    if (gave_up()) QueryCancelPending = false;
}

LockPatience::~LockPatience() { stop(); }

}  // namespace sync_job::pg
