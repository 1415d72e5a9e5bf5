// Document locks: one job per document at a time, and at most so many of a type with a concurrency_limit. Held by the
// process until its transaction ends.
//
// A lock is a hash in the slot of the process, looked for under one LWLock: the lock manager's table is too small for
// batches of hundreds of documents. Two documents with the same hash wait for each other, which costs time and is right.
// Where the library was not preloaded there is no shared memory, and processes are not kept apart.
#pragma once

#include <cstdint>

namespace sync_job {

struct Shared;

// False when another process has a job of the same key in progress.
bool lock_document(std::uint64_t key);
// At most `limit` processes have jobs of the type in progress; false when they do.
bool take_type_slot(std::uint64_t key, int limit);
// This process alone may run jobs of the type, whatever their documents; false when another one has said so. What others
// have begun goes on: is_document_in_progress().
bool lock_type(std::uint64_t key);
// Another process has said so: its jobs are left to it.
bool is_type_locked(std::uint64_t key);
// Another process has a job of this document in progress.
bool is_document_in_progress(std::uint64_t key);
// This process has passed over a job because of what is in progress elsewhere: it is woken when some of that has ended.
// The functions above say so themselves where another process is in the way.
void mark_blocked();
// It has, and none of that has ended since.
bool is_blocked();
// Wakes the processes that are marked so.
void wake_blocked(Shared& s);

// A session that runs jobs itself is seen, and locks documents, as a worker does, until its transaction ends. Nothing in
// a worker.
void take_session_slot();

// While it lives, the locks survive the ends of transactions: a job that runs alone has several. Within the scope of another,
// where such a job runs the jobs of a queue, nothing is let go before that one ends.
class HoldLocksAcrossTransactions {
public:
    HoldLocksAcrossTransactions();
    ~HoldLocksAcrossTransactions();
    // Lets go of all but the document and the type of the job that is next; keys as for the two functions above.
    void release_all_but(std::uint64_t document, std::uint64_t type);
    HoldLocksAcrossTransactions(const HoldLocksAcrossTransactions&) = delete;
    HoldLocksAcrossTransactions& operator=(const HoldLocksAcrossTransactions&) = delete;

private:
    bool outer_;
};

// Registers the release at the end of transactions and of the process; at load.
void register_document_locks();

}  // namespace sync_job
