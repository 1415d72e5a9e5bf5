#include "pg/server.hpp"

#include "pg/deadline.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

namespace {

Deadline* volatile innermost = nullptr;
TimeoutId timeout_id = MAX_TIMEOUTS;
std::atomic<std::int64_t>* volatile unheeded = nullptr;
int registered_in = 0;  // the process in which it is registered; a forked process registers again

void at_deadline() { Deadline::fire(); }

}  // namespace

void Deadline::fire() noexcept {
    TimestampTz now = GetCurrentTimestamp();
    bool any = false;
    TimestampTz first = now;  // the earliest of those that have passed
    for (Deadline* deadline = innermost; deadline != nullptr; deadline = deadline->outer_) {
        if (deadline->at_ == 0 || deadline->at_ > now) continue;
        if (!deadline->fired_) deadline->waited_ = MyProc != nullptr && MyProc->waitStatus == PROC_WAIT_STATUS_WAITING;
        deadline->fired_ = 1;
        if (deadline->at_ < first) first = deadline->at_;
        any = true;
    }
    if (!any) return;
    constexpr TimestampTz a_while = 10 * USECS_PER_SEC;
    if (unheeded != nullptr && first + a_while < now) unheeded->store(first, std::memory_order_relaxed);
    QueryCancelPending = true;
    InterruptPending = true;
    SetLatch(MyLatch);
}

// Starts the timer for the earliest deadline among this one and the outer ones.
void Deadline::start_timer() const noexcept {
    std::int64_t first = 0;
    for (const Deadline* deadline = this; deadline != nullptr; deadline = deadline->outer_) {
        if (deadline->at_ != 0 && (first == 0 || deadline->at_ < first)) first = deadline->at_;
    }
    constexpr int repeat_milliseconds = 1000;
    if (first != 0) enable_timeout_every(timeout_id, first, repeat_milliseconds);
}

Deadline::Deadline(std::int64_t microseconds) : outer_(innermost) {
    if (microseconds > 0) {
        if (registered_in != MyProcPid) {
            timeout_id = guarded([] { return RegisterTimeout(USER_TIMEOUT, at_deadline); });
            registered_in = MyProcPid;
        }
        at_ = GetCurrentTimestamp() + microseconds;
    }
    start_timer();
    innermost = this;
    running_ = true;
}

void Deadline::stop() {
    if (!running_) return;
    running_ = false;
    if (timeout_id != MAX_TIMEOUTS) disable_timeout(timeout_id, false);
    innermost = outer_;
    if (fired_) QueryCancelPending = false;
    if (fired_ && unheeded != nullptr) unheeded->store(0, std::memory_order_relaxed);
    if (outer_ != nullptr) outer_->start_timer();
}

Deadline::~Deadline() { stop(); }

void tell_of_unheeded(std::atomic<std::int64_t>* where) { unheeded = where; }

void check_interrupts() {
    guarded([] { CHECK_FOR_INTERRUPTS(); });
}

bool Deadline::passed() const { return fired_ != 0; }
bool Deadline::passed_waiting() const { return fired_ != 0 && waited_ != 0; }

}  // namespace sync_job::pg
