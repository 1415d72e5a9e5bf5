// The worker slots as the scheduler of a database sees them: which workers a group has, which one makes room, which ones have to stop.
#pragma once

#include <map>
#include <string>

#include "core/claim_position.hpp"
#include "pg/types.hpp"
#include "shared/slots.hpp"
#include "worker/scheduler_queries.hpp"

namespace sync_job {

// The workers of one database. Counts and choices hold only for a moment: slots change at any time.
class WorkerPool {
public:
    // Room: where a worker has to stop to make room. Victim: whether only an idle one may have to, or also a busy one, after its batch.
    enum class Room { anywhere, in_queue };
    enum class Victim { idle, any };

    struct GroupView {
        int workers = 0;
        int isolate = 0;  // how many jobs are still to be run one by one: the highest number among these workers
        bool any_idle = false, all_alone = true;
        bool any_stopping = false;
        WorkerSlot* idle = nullptr;
    };

    explicit WorkerPool(Oid database) : database_(database) {}

    // The groups that have workers, and the lowest position where one of their claims begins.
    std::map<DueGroup, ClaimPosition> served_groups() const;
    GroupView view_of(const DueGroup& group) const;
    bool in_group(const WorkerSlot& slot, const DueGroup& group) const;
    int count(const std::string& queue) const;

    // A slot for a new worker of the group, in state starting. Null: sync_job.max_workers has been reached, or no slot is free.
    WorkerSlot* reserve(const DueGroup& group, int isolate) const;
    // Stops a worker of another group, so that `group` can have one.
    void make_room(const DueGroup& group, Room where, Victim who) const;
    // Stops workers of the queue until at most `most` are left.
    void stop_surplus(const std::string& queue, int most) const;
    void stop_all() const;
    // Logs, once, a job that does not react to its time limit: only the end of its process will end it.
    void tell_of_unheeded() const;

private:
    bool in_queue(const WorkerSlot& slot, const std::string& queue) const;
    Oid database_;
};

// In all databases.
void stop_surplus_workers(int most);

}  // namespace sync_job
