#include "serve/login_delay.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace sync_job::serve {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto most_of_address = seconds(5);
constexpr auto most_of_role = seconds(1);
constexpr auto forgotten_after = minutes(10);
constexpr int free_failures = 3;               // so many mistakes are free of a delay
constexpr int most_waiting_of_address = 4;     // attempts; the next is turned away
constexpr int most_connecting = 4;             // at once: each takes one of the database server's connections
constexpr std::size_t most_records = 10'000;

// Whoever has one IPv6 address usually has the whole /64.
std::string network_of(const std::string& text) {
    ErrorCode error;
    const auto address = asio::ip::make_address(text, error);
    if (error || address.is_v4()) return text;
    auto bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
    return asio::ip::address_v6(bytes).to_string();
}

}  // namespace

LoginDelay::Attempt::Attempt(LoginDelay& delay, const std::string& address, std::string role)
    : delay_(delay), network_(network_of(address)), role_(std::move(role)) {}

LoginDelay::Attempt::~Attempt() {
    if (!of_network_) return;
    --of_network_->under_way;
    if (connecting_) {
        of_network_->connecting = false;
        --delay_.connecting_;
    } else {
        delay_.waiting_.remove(this);
    }
    delay_.done_.happened();
}

Clock::time_point LoginDelay::end_of_delay(const Record& record, Clock::duration most) {
    const int doubled = std::min(record.failures - free_failures, 10);
    return doubled < 0 ? record.last : record.last + std::min<Clock::duration>(milliseconds(200) * (1 << doubled), most);
}

// The number of records is limited. The latest failures are remembered longest.
void LoginDelay::make_room(Records& records) {
    const auto now = Clock::now();
    if (records.size() >= most_records) {
        std::erase_if(records, [&](const auto& entry) { return entry.second.under_way == 0 && now - entry.second.last > forgotten_after; });
    }
    if (records.size() < most_records) return;
    const auto oldest = std::ranges::min_element(records, {}, [](const auto& entry) { return std::pair(entry.second.under_way > 0, entry.second.last); });
    if (oldest->second.under_way == 0) records.erase(oldest);
}

Clock::time_point LoginDelay::Attempt::earliest() const { return std::max(role_lets_in_, end_of_delay(*of_network_, most_of_address)); }

// Among attempts whose time has come, alternates between the one that came first and the one whose network has failed least. So an attempt
// from a network without failures need not wait for hundreds from networks with failures, and endless new attempts do not hold up those
// that came before. Null while none may begin.
const LoginDelay::Attempt* LoginDelay::next(Clock::time_point now) const {
    if (connecting_ >= most_connecting) return nullptr;
    const Attempt* found = nullptr;
    for (const Attempt* one : waiting_) {
        if (one->of_network_->connecting || one->earliest() > now) continue;
        if (!found || (!first_come_ && one->of_network_->failures < found->of_network_->failures)) found = one;
    }
    return found;
}

// A network makes one attempt at a time, so that its failures count for the next one. Failures of the role count once, when an attempt
// arrives: others who go on failing do not push it back. A success does not reset the failures: otherwise somebody with a role of their
// own could guess others' passwords without end.
Async<bool> LoginDelay::Attempt::turn() {
    make_room(delay_.networks_);
    Record& record = delay_.networks_[network_];
    if (record.under_way > most_waiting_of_address) co_return false;
    ++record.under_way;
    of_network_ = &record;
    delay_.waiting_.push_back(this);
    const auto role = delay_.roles_.find(role_);
    if (role != delay_.roles_.end()) role_lets_in_ = end_of_delay(role->second, most_of_role);
    for (auto now = Clock::now(); delay_.next(now) != this; now = Clock::now()) {
        const auto from = earliest();
        co_await delay_.done_.wait_until(now < from ? from : Clock::time_point::max());
    }
    delay_.waiting_.remove(this);
    ++delay_.connecting_;
    delay_.first_come_ = !delay_.first_come_;
    connecting_ = record.connecting = true;
    delay_.done_.happened();  // the next one may begin, too
    co_return true;
}

void LoginDelay::Attempt::failed() {
    make_room(delay_.roles_);
    for (Record* record : {of_network_, &delay_.roles_[role_]}) {
        const auto now = Clock::now();
        record->failures = now - record->last > forgotten_after ? 1 : record->failures + 1;
        record->last = now;
    }
}

}  // namespace sync_job::serve
