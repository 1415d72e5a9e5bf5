// Sends the HTTP pushes of one role in one queue. A round is one transaction: it records what has been answered and claims what can be sent
// next. Requests go out after its commit; no transaction is open while they are in flight.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/http_claim.hpp"
#include "engine/http_requests.hpp"
#include "engine/http_settle.hpp"
#include "engine/http_transport.hpp"
#include "engine/runner.hpp"
#include "pg/memory.hpp"
#include "queue/set_aside.hpp"
#include "shared/endpoints.hpp"
#include "shared/slots.hpp"

namespace sync_job {

class HttpRunner {
public:
    HttpRunner(std::string queue, Oid run_as, Transactions& transactions, WorkerSlot& slot);

    // Returns how many jobs it started, ended or moved on; 0: there was nothing to do. Raises errors that are no job's fault, after a
    // rollback.
    int run_round();
    // Called without a transaction: takes answers that have arrived, and sends what is ready. True: a round has something to record.
    bool step();
    // To be called when somebody has enqueued.
    void look_again() { more_ = true; }
    // Starts no more requests; those in flight go on.
    void begin_no_more() { claims_ = false; }
    std::size_t under_way() const { return flights_.size(); }
    // Whether an endpoint has asked for a pause and jobs of it may be waiting.
    bool rests() const { return resumes_ != std::chrono::steady_clock::time_point::max(); }

    int descriptor() { return transport().descriptor(); }
    // In how many milliseconds step() or run_round() may have something to do although nothing wakes the worker; below 0: never.
    std::int64_t next_time();

private:
    struct Arrived {
        std::int64_t job;
        HttpAnswer answer;
    };
    // What a transaction has done. It is applied once that is committed.
    struct Done {
        std::vector<std::int64_t> over;
        std::vector<std::int64_t> forgotten;  // those of `over` whose requests are deleted
        std::vector<HttpFlight> changed;  // requests whose answer is stored, or no longer there
        std::vector<HttpFlight> begun;
    };
    HttpTransport& transport();
    void load_left_over();
    void ask_for_cancel();
    bool use_endpoint(const std::string& server);
    int room_of(const JobType& type);
    void settle_one(const Arrived& arrived, Done& done);
    static void record_requests(const Done& done);
    bool is_due(std::int64_t job) const;
    bool any_answer_due() const;
    std::vector<std::int64_t> write_back(Done& done);
    bool write_back_one(std::int64_t job, Done& done);
    void claim(Done& done);
    void apply(Done& done);
    void run_apart();
    void run_one_apart(std::int64_t job, const std::function<void(Done&)>& act);
    void send_ready();
    bool begin_first(const std::string& endpoint, std::deque<std::int64_t>& jobs, std::deque<std::int64_t>& of_full_types);
    RequestLimits limits_of(const HttpFlight& flight) const;
    void send(HttpFlight& flight);
    void send_ended(const HttpAnswer& answer);
    void forget(std::int64_t job);
    void give_back_waiting(Done& done);
    void show();

    std::string queue_;
    Oid run_as_;
    Transactions& transactions_;
    WorkerSlot& slot_;
    std::unique_ptr<HttpTransport> transport_;
    pg::Memory memory_;
    std::string installation_;
    std::unordered_map<std::int64_t, HttpFlight> flights_;  // of Started jobs, whether already sent, already answered, or not
    std::unordered_multimap<std::uint64_t, std::int64_t> documents_;
    std::map<std::string, std::deque<std::int64_t>> ready_;  // by endpoint; to be sent when there is room
    std::vector<Arrived> arrived_;
    std::vector<std::int64_t> answered_;  // jobs whose answer is stored and still to be written back
    std::map<std::string, HttpEndpoint> endpoints_;
    struct Begun {
        Oid server;
        RequestKey type;
        std::chrono::steady_clock::time_point at;
    };
    std::unordered_map<std::int64_t, Begun> begun_;  // by job; counted in shared memory
    std::int64_t next_turn_ = -1;  // milliseconds until a ready request may begin even if none of this worker ends; below 0: not known
    struct ServerOf {
        std::uint64_t generation = 0;
        std::string server;
    };
    std::unordered_map<std::string, ServerOf> servers_;  // by type
    HttpClaim::Sweeps sweeps_;
    SetAside set_aside_{"sent"};
    std::chrono::steady_clock::time_point looked_{};
    std::chrono::steady_clock::time_point resumes_ = std::chrono::steady_clock::time_point::max();  // when an endpoint's pause is over
    bool loaded_ = false, claims_ = true, more_ = true;
};

}  // namespace sync_job
