// Claims the due jobs of one role in one queue, in their order, and locks each for this transaction. Jobs that somebody else has locked are
// passed over.
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

// The key of the document that only one job at a time may work on; 0: none. It is the target if that is named, else the source. The
// children of a relay run side by side.
std::uint64_t document_key(const Job& job);

// The same for the documents of a set job, in their order.
std::vector<std::uint64_t> document_keys(const Job& set);

// Locks the job's document for this transaction. False: another process has locked it, or the whole type.
bool may_have_document(const Job& job);

// Whether a job of the role that is due at once waits in the queue, at or after position `start`. It may already be in progress.
bool any_claimable(const std::string& queue, Oid run_as, ClaimPosition start);
// The position of the role's first due job in the queue, at or after `start`. It may already be in progress.
std::optional<ClaimPosition> first_due(const std::string& queue, Oid run_as, ClaimPosition start);

// Whether children of another job of the same type and source are waiting or running: then what this job would look for does not exist yet.
// The job is passed over, and this process is woken when one of the children ends.
bool waits_for_children(const Job& job);

// Whether jobs of the type must not begin now: it is paused, or the jobs held during a pause are not all released yet.
bool type_is_held(const std::string& name);

// Whether the type's concurrency_limit allows one more job; if so, takes one of its slots for this transaction.
bool take_type_slot_for(const std::string& name);
std::uint64_t type_key(const std::string& name);  // the key of its slots

// There may be very many jobs that cannot be taken now: their type is at its concurrency_limit, or their document is in progress. The jobs
// behind them must not wait for that, but one transaction must not read them all. So a claim gives up after passing over a few thousand,
// and the next claim goes on after them. A Sweep has what that claim must know of them. Once a job was found, and whatever was in the way
// has ended, claims begin again at the head of the queue.
struct Sweep {
    std::optional<ClaimPosition> at;  // set if a claim gave up: the next one begins here
    bool gave_up = false;             // the last claim gave up before the end of the queue
    bool found = false;               // a job was found since the sweep began at the head
    std::unordered_set<std::uint64_t> behind;     // documents of jobs that were passed over
    std::unordered_set<std::string> full_types;   // types that were at their limit; left out until the next sweep, to keep their order
    std::unordered_set<std::int64_t> scheduled;   // due scheduled jobs that were passed over
    std::optional<ClaimPosition> first_left;      // the first job that was passed over or left in the queue
};

class Claim {
public:
    // Sees what is committed now; the next claim sees later jobs. Jobs that are due at once are read from `start` on. `left_out`: jobs that
    // stay in the queue, and with them later jobs of their documents. `cautious`: set after a crash; jobs that were running at an earlier
    // crash then run one at a time.
    Claim(const std::string& queue, Oid run_as, ClaimPosition start, Sweep& sweep, bool cautious,
          std::function<bool(std::int64_t)> left_out = nullptr);

    // The next job, locked: lower priority number first, then lower id. The row lives in the current memory context. Must not be called
    // inside a subtransaction that ends before the claim does. For a set job, as many of its documents as possible are locked, too; it is
    // passed over if none could be locked.
    std::optional<Job> next();
    // For the set job returned last: which of its documents were locked, by their index in source_documents. Later jobs of the other
    // documents have to wait.
    const std::vector<bool>& had_documents() const { return had_documents_; }

    // Ends the claim. After that, `sweep` knows where the next one begins.
    void end();
    // Puts a claimed job back: it stays in the queue.
    void leave(const Job& job);
    // Where the next claim may begin once all jobs that were claimed and not left in the queue have ended.
    ClaimPosition resume() const;

private:
    struct Candidate {
        ClaimPosition position;
        pg::RowPlace place;
        std::string type;
        std::string source;  // source whose targets it has to find; empty: none
        Oid source_type;
        std::uint64_t document;
        std::vector<std::uint64_t> documents;  // of a set job
        bool ready;  // from the index of jobs due at once, not from that of scheduled jobs
        bool while_paused;  // it runs even while its type is paused
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
    std::unordered_map<std::string, std::optional<ClaimPosition>> first_held_;  // of the types seen so far
    Sweep& sweep_;
    bool cautious_;
    int passed_over_ = 0;
    std::vector<bool> had_documents_;
    ClaimPosition resume_;  // after the last job that was claimed
    ClaimPosition read_;    // after the last job that was read
    std::optional<ClaimPosition> left_;
};

}  // namespace sync_job
