// Transactions, subtransactions, snapshots, and what happens when one ends.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// --- Whole transactions, for background workers; the current memory context, which outlives them, stays current ---
void start_transaction();
void commit_transaction();
// After an Error at the top level of a worker. Never throws.
void abort_transaction() noexcept;

// --- Inside a transaction ---

// Makes what this transaction has written so far visible to what follows.
void command_counter_increment();

// Subtransactions of this transaction that are cached for other backends' snapshots (up to 64; beyond that these have
// to look them up in pg_subtrans). Counts those of EXCEPTION blocks too.
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

// A subtransaction like that of a PL/pgSQL EXCEPTION block. Rolled back when the scope is left without commit().
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

// The newest snapshot, active until the end of the scope. After an exception, the abort releases it.
class SnapshotScope {
public:
    SnapshotScope();
    ~SnapshotScope();
    SnapshotScope(const SnapshotScope&) = delete;
    SnapshotScope& operator=(const SnapshotScope&) = delete;

private:
    int exceptions_;
};

// Fires deferred constraints and triggers now; from here to the end of the (sub)transaction they are immediate.
void fire_deferred_triggers();
// Deferrable ones are checked at the end of the transaction.
void defer_constraints();

// Called at the end of every transaction of this backend, when it may already be committed: must not raise.
// Registered at load, only a few.
using TransactionEnd = void (*)(bool committed);
void on_transaction_end(TransactionEnd callback);

// The same for each subtransaction, while it is still the current one. `level`: its depth; 1 is the transaction itself.
using SubtransactionEnd = void (*)(bool committed, int level);
void on_subtransaction_end(SubtransactionEnd callback);  // only one
int transaction_level();

// NOTIFY, delivered when the transaction commits; the payload must be shorter than 8000 bytes.
void notify(const char* channel, const std::string& payload);

// Session-level exclusive lock on a number, in a lock class of the extension. Held until it is released, the backend
// dies, or a transaction of the backend is aborted; pg_advisory_unlock_all() does not release it.
bool try_lock_number(Oid space, std::int64_t number);
void unlock_number(Oid space, std::int64_t number) noexcept;

// The same for the rest of the transaction; waits for it.
void lock_number(Oid space, std::int64_t number);

// Releases what a job has left in the session: advisory locks, temporary tables, prepared statements, cursors,
// LISTEN registrations, sequence caches. Outside a transaction.
void clean_session();

}  // namespace sync_job::pg
