// The part of engine/cursor.hpp that lives in shared memory.
//
// A worker writes its own bound; commits lower another pair of values, which the worker takes into its bound before its
// next snapshot. The two halves of a pair are lowered one by one: the result may be lower than it need be, which costs
// time, and never higher.
#include "engine/cursor.hpp"

#include <chrono>

#include "engine/activity.hpp"
#include "worker/cursor.hpp"
#include "worker/settings.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point last_from_start{};

template <class T>
void lower(std::atomic<T>& bound, T to) {
    T known = bound;
    while (to < known && !bound.compare_exchange_weak(known, to)) {
    }
}

}  // namespace

void lower_claim_start(WorkerSlot& slot, ClaimPosition position) noexcept {
    lower(slot.lowered_priority, position.priority);
    lower(slot.lowered_id, position.id);
}

ClaimPosition claim_start_of(const WorkerSlot& slot) {
    return {std::min<int>(slot.cursor_priority, slot.lowered_priority),
            std::min<std::int64_t>(slot.cursor_id, slot.lowered_id)};
}

void reset_claim_start(WorkerSlot& slot) {
    constexpr ClaimPosition lowest;
    slot.cursor_priority = lowest.priority;
    slot.cursor_id = lowest.id;
    slot.lowered_priority = std::numeric_limits<int>::max();
    slot.lowered_id = std::numeric_limits<std::int64_t>::max();
}

ClaimPosition claim_start() {
    if (!in_worker()) return {};
    WorkerSlot& slot = *my_slot_or_null();
    // Now and then from the start, for what no commit here has told of: prepared transactions, rows restored by hand.
    if (Clock::now() - last_from_start >= std::chrono::milliseconds(settings.poll_interval)) {
        last_from_start = Clock::now();
        reset_claim_start(slot);
        return {};
    }
    int priority = slot.lowered_priority.exchange(std::numeric_limits<int>::max());
    std::int64_t id = slot.lowered_id.exchange(std::numeric_limits<std::int64_t>::max());
    lower(slot.cursor_priority, priority);
    lower(slot.cursor_id, id);
    return {slot.cursor_priority, slot.cursor_id};
}

void set_claim_start(ClaimPosition position) {
    if (!in_worker()) return;
    WorkerSlot& slot = *my_slot_or_null();
    slot.cursor_priority = position.priority;
    slot.cursor_id = position.id;
}

}  // namespace sync_job
