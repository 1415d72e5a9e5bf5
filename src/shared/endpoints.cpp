#include "shared/endpoints.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>

#include "pg/background.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

// SharedRequests follows Shared directly, so the alignment must fit.
static_assert(sizeof(Shared) % alignof(SharedRequests) == 0);

constexpr RequestKey of_type = RequestKey{1} << 63;
// Time lost to the clock and to the worker's rounds is caught up, but no more than this.
constexpr pg::Timestamp most_caught_up = 10000;

RequestUse* find_use(const WorkerSlot& slot, RequestKey key) {
    for (RequestUse& use : request_uses(slot)) {
        if (use.key == key) return &use;
    }
    return nullptr;
}

// The worker's own entry, added if necessary. Null: it has too many.
RequestUse* own_use(RequestKey key) {
    WorkerSlot& own = *my_slot_or_null();
    if (RequestUse* use = find_use(own, key)) return use;
    for (RequestUse& use : request_uses(own)) {
        if (use.key != 0 && (use.in_flight > 0 || use.waiting > 0)) continue;
        use.in_flight = use.waiting = 0;
        use.waits_since = 0;
        use.key = key;
        return &use;
    }
    return nullptr;
}

template <class Act>
void for_each_other(RequestKey key, Act act) {
    const WorkerSlot* own = my_slot_or_null();
    for (WorkerSlot& slot : used_slots(*shared())) {
        if (&slot == own || slot.state != SlotState::running || !slot.http || slot.database != own->database) continue;
        if (RequestUse* use = find_use(slot, key)) act(*use);
    }
}

// Workers that wait and have no request under way come before those that have some; among them the one that has waited longest. While
// others wait, no worker has more than its share. Nothing: there is room.
std::optional<std::int64_t> wait_for_room(RequestKey key, int most) {
    constexpr std::int64_t look_again = 10000;
    const RequestUse* own = own_use(key);
    if (own == nullptr) return std::nullopt;
    int others = 0, ahead = 0, waiting = 0;
    for_each_other(key, [&](const RequestUse& use) {
        others += use.in_flight;
        if (use.waiting == 0) return;
        waiting++;
        bool has_none = use.in_flight == 0;
        if (has_none && (own->in_flight > 0 || use.waits_since < own->waits_since)) ahead++;
    });
    bool has_share = waiting == 0 || own->in_flight < std::max(1, most / (waiting + 1));
    if (has_share && own->in_flight + others + ahead < most) return std::nullopt;
    return own->in_flight >= most ? -1 : look_again;
}

void add_request(RequestKey key) {
    if (RequestUse* own = own_use(key)) own->in_flight++;
}

void remove_request(RequestKey key) {
    RequestUse* own = find_use(*my_slot_or_null(), key);
    if (own == nullptr || own->in_flight == 0) return;
    if (--own->in_flight == 0) own->waits_since = pg::now();
}

RequestEnd end_of(int status) {
    if (status < 0) return RequestEnd::not_sent;
    if (status < 200) return RequestEnd::unknown;
    return status < 300 ? RequestEnd::success : status < 400 ? RequestEnd::redirect : status < 500 ? RequestEnd::refused : RequestEnd::failed;
}

SharedEndpoint* find(Oid database, Oid server) {
    for (SharedEndpoint& endpoint : shared_requests().endpoints) {
        if (endpoint.server == server && endpoint.database == database) return &endpoint;
    }
    return nullptr;
}

}  // namespace

SharedRequests& shared_requests() { return *reinterpret_cast<SharedRequests*>(reinterpret_cast<char*>(shared()) + sizeof(Shared)); }

void initialize_requests() {
    std::memset(static_cast<void*>(&shared_requests()), 0, sizeof(SharedRequests));
    new (&shared_requests()) SharedRequests;
}

std::span<RequestUse> request_uses(const WorkerSlot& slot) { return shared_requests().uses[slot_index(&slot)]; }

void clear_requests(const WorkerSlot& slot) {
    for (RequestUse& use : request_uses(slot)) {
        use.key = 0;
        use.in_flight = use.waiting = 0;
    }
}

SharedEndpoint* shared_endpoint(Oid server) {
    Oid database = pg::my_database();
    if (SharedEndpoint* known = find(database, server)) return known;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    if (SharedEndpoint* known = find(database, server)) return known;
    SharedEndpoint* free = find(pg::no_oid, pg::no_oid);
    if (free == nullptr) return nullptr;
    free->paused_until = free->next = 0;
    for (auto& count : free->counts) count = 0;
    free->database = database;
    free->server = server;
    return free;
}

void for_each_endpoint(Oid database, const std::function<void(SharedEndpoint&)>& act) {
    for (SharedEndpoint& endpoint : shared_requests().endpoints) {
        if (endpoint.server != pg::no_oid && endpoint.database == database) act(endpoint);
    }
}

void forget_endpoint(SharedEndpoint& endpoint) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    endpoint.server = pg::no_oid;
    endpoint.database = pg::no_oid;
}

void forget_endpoints(Oid database) { for_each_endpoint(database, forget_endpoint); }

void note_pause(Oid server, std::int64_t microseconds) {
    if (SharedEndpoint* endpoint = shared_endpoint(server)) endpoint->paused_until = pg::now() + microseconds;
}

std::int64_t pause_left(Oid server) {
    const SharedEndpoint* endpoint = find(pg::my_database(), server);
    return endpoint == nullptr ? 0 : endpoint->paused_until - pg::now();
}

RequestKey endpoint_key(Oid server) { return server; }
RequestKey type_requests_key(std::uint64_t type_key) { return type_key | of_type; }
bool is_endpoint_key(RequestKey key) { return key != 0 && (key & of_type) == 0; }

int requests_of_others(RequestKey key) {
    int count = 0;
    for_each_other(key, [&](const RequestUse& use) { count += use.in_flight; });
    return count;
}

Turn begin_request(const RequestLimits& limits) {
    SharedEndpoint* endpoint = limits.per_second > 0 ? shared_endpoint(limits.server) : nullptr;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    if (auto wait = wait_for_room(endpoint_key(limits.server), limits.in_flight)) return {Turn::Is::later, *wait};
    auto of_type = limits.type == 0 ? std::nullopt : wait_for_room(limits.type, limits.of_type);
    if (of_type) return {Turn::Is::of_type_later, *of_type};
    if (endpoint != nullptr) {
        pg::Timestamp now = pg::now(), next = endpoint->next;
        if (next > now) return {Turn::Is::later, next - now};
        endpoint->next = std::max<pg::Timestamp>(next, now - most_caught_up) + static_cast<pg::Timestamp>(1e6 / limits.per_second);
    }
    add_request(endpoint_key(limits.server));
    if (limits.type != 0) add_request(limits.type);
    return {Turn::Is::now};
}

void end_request(Oid server, RequestKey type) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    remove_request(endpoint_key(server));
    if (type != 0) remove_request(type);
}

void show_waiting_requests(RequestKey key, int count) {
    RequestUse* own = count > 0 ? own_use(key) : find_use(*my_slot_or_null(), key);
    if (own == nullptr || own->waiting == count) return;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    if (own->waiting == 0) own->waits_since = pg::now();
    own->waiting = count;
}

void count_request(Oid server, int status, std::int64_t microseconds) {
    SharedEndpoint* endpoint = shared_endpoint(server);
    if (endpoint == nullptr) return;
    RequestEnd end = end_of(status);
    endpoint->counts[static_cast<std::size_t>(end)].fetch_add(1, std::memory_order_relaxed);
    if (end == RequestEnd::not_sent) return;
    auto bucket = static_cast<std::size_t>(std::lower_bound(time_bounds.begin(), time_bounds.end(), microseconds) - time_bounds.begin());
    endpoint->counts[request_histogram + bucket].fetch_add(1, std::memory_order_relaxed);
    endpoint->counts[request_histogram + time_buckets].fetch_add(static_cast<std::uint64_t>(microseconds), std::memory_order_relaxed);
}

}  // namespace sync_job
