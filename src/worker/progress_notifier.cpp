// The notifications of progress: at most one per sync_job.progress_interval, for all jobs of the database together.
#include "worker/progress_notifier.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "shared/activity.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

std::string progress_message(const Activity& activity) {
    char number[32];
    std::snprintf(number, sizeof(number), "%.2f", activity.percent);
    std::string left = activity.seconds_left < 0 ? "" : ", \"seconds_left\": " + std::to_string(activity.seconds_left);
    return "{\"sync_job\": " + std::to_string(activity.job) + ", \"percent\": " + number + left + "}";
}

}  // namespace

std::optional<Milliseconds> ProgressNotifier::due(const DatabaseSlot& database) const {
    if (settings.progress_interval == 0 || !database.progress_pending) return std::nullopt;
    auto next = told_ + Milliseconds(settings.progress_interval);
    return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(next - Clock::now()));
}

void ProgressNotifier::notify(DatabaseSlot& database) {
    if (due(database) != Milliseconds(0)) return;
    told_ = Clock::now();
    database.progress_pending = false;
    pg::start_transaction();
    try {
        for (WorkerSlot& slot : shared()->workers) {
            if (slot.state == SlotState::free || slot.database != database.database ||
                !slot.progress_changed.exchange(false))
                continue;
            Activity activity = read_activity(slot);
            if (activity.job == 0 || activity.percent < 0) continue;
            pg::notify("sync_job_progress", progress_message(activity));
        }
        pg::commit_transaction();
    } catch (const pg::Error& error) {  // for example, the notification queue is full; jobs go on without
        pg::abort_transaction();
        if (!failed_) pg::log_error("could not tell listeners of the progress of sync jobs", error);
        failed_ = true;
        return;
    }
    failed_ = false;
}

}  // namespace sync_job
