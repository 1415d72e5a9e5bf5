// Document locks: one job per document at a time, and at most so many of a type with a concurrency_limit. Held by the
// process until its transaction ends.
//
// A lock is a hash in the slot of the process, looked up under one LWLock: the lock manager's table is too small for
// batches of hundreds of documents. Two documents with the same hash wait for each other, which costs time but is
// correct. If the library was not preloaded, there is no shared memory, and nothing is locked.
#pragma once

#include <cstdint>
#include <vector>

namespace sync_job {

struct Shared;

// False if another process has a job of the same key in progress.
bool lock_document(std::uint64_t key);
// The same for many at once: for each of them whether it was locked.
std::vector<bool> lock_documents(const std::vector<std::uint64_t>& keys);
// At most `limit` processes have jobs of the type in progress; false if that many others do.
bool take_type_slot(std::uint64_t key, int limit);
// From now on only this process may run jobs of the type, whatever their documents; false if another one has this lock.
// What others have begun goes on: is_document_in_progress().
bool lock_type(std::uint64_t key);
// Whether another process has that lock: the jobs of the type are left to that process.
bool is_type_locked(std::uint64_t key);
// Whether another process has a job of this document in progress.
bool is_document_in_progress(std::uint64_t key);
// Marks this process as having passed over a job because of what is in progress elsewhere: it is woken when some of
// that has ended. The functions above do so by themselves if another process is in the way.
void mark_blocked();
// Whether it is marked, and none of that has ended since.
bool is_blocked();
// Wakes the processes that are marked so.
void wake_blocked(Shared& s);

// A session that runs jobs itself is visible and locks documents like a worker, until its transaction ends. Does
// nothing in a worker.
void take_session_slot();

// A job that runs in several transactions has committed what it did to the documents: others may have them.
void release_documents();

// While it lives, the locks survive the end of a transaction: a job that runs alone has several. Within another such
// scope, where such a job runs the jobs of a queue, nothing is released before the outer one ends.
class HoldLocksAcrossTransactions {
public:
    HoldLocksAcrossTransactions();
    ~HoldLocksAcrossTransactions();
    // Releases all but the document and the type of the next job; keys as for lock_document() and take_type_slot().
    void release_all_but(std::uint64_t document, std::uint64_t type);
    HoldLocksAcrossTransactions(const HoldLocksAcrossTransactions&) = delete;
    HoldLocksAcrossTransactions& operator=(const HoldLocksAcrossTransactions&) = delete;

private:
    bool outer_;
};

// Registers the release at the end of transactions and of the process; at load.
void register_document_locks();

}  // namespace sync_job
