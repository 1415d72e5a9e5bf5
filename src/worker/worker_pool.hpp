// The worker slots as the scheduler of a database sees them: who is there for a group, who makes room, who has to stop.
#pragma once

#include <map>
#include <string>

#include "core/claim_position.hpp"
#include "pg/types.hpp"
#include "shared/slots.hpp"
#include "worker/scheduler_queries.hpp"

namespace sync_job {

// The workers of one database. Counts and choices are momentary: slots change at any time.
class WorkerPool {
public:
    // Where a worker has to stop to make room, and whether a busy one may have to, after its batch.
    enum class Room { anywhere, in_queue };
    enum class Victim { idle, any };

    struct GroupView {
        int workers = 0;
        int isolate = 0;  // the most jobs that one of them still runs one by one
        bool any_idle = false, all_alone = true;
        bool any_stopping = false;
        WorkerSlot* idle = nullptr;
    };

    explicit WorkerPool(Oid database) : database_(database) {}

    // The groups that have workers, and the position where the claims of all of them begin.
    std::map<DueGroup, ClaimPosition> served_groups() const;
    GroupView view_of(const DueGroup& group) const;
    bool in_group(const WorkerSlot& slot, const DueGroup& group) const;
    int count(const std::string& queue) const;

    // A slot for a new worker of the group, in state starting. Null: sync_job.max_workers are there, or no slot is free.
    WorkerSlot* reserve(const DueGroup& group, int isolate) const;
    // Stops a worker of another group, so that `group` can have one.
    void make_room(const DueGroup& group, Room where, Victim who) const;
    // Stops what is there beyond so many workers of the queue.
    void stop_surplus(const std::string& queue, int most) const;
    void stop_all() const;
    // Has the log say, once, which job does not react to the end of its time: nothing but the end of its process ends it.
    void tell_of_unheeded() const;

private:
    bool in_queue(const WorkerSlot& slot, const std::string& queue) const;
    Oid database_;
};

// Over all databases.
void stop_surplus_workers(int most);

}  // namespace sync_job
