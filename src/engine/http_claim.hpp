// Claims for an HTTP worker the due HTTP pushes of one role in one queue, in their order, as far as there is room for them, and makes their
// requests. Ordinary claims never see these jobs, because they are held (queue/push.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/claim.hpp"
#include "engine/http_requests.hpp"
#include "job/job_row.hpp"
#include "job/job_type.hpp"

namespace sync_job {

class HttpClaim {
public:
    // `room`: how many more requests of a type may be in flight. `is_taken`: whether a request of this process has the document.
    struct Limits {
        std::function<int(const JobType&)> room;
        std::function<bool(std::uint64_t)> is_taken;
        std::function<bool(std::int64_t)> is_left_out;
    };
    // The sweep of each type: where its next claim begins after one that gave up.
    using Sweeps = std::unordered_map<std::string, Sweep>;
    HttpClaim(std::string queue, Oid run_as, Limits limits, Sweeps& sweeps)
        : queue_(std::move(queue)), run_as_(run_as), limits_(std::move(limits)), sweeps_(sweeps) {}

    // Runs in the current transaction. Jobs that have nothing to send end in it. The others become Started; their requests are returned, to
    // be sent when the transaction has been committed.
    std::vector<HttpFlight> claim();
    // How many jobs it started or ended.
    int met() const { return met_; }
    // Whether it gave up before the end of a type's jobs.
    bool gave_up() const { return gave_up_; }

private:
    struct Claimed {
        Job job;
        std::shared_ptr<const JobType> type;
        std::vector<std::uint64_t> keys;  // the keys of its documents, in order
        std::vector<bool> free;           // which of these are free
        bool has_request = false;         // a stored request, which is sent again
        bool any_free() const;
    };
    void collect();
    void collect_of(const std::shared_ptr<const JobType>& type);
    std::vector<Claimed> read_some(pg::IndexScan& scan, const std::shared_ptr<const JobType>& type, std::size_t most) const;
    bool has_place(std::size_t most) const;
    bool take(pg::Table& table, Claimed& claimed, std::size_t most, const Sweep& sweep);
    void lock_documents_of(Claimed& claimed, std::size_t most);
    void leave_taken();
    void start(const Claimed& claimed, HttpFlight flight);
    void render(const Claimed& claimed);
    void render_set(const Claimed& claimed);
    void make_request(const Claimed& claimed, Datum request, const std::vector<std::string>& names);

    std::string queue_;
    Oid run_as_;
    Limits limits_;
    std::vector<Claimed> claimed_;
    Sweeps& sweeps_;
    std::vector<HttpFlight> flights_, new_requests_;
    std::size_t documents_ = 0;  // locked so far
    int met_ = 0;
    bool gave_up_ = false;
};

}  // namespace sync_job
