// Claiming: the due jobs of one role in one queue, in their order, each locked for this transaction. Jobs that somebody
// else has locked are passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/claim_position.hpp"
#include "job/job_row.hpp"
#include "pg/table.hpp"

namespace sync_job {

// The key of the document that the job must have to itself; 0: none. It is the target if that is named, else the source;
// the children of a relay run side by side.
std::uint64_t document_key(const Job& job);

// Of a set job: those of its documents, in their order.
std::vector<std::uint64_t> document_keys(const Job& set);

// Locks the document of the job for this transaction; false if another process has locked it, or the whole type.
bool may_have_document(const Job& job);

// Whether a job of the role that is due at once, at `start` or later, waits in the queue; it may be in progress already.
bool any_claimable(const std::string& queue, Oid run_as, ClaimPosition start);
// Where the first job of the role that is due waits in the queue, at `start` or later; it may be in progress already.
std::optional<ClaimPosition> first_due(const std::string& queue, Oid run_as, ClaimPosition start);

// Whether children of another job of the same type and source wait or run: what the job would find is not there yet.
// The job is passed over; when one of the children ends, this process is woken.
bool waits_for_children(const Job& job);

// Whether jobs of the type may not begin now: it is paused, or jobs that were held meanwhile have not been released yet.
bool type_is_held(const std::string& name);

// Whether the concurrency_limit of the type allows one more job; if so, its slot is kept for this transaction.
bool take_type_slot_for(const std::string& name);
std::uint64_t type_key(const std::string& name);  // the key of its slots

// There may be very many jobs that cannot be taken now (their type is at its concurrency_limit, or their document in
// progress). The jobs behind them must not wait for that, and one transaction must not read them all: a claim gives up
// after some thousands, and the next one goes on behind them. This is what it must know of them. Once it has found a job,
// and what was in the way has ended, it begins again at the head.
struct Sweep {
    std::optional<ClaimPosition> at;  // a claim gave up, and the next one begins here
    bool gave_up = false;             // the last claim did, before the end of the queue
    bool found = false;               // a job was found since the sweep began at the head
    std::unordered_set<std::uint64_t> behind;     // documents whose earlier job was passed over
    std::unordered_set<std::string> full_types;   // were at their limit; left out until the next sweep, to keep their order
    std::unordered_set<std::int64_t> scheduled;   // due scheduled jobs that were passed over
    std::optional<ClaimPosition> first_left;      // the first job that was passed over or left
};

class Claim {
public:
    // Sees what is committed now; later jobs are for the next claim. Jobs that are due at once are read from `start` on.
    // `left_out`: jobs that stay in the queue, as do later jobs of their documents. `cautious`: after a crash; jobs that
    // ran at an earlier crash run one at a time.
    Claim(const std::string& queue, Oid run_as, ClaimPosition start, Sweep& sweep, bool cautious,
          std::function<bool(std::int64_t)> left_out = nullptr);

    // The next job, locked: lower priority number first, then lower id. The row lives in the current memory context.
    // Must not be called inside a subtransaction that ends before the claim does. A set job comes with those of its documents that are
    // locked for it; it is passed over if there are none.
    std::optional<Job> next();
    // Of the set job that came last: which of its documents, by their place in source_documents. The jobs of the others that come
    // later have to wait.
    const std::vector<bool>& had_documents() const { return had_documents_; }

    // Ends the claim; `sweep` then knows where the next one begins.
    void end();
    // Leaves a claimed job in the queue.
    void leave(const Job& job);
    // Where the next claim may begin once all jobs that were claimed and not left have ended.
    ClaimPosition resume() const;

private:
    struct Candidate {
        ClaimPosition position;
        pg::RowPlace place;
        std::string type;
        std::string source;  // whose targets it has to find; empty: none
        Oid source_type;
        std::uint64_t document;
        std::vector<std::uint64_t> documents;  // of a set job
        bool ready;  // from the index of jobs due at once, not from that of scheduled jobs
        bool while_paused;  // it runs also while its type is paused
        bool is_task;
    };
    static Candidate candidate(pg::IndexScan& scan, pg::RowPlace place, bool ready);
    void read_ready();
    void read_scheduled();
    std::optional<Candidate> take_first();
    enum class May { run, wait, behind_its_type };
    May may_run(const Candidate& candidate);
    bool hold(const Candidate& candidate);
    bool comes_after_held(const Candidate& candidate);
    std::optional<Job> take(const Candidate& candidate);
    bool take_documents(const Candidate& candidate);

    std::function<bool(std::int64_t)> left_out_;
    pg::Table table_;
    pg::IndexScan ready_scan_, scheduled_scan_;
    std::optional<Candidate> ready_;     // the next one
    std::vector<Candidate> scheduled_;  // the next ones, in reverse order
    bool ready_at_end_ = false, scheduled_at_end_ = false;
    std::unordered_map<std::string, std::optional<ClaimPosition>> first_held_;  // of the types met
    Sweep& sweep_;
    bool cautious_;
    int passed_over_ = 0;
    std::vector<bool> had_documents_;
    ClaimPosition resume_;  // behind the last one that was claimed
    ClaimPosition read_;    // behind the last one that was read
    std::optional<ClaimPosition> left_;
};

}  // namespace sync_job
