// A worker writes its own bound; commits lower a second one, which the worker merges into its own before its next
// snapshot. The second one is a single word: if its halves were lowered and read separately, a worker could read half a
// position, scan, and read the other half too late.
#include "shared/claim_cursor.hpp"

#include <chrono>

#include "shared/activity.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point last_from_start{};

}  // namespace

void lower_claim_start(WorkerSlot& slot, ClaimPosition position) noexcept {
    PackedPosition to = packed(position), known = slot.lowered;
    while (to < known && !slot.lowered.compare_exchange_weak(known, to)) {
    }
}

ClaimPosition claim_start_of(const WorkerSlot& slot) {
    return unpacked(std::min<PackedPosition>(slot.cursor, slot.lowered));
}

void reset_claim_start(WorkerSlot& slot) {
    slot.cursor = packed({});
    slot.lowered = no_position;
}

ClaimPosition claim_start(bool may_start_over, ClaimPosition* since) {
    *since = {std::numeric_limits<int>::max(), 0};
    if (!in_worker()) return {};
    WorkerSlot& slot = *my_slot_or_null();
    // Starts over from time to time, for jobs that no commit here has announced: rows restored by hand.
    if (may_start_over && Clock::now() - last_from_start >= std::chrono::milliseconds(settings.poll_interval)) {
        last_from_start = Clock::now();
        reset_claim_start(slot);
        return *since = {};
    }
    PackedPosition lowered = slot.lowered.exchange(no_position);
    if (lowered != no_position) *since = unpacked(lowered);
    if (lowered < slot.cursor) slot.cursor = lowered;
    return unpacked(slot.cursor);
}

void set_claim_start(ClaimPosition position) {
    if (!in_worker()) return;
    my_slot_or_null()->cursor = packed(position);
}

}  // namespace sync_job
