#include "serve/login_delay.hpp"

#include <algorithm>

namespace sync_job::serve {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto most_of_address = seconds(5);
constexpr auto most_of_role = seconds(1);
constexpr auto forgotten_after = minutes(10);
constexpr int free_failures = 3;               // so often may one mistype without waiting
constexpr int most_waiting_of_address = 4;     // attempts; the next is turned away
constexpr int most_connecting = 4;             // at once: each takes one of the database server's connections
constexpr std::size_t most_records = 10'000;

}  // namespace

LoginDelay::Attempt::Attempt(LoginDelay& delay, std::string address, std::string role)
    : delay_(delay), address_(std::move(address)), role_(std::move(role)) {}

LoginDelay::Attempt::~Attempt() {
    if (!counted_) return;
    Record& address = delay_.addresses_[address_];
    --address.under_way;
    if (!connecting_) return;
    address.connecting = false;
    --delay_.connecting_;
    delay_.done_.happened();
}

Clock::duration LoginDelay::delay_after(const Record& record, Clock::duration most) {
    const int doubled = std::min(record.failures - free_failures, 10);
    return doubled < 0 ? Clock::duration::zero() : std::min<Clock::duration>(milliseconds(200) * (1 << doubled), most);
}

void LoginDelay::forget_old(std::map<std::string, Record>& records) {
    if (records.size() < most_records) return;
    const auto now = Clock::now();
    std::erase_if(records, [&](const auto& entry) { return entry.second.under_way == 0 && now - entry.second.last > forgotten_after; });
    // Still full: the memory has a limit, and so all begin anew.
    if (records.size() >= most_records) std::erase_if(records, [](const auto& entry) { return entry.second.under_way == 0; });
}

// One address makes one attempt at a time, so that its failures count for its next one. A success takes nothing back: who has a
// role of their own could guess at others' without end.
Async<bool> LoginDelay::Attempt::turn() {
    forget_old(delay_.addresses_);
    forget_old(delay_.roles_);
    Record& address = delay_.addresses_[address_];
    if (address.under_way > most_waiting_of_address) co_return false;
    ++address.under_way;
    counted_ = true;
    for (;;) {
        const auto now = Clock::now();
        if (now - address.last > forgotten_after) address.failures = 0;
        const auto role = delay_.roles_.find(role_);
        auto from = address.last + delay_after(address, most_of_address);
        if (role != delay_.roles_.end() && now - role->second.last <= forgotten_after) {
            from = std::max(from, role->second.last + delay_after(role->second, most_of_role));
        }
        if (now >= from && !address.connecting && delay_.connecting_ < most_connecting) break;
        co_await delay_.done_.wait_until(now < from ? from : Clock::time_point::max());
    }
    ++delay_.connecting_;
    connecting_ = address.connecting = true;
    co_return true;
}

void LoginDelay::Attempt::failed() {
    for (Record* record : {&delay_.addresses_[address_], &delay_.roles_[role_]}) {
        ++record->failures;
        record->last = Clock::now();
    }
}

}  // namespace sync_job::serve
