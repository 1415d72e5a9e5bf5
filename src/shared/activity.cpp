#include "shared/activity.hpp"

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "pg/background.hpp"
#include "pg/value.hpp"
#include "shared/metrics.hpp"

namespace sync_job {

namespace {

bool scheduler_told = false;
// The job whose requested cancellation this process knows of; until the next one begins.
std::int64_t canceled_job = 0;
char cancel_reason[sizeof(WorkerSlot::cancel_reason)] = "";

template <std::size_t N>
void copy_text(char (&target)[N], std::string_view text) {
    std::string fitting = pg::clipped_to_bytes(std::string(text), static_cast<int>(N - 1));
    std::memcpy(target, fitting.c_str(), fitting.size() + 1);
}

// Readers see all of a change or none of it.
template <class F>
void write_activity(WorkerSlot& slot, F&& change) {
    slot.change.fetch_add(1, std::memory_order_acq_rel);
    std::atomic_thread_fence(std::memory_order_release);
    change(slot.activity);
    slot.change.fetch_add(1, std::memory_order_release);
}

// Signals are sent under the lock: the one for this request has been sent, and no other follows while the request is known.
void acknowledge_cancel(WorkerSlot& slot) {
    if (slot.cancel_known) return;
    canceled_job = slot.cancel_job;
    std::memcpy(cancel_reason, slot.cancel_reason, sizeof(cancel_reason));
    slot.cancel_known = true;
    pg::forget_cancel();
}

}  // namespace

bool in_worker() {
    WorkerSlot* slot = my_slot_or_null();
    return slot != nullptr && slot->state == SlotState::running;
}

void show_job_start(const Job& job, const std::string& subject) {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr) return;
    slot->idle = false;
    canceled_job = 0;
    cancel_reason[0] = '\0';
    write_activity(*slot, [&](Activity& activity) {
        activity.job = job.id();
        activity.started_at = job.int64(JobColumn::started_at);
        activity.percent = -1;
        copy_text(activity.job_type, job.text(JobColumn::sync_job_type));
        activity.title[0] = activity.description[0] = '\0';
    });
    if (in_worker()) pg::show_running("sync job " + std::to_string(job.id()), "sync " + subject);
}

// Whoever requests a cancellation after this sees that the job has ended; one requested before, but too late, must not
// hit the next job. Each side first writes its own word and then reads the other's: see request_cancel(). If the job
// ended with an error, the cancellation may be its cause: cancel_requested() still says so.
void show_job_end() {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr) return;
    write_activity(*slot, [](Activity& activity) { activity.job = 0; });
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (slot->cancel_job == 0 || slot->http) return;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    acknowledge_cancel(*slot);
    slot->cancel_job = 0;
    slot->cancel_known = false;
}

void show_progress(double percent, std::optional<std::string_view> title, std::optional<std::string_view> description,
                   std::int64_t seconds_left) {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr || slot->activity.job == 0) return;
    write_activity(*slot, [&](Activity& activity) {
        activity.percent = percent;
        activity.seconds_left = seconds_left;
        if (title) copy_text(activity.title, *title);
        if (description) copy_text(activity.description, *description);
    });
    show_change(slot->activity.job_type, slot->queue);
    if (slot->progress_changed.exchange(true)) return;  // the scheduler has not reported the last change yet
    DatabaseSlot* database = find_database_slot(slot->database);
    if (database != nullptr && !database->progress_pending.exchange(true))
        pg::wake_process(database->scheduler_process);
}

std::int64_t show_alone(std::int64_t job) {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr) return 0;
    if (job != 0 && in_worker()) report_busy();
    return slot->alone_job.exchange(job);
}

bool take_place_alone(int places_of_queue, int all_places) {
    if (!in_worker()) return true;
    WorkerSlot& own = *my_slot_or_null();
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    int in_queue = 0, all = 0;
    for (const WorkerSlot& slot : used_slots(*shared())) {
        if (&slot == &own || slot.state != SlotState::running || !slot.in_place_alone || slot.role != own.role) continue;
        all++;
        if (slot.database == own.database && slot.queue_hash == own.queue_hash) in_queue++;
    }
    auto leaves_one = [](int places, int taken) { return places < 2 || taken + 1 < places; };
    if (!leaves_one(places_of_queue, in_queue) || !leaves_one(all_places, all)) return false;
    own.in_place_alone = true;
    return true;
}

void leave_place_alone() {
    if (!in_worker()) return;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    my_slot_or_null()->in_place_alone = false;
}

void show_types_alone(const std::string& names) {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr) return;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    copy_text(slot->types_alone, names);
}

void show_lock_waits(std::size_t jobs) {
    if (WorkerSlot* slot = my_slot_or_null()) slot->lock_waits = static_cast<int>(jobs);
}

void report_busy() {
    DatabaseSlot* database = scheduler_told ? nullptr : find_database_slot(my_slot_or_null()->database);
    scheduler_told = true;
    if (database != nullptr) pg::wake_process(database->scheduler_process);
}

void reset_busy_report() { scheduler_told = false; }

Activity read_activity(const WorkerSlot& slot) {
    for (;;) {
        std::uint32_t before = slot.change.load(std::memory_order_acquire);
        Activity copy = slot.activity;
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((before & 1) == 0 && slot.change.load(std::memory_order_relaxed) == before) return copy;
    }
}

bool cancel_requested(std::int64_t job_id) {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr || slot->http) return false;  // an HTTP worker checks by itself
    if (slot->cancel_job == job_id) {
        pg::SharedLock lock(pg::SharedLock::Mode::write);
        acknowledge_cancel(*slot);
    }
    return canceled_job == job_id;
}

std::string requested_cancel_reason() { return cancel_reason; }

namespace {

// Whether the job runs in a slot with one of these states.
bool runs_in(std::initializer_list<SlotState> states, Oid database, std::int64_t job_id) {
    Shared* s = shared();
    if (s == nullptr) return false;
    for (WorkerSlot& slot : used_slots(*s)) {
        if (std::find(states.begin(), states.end(), slot.state.load()) == states.end() || slot.database != database) continue;
        if (slot.alone_job == job_id || read_activity(slot).job == job_id) return true;
    }
    return false;
}

}  // namespace

bool request_cancel(Oid database, std::int64_t job_id, const std::string& reason) {
    Shared* s = shared();
    if (s == nullptr) return false;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    for (WorkerSlot& slot : s->workers) {
        if (slot.state != SlotState::running || slot.database != database || read_activity(slot).job != job_id)
            continue;
        if (slot.cancel_job == job_id && slot.cancel_known) return true;  // it is ending because of an earlier request
        copy_text(slot.cancel_reason, reason);
        slot.cancel_job = job_id;
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (read_activity(slot).job != job_id) return false;
        pg::signal_cancel(slot.pid);
        return true;
    }
    return false;
}

bool request_http_cancel(int pid, std::int64_t job_id, const std::string& reason) {
    Shared* s = shared();
    if (s == nullptr) return false;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    for (WorkerSlot& slot : s->workers) {
        if (slot.state != SlotState::running || !slot.http || slot.pid != pid) continue;
        if (slot.cancel_job != 0) return slot.cancel_job == job_id;  // one at a time
        copy_text(slot.cancel_reason, reason);
        slot.cancel_known = false;
        slot.cancel_job = job_id;
        pg::wake_process(slot.process_number);
        return true;
    }
    return false;
}

bool has_workers() { return shared() != nullptr; }

bool runs_now(Oid database, std::int64_t job_id) {
    return runs_in({SlotState::running, SlotState::session}, database, job_id);
}

bool session_runs(Oid database, std::int64_t job_id) { return runs_in({SlotState::session}, database, job_id); }

}  // namespace sync_job
