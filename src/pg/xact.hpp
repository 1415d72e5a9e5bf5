// Transactions, subtransactions, snapshots, and what happens when one ends.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// --- Whole transactions, for background workers; the current memory context, a longer-lived one, stays as it is ---
void start_transaction();
void commit_transaction();
// After an Error at the top level of a worker. Never throws.
void abort_transaction() noexcept;

// --- Inside a transaction ---

// Makes what this transaction has written so far visible to what follows.
void command_counter_increment();

// Subtransactions of this transaction that other backends' snapshots still cache (up to 64 of a transaction; beyond
// that every snapshot has to look them up on disk). Counts those of EXCEPTION blocks too.
int cached_subtransactions();

bool is_current_transaction(std::uint32_t transaction_id);

// REPEATABLE READ or SERIALIZABLE: one snapshot for the whole transaction.
bool uses_one_snapshot();

// This transaction has created or read temporary objects.
bool touched_temporary_objects();

Timestamp now();                // the clock
Timestamp transaction_start();  // as now() in SQL

// Raises the standard error for a write on a standby, in a read-only transaction or in a parallel worker.
void require_writable(const char* command);

// A subtransaction in the manner of plpgsql's EXCEPTION block. Rolled back when the scope is left without commit().
class Subtransaction {
public:
    Subtransaction();
    ~Subtransaction();
    Subtransaction(const Subtransaction&) = delete;
    Subtransaction& operator=(const Subtransaction&) = delete;

    void commit();
    void rollback();

private:
    void* resource_owner_;
    bool open_ = true;
};

// The newest snapshot, active until the end of the scope. Left to the abort when an exception is on its way.
class SnapshotScope {
public:
    SnapshotScope();
    ~SnapshotScope();
    SnapshotScope(const SnapshotScope&) = delete;
    SnapshotScope& operator=(const SnapshotScope&) = delete;

private:
    int exceptions_;
};

// Deferred constraints and triggers are checked now, and at once from here to the end of the (sub)transaction.
void fire_deferred_triggers();
// Those that can be are checked at the end of the transaction.
void defer_constraints();

// Called at the end of every transaction of this backend, in the state "committed: nothing may raise".
// Registered at load, a few in all.
using TransactionEnd = void (*)(bool committed);
void on_transaction_end(TransactionEnd callback);

// NOTIFY, delivered when the transaction commits; the payload is shorter than 8000 bytes.
void notify(const char* channel, const std::string& payload);

// Session-level exclusive lock on a number, in a lock class of the extension: free again when released, when the
// backend dies, or when a transaction of the backend is aborted; out of reach of pg_advisory_unlock_all().
bool try_lock_number(Oid space, std::int64_t number);
void unlock_number(Oid space, std::int64_t number) noexcept;

// Lets go of what a job left on the session: advisory locks, temporary tables, prepared statements, cursors,
// listening, sequence caches. Outside a transaction.
void clean_session();

}  // namespace sync_job::pg
