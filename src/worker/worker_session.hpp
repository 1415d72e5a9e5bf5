// What the processes that run jobs have in common: their slot, the settings and the transactions of their session, and rounds that
// go on after an error.
#pragma once

#include <functional>

#include "engine/runner.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// At the end of the process.
void leave_worker_slot();

// Sessions are READ COMMITTED and read/write, whatever the role's settings; the settings of a job end with it.
void fix_settings();

// A worker's transactions: its own, from beginning to end.
class WorkerTransactions : public Transactions {
public:
    void begin() override;
    void commit() override;
    void rollback() noexcept override;
    bool ends_with_process() const override { return true; }
    void keep_search_path(const std::string& path) override;
    void run_committing_job(std::int64_t id) override;

private:
    bool fixes_settings_ = false;  // before the next transaction
};

class Rounds {
public:
    // `round` returns how many jobs it ended.
    Rounds(std::function<int()> round, WorkerSlot& slot) : round_(std::move(round)), slot_(slot) {}

    // One round; 0 when nothing was due. After an error it pauses, longer with each error in a row; only the first one is
    // logged, and that rounds succeed again.
    int next();
    int failures() const { return failures_; }

private:
    std::function<int()> round_;
    WorkerSlot& slot_;
    int failures_ = 0;
};

// Sends HTTP pushes until there are none for a while: the main loop of a worker whose slot says so.
void run_http_worker();

}  // namespace sync_job
