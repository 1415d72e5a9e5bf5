// What the HTTP workers of a database share about an endpoint, in shared memory: the pause that it has asked for, how many requests may
// be under way or begin in a second, and how they ended.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "shared/counters.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// How requests ended, by the class of their status if there was one; and how long those took that were sent.
enum class RequestEnd : std::size_t { success, redirect, refused, failed, unknown, not_sent, all };
constexpr std::size_t request_histogram = static_cast<std::size_t>(RequestEnd::all);
constexpr std::size_t request_counters = request_histogram + histogram_size;

// Created and freed under the lock; `next` is changed under it; HTTP workers write the rest, which is atomic.
struct SharedEndpoint {
    std::atomic<Oid> database, server;        // both 0: free
    std::atomic<pg::Timestamp> paused_until;  // as requested by the server
    std::atomic<pg::Timestamp> next;          // when the next request may begin, by per_second
    std::atomic<std::uint64_t> counts[request_counters];
};

// Requests of one worker to an endpoint, or of a type with a concurrency_limit. The worker changes it under the lock; anybody reads it.
struct RequestUse {
    std::atomic<std::uint64_t> key;  // 0: none
    std::atomic<int> in_flight, waiting;
    std::atomic<pg::Timestamp> waits_since;  // it waits, and has none under way
};
constexpr int most_request_uses = 24;  // of a worker
constexpr int most_endpoints = 64;     // in all databases

// After the slots in shared memory.
struct SharedRequests {
    SharedEndpoint endpoints[most_endpoints];
    RequestUse uses[most_workers + most_sessions][most_request_uses];  // one row per slot
};
SharedRequests& shared_requests();
void initialize_requests();
// When the slot is taken.
void clear_requests(const WorkerSlot& slot);
std::span<RequestUse> request_uses(const WorkerSlot& slot);

// The endpoint in the worker's database, added if necessary. Null: there are too many.
SharedEndpoint* shared_endpoint(Oid server);
void for_each_endpoint(Oid database, const std::function<void(SharedEndpoint&)>& act);
// When the database, or its extension, is gone; or the server is no longer needed.
void forget_endpoints(Oid database);
void forget_endpoint(SharedEndpoint& endpoint);

// All workers observe the pause. `microseconds`: from now on.
void note_pause(Oid server, std::int64_t microseconds);
std::int64_t pause_left(Oid server);  // microseconds; 0 or below: none

// The requests that are counted together: those to a server, or those of a type with a concurrency_limit.
using RequestKey = std::uint64_t;
RequestKey endpoint_key(Oid server);
RequestKey type_requests_key(std::uint64_t type_key);
bool is_endpoint_key(RequestKey key);

// How many requests other workers have under way.
int requests_of_others(RequestKey key);

struct RequestLimits {
    Oid server;
    int in_flight;
    double per_second;  // 0: no limit
    RequestKey type = 0;  // 0: it has no limit
    int of_type = 0;
};
// Counts another request of this worker, if it may begin now. Workers that wait get their share.
struct Turn {
    enum class Is { now, of_type_later, later } is;
    std::int64_t wait = -1;  // microseconds until its turn may come; below 0: when a request of this worker is over
};
Turn begin_request(const RequestLimits& limits);
void end_request(Oid server, RequestKey type);
// How many requests of this worker wait until they may begin.
void show_waiting_requests(RequestKey key, int count);

// A request is over: with that status, 0: unknown outcome, below 0: not sent; after so long.
void count_request(Oid server, int status, std::int64_t microseconds);

}  // namespace sync_job
