#include "worker/worker_session.hpp"

#include <chrono>

#include "core/retry.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/settings.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;

bool in_round = false;

// Pauses for this long, unless the worker has to end. New work does not cut the pause short.
void rest_after_failure(WorkerSlot& slot, long milliseconds) {
    auto until = Clock::now() + std::chrono::milliseconds(milliseconds);
    slot.idle = false;  // it is not available for work
    while (!pg::shutdown_requested() && !slot.stop) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
        if (left <= 0) return;
        pg::reset_latch();
        pg::wait_for_latch(left);
    }
}

void after_transaction() {
    pg::flush_statistics(false);
    pg::clean_session();
}

}  // namespace

void leave_worker_slot() {
    WorkerSlot& slot = *my_slot_or_null();
    slot.cut_short = in_round && !slot.stop;  // not if it was told to stop
    // Sessions that wait for a cancellation and schedulers that count workers look only at the state.
    slot.pid = 0;
    slot.process_number = -1;
    slot.idle = false;
    Oid database = slot.database;
    slot.state = SlotState::free;
    report_orphans(database);
}

void fix_settings() {
    pg::set_session("role", "none");  // ALTER ROLE … SET role would make its jobs run as another role
    pg::set_session("default_transaction_isolation", "read committed");
    pg::set_session("default_transaction_read_only", "off");
    pg::set_session("default_transaction_deferrable", "off");
    pg::set_session("statement_timeout", "0");
    pg::set_session("idle_in_transaction_session_timeout", "0");
    pg::set_session("session_replication_role", "origin");
    pg::set_session("sync_job.traceparent", "");
}

void WorkerTransactions::begin() {
    if (fixes_settings_) {  // no scope can undo what a job has SET across its own commits
        pg::reset_settings();
        fix_settings();
        fixes_settings_ = false;
    }
    pg::start_transaction();
    pg::SnapshotScope snapshot;
    if (!hold_extension()) pg::exit_worker(0);  // the extension was dropped
}

void WorkerTransactions::commit() {
    pg::commit_transaction();
    after_transaction();
}

void WorkerTransactions::rollback() noexcept { pg::abort_transaction(); }

void WorkerTransactions::keep_search_path(const std::string& path) {
    if (!path.empty() && pg::search_path() != path) pg::set_session("search_path", path);
}

void WorkerTransactions::run_committing_job(std::int64_t id) {
    expect_committing_job(id);
    fixes_settings_ = true;
    pg::run_in_portal("CALL sync_job_internal.run_committing_job(" + std::to_string(id) + ")");
    after_transaction();
}

int Rounds::next() {
    struct InRound {  // stays set if the process ends during the round
        InRound() { in_round = true; }
        ~InRound() { in_round = false; }
    };
    try {
        int ended = 0;
        {
            InRound until_return;
            ended = round_();
        }
        if (failures_ > 0) pg::log("sync job worker: rounds succeed again");
        failures_ = 0;
        if (ended == 0) slot_.isolate = 0;
        return ended;
    } catch (const pg::Error& error) {
        failures_++;
        if (failures_ == 1) pg::log_error("sync job worker: a round failed", error);
        report_orphans(slot_.database);
        constexpr long longest = 60000;
        rest_after_failure(slot_, growing_pause(pg::is_server_trouble(error) ? 1000 : 100, longest, failures_));
        return 0;
    }
}

}  // namespace sync_job
