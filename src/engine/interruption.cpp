#include "engine/interruption.hpp"

#include <optional>
#include <utility>

#include "shared/activity.hpp"

namespace sync_job {

namespace {
std::optional<pg::Error> interruption;
}  // namespace

void note_interruption(const pg::Error& error) {
    if (error.sqlstate() == "57014" && !in_worker()) interruption.emplace(error);
}

bool is_interrupted() { return interruption.has_value(); }

void forget_interruption() { interruption.reset(); }

void raise_interruption() {
    if (interruption) throw *std::exchange(interruption, std::nullopt);
}

}  // namespace sync_job
