// What all processes that run jobs have in common: their slot, the settings and transactions of their session, and rounds that go on after
// an error.
#pragma once

#include <functional>

#include "engine/runner.hpp"
#include "shared/slots.hpp"

namespace sync_job {

// Called at the end of the process.
void leave_worker_slot();

// Makes the session READ COMMITTED and read/write, whatever the role's settings are. The settings of a job end with that job.
void fix_settings();

// A worker's transactions: it owns them from beginning to end.
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

    // Runs one round; 0: nothing was due. After an error it pauses, longer after each error in a row. Only the first error is logged, and
    // later that rounds succeed again.
    int next();
    int failures() const { return failures_; }

private:
    std::function<int()> round_;
    WorkerSlot& slot_;
    int failures_ = 0;
};

// The main loop of a worker whose slot says http: sends HTTP pushes until there have been none for a while.
void run_http_worker();

}  // namespace sync_job
