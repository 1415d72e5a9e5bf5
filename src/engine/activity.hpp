// What the process is doing, as other sessions see it, and what they ask of it. Kept in shared memory by
// worker/slots.cpp; where the library was not preloaded nobody sees it and nobody asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/job_row.hpp"

namespace sync_job {

bool in_worker();

// `subject`: describe(job).
void show_job_start(const Job& job, const std::string& subject);
void show_job_end();
// The job runs in transactions of its own.
void show_alone(std::int64_t job);  // 0: not any more

// How far the job is, 0 to 100; a text that is not given stays. Told to listeners by the scheduler, now and then.
void show_progress(double percent, std::optional<std::string_view> title, std::optional<std::string_view> description);

// Somebody has asked to cancel this job while it runs here, or ran last.
bool cancel_requested(std::int64_t job_id);
std::string requested_cancel_reason();

// A session that runs jobs itself is seen, and keeps documents to itself, as a worker is, until its transaction ends.
// Nothing in a worker, and where the library was not preloaded.
void take_session_slot();

// --- What the transaction under way keeps for itself, until it ends ---

// One job per document at a time: false when another process has a job of the same key under way.
bool keep_document(std::uint64_t key);
// This process has passed over a job because of what is under way elsewhere: it is woken when some of that has ended,
// as it is where keep_document() or keep_limited_type() say no.
void note_kept_out();
// At most `limit` processes have jobs of the type under way.
bool keep_limited_type(std::uint64_t key, int limit);

// While it lives, what is kept survives the ends of transactions: a job that runs alone has several.
class KeepAcrossTransactions {
public:
    KeepAcrossTransactions();
    ~KeepAcrossTransactions();
    // Lets go of all but the document and the type of the job that is next; keys as for the two functions above.
    void keep_only(std::uint64_t document, std::uint64_t type);
    KeepAcrossTransactions(const KeepAcrossTransactions&) = delete;
    KeepAcrossTransactions& operator=(const KeepAcrossTransactions&) = delete;
};

}  // namespace sync_job
