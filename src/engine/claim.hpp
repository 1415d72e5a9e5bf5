// Claiming: the due jobs of one role in one queue, in their order, each locked for this transaction. What somebody else
// has locked is passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/claim_position.hpp"
#include "job/job_row.hpp"
#include "pg/table.hpp"

namespace sync_job {

// The key of the document that the job must have for itself; 0: none. The target where it is named, else the source;
// the children of a relay run side by side.
std::uint64_t document_key(const Job& job);

// Locks the document of the job for this transaction; false where another process has it, or all of the type.
bool may_have_document(const Job& job);

// A job of the role waits in the queue, due at once, not before `start`; whether or not somebody has it under way.
bool any_claimable(const std::string& queue, Oid run_as, ClaimPosition start);

// The children of another job of the same type and source wait or run: what the job would find is not there yet. It
// is passed over; when one of them ends, this process is woken.
bool waits_for_children(const Job& job);

// Whether the concurrency_limit of the type leaves room for one more; if so, the room is kept for this transaction.
bool take_type_slot_for(const std::string& name);
std::uint64_t type_key(const std::string& name);  // under which that is kept

// Very many jobs that may not be taken now (of a type at its concurrency_limit, of a document in progress) are no reason
// to let those behind them wait, nor to read them all in one transaction: a claim gives up after some thousands, and the
// next one goes on behind them. This is what it must know of them. When it has found something, and what was in the way
// has ended, it begins again at the head.
struct Sweep {
    std::optional<ClaimPosition> at;  // a claim gave up, and the next one begins here
    bool gave_up = false;             // the last claim, not at the end of the queue
    bool found = false;               // a job, since it began at the head
    std::unordered_set<std::uint64_t> behind;     // documents whose earlier job was passed over
    std::unordered_set<std::string> full_types;   // found to be at their limit: that holds till the next sweep, for their order
    std::unordered_set<std::int64_t> scheduled;   // jobs passed over whose time has come
    std::optional<ClaimPosition> first_left;      // passed over, or left
};

class Claim {
public:
    // Sees what is committed now; jobs that come later are for the next claim. Of the jobs that are due at once those
    // before `start` are not looked at. `left_out`: jobs that stay where they are, and what comes after them of their documents.
    // `cautious`: after a crash; of the jobs that ran at an earlier one, no two at a time.
    Claim(const std::string& queue, Oid run_as, ClaimPosition start, Sweep& sweep, bool cautious,
          std::function<bool(std::int64_t)> left_out = nullptr);

    // The next one, locked: lower priority number first, then lower id. The row lives in the current memory context.
    // Not inside a subtransaction that ends before the claim does.
    std::optional<Job> next();

    // No more is claimed: `sweep` knows where the next claim begins.
    void end();
    // This one, though claimed, stays in the queue.
    void leave(const Job& job);
    // Where the next claim may begin, when all that was claimed and not left has ended.
    ClaimPosition resume() const;

private:
    struct Candidate {
        ClaimPosition position;
        pg::RowPlace place;
        std::string type;
        std::string source;  // whose targets it has to find; empty: none
        Oid source_type;
        std::uint64_t document;
        bool ready;  // from the index of what may run at once, not of what had to wait for its time
    };
    static Candidate candidate(pg::IndexScan& scan, pg::RowPlace place, bool ready);
    void read_ready();
    void read_scheduled();
    std::optional<Candidate> take_first();
    enum class May { run, wait, behind_its_type };
    May may_run(const Candidate& candidate);
    std::optional<Job> take(const Candidate& candidate);

    std::function<bool(std::int64_t)> left_out_;
    pg::Table table_;
    pg::IndexScan ready_scan_, scheduled_scan_;
    std::optional<Candidate> ready_;     // the next one
    std::vector<Candidate> scheduled_;  // the next ones, the first last
    bool ready_at_end_ = false, scheduled_at_end_ = false;
    Sweep& sweep_;
    bool cautious_;
    int passed_over_ = 0;
    ClaimPosition resume_;  // behind the last one that was claimed
    ClaimPosition read_;    // behind the last one that was read
    std::optional<ClaimPosition> left_;
};

}  // namespace sync_job
