// Claiming for an HTTP worker: the jobs of one role in one queue that are HTTP pushes and due, in their order, as far as there is
// room for them; and making their requests. Ordinary claims never see these jobs: they are held (queue/push.hpp).
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
    // `room`: of a type, how many requests more may be under way. `is_taken`: a request of this process has the document.
    struct Limits {
        std::function<int(const JobType&)> room;
        std::function<bool(std::uint64_t)> is_taken;
        std::function<bool(std::int64_t)> is_left_out;
    };
    // A type's sweep says where a claim of it begins that follows one which has given up.
    using Sweeps = std::unordered_map<std::string, Sweep>;
    HttpClaim(std::string queue, Oid run_as, Limits limits, Sweeps& sweeps)
        : queue_(std::move(queue)), run_as_(run_as), limits_(std::move(limits)), sweeps_(sweeps) {}

    // In the transaction under way. Jobs that have nothing to send end in it; the others are Started, with the requests that are to be
    // sent when it has been committed.
    std::vector<HttpFlight> claim();
    // How many jobs it has begun or ended.
    int met() const { return met_; }
    // It has given up before the end of a type's jobs.
    bool gave_up() const { return gave_up_; }

private:
    struct Claimed {
        Job job;
        std::shared_ptr<const JobType> type;
        std::vector<std::uint64_t> keys;  // of its documents, in their order
        std::vector<bool> free;           // of these
        bool has_request = false;         // that is sent again
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
