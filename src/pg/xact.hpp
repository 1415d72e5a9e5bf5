// Transactions, subtransactions, snapshots, and callbacks for when one ends.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// --- Whole transactions, for background workers; the memory context, which outlives them, does not change ---
void start_transaction();
void commit_transaction();
// For use after an Error at the top level of a worker. Never throws.
void abort_transaction() noexcept;

// --- Inside a transaction ---

// Makes what this transaction has written so far visible to its next commands.
void command_counter_increment();

// How many subtransactions of this transaction are cached for other backends' snapshots (up to 64; if there are more, other backends have
// to look them up in pg_subtrans). Includes those of EXCEPTION blocks.
int cached_subtransactions();

bool is_current_transaction(std::uint32_t transaction_id);

// Whether it is REPEATABLE READ or SERIALIZABLE: one snapshot for the whole transaction.
bool uses_one_snapshot();

// Whether this transaction has created or read temporary objects.
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

// Makes the newest snapshot active until the end of the scope. After an exception, the abort releases it.
class SnapshotScope {
public:
    SnapshotScope();
    ~SnapshotScope();
    SnapshotScope(const SnapshotScope&) = delete;
    SnapshotScope& operator=(const SnapshotScope&) = delete;

private:
    int exceptions_;
};

// Fires deferred constraints and triggers now; from then on, to the end of the (sub)transaction, they are immediate.
void fire_deferred_triggers();
// Makes deferrable constraints be checked at the end of the transaction.
void defer_constraints();

// The callback is called at the end of every transaction of this backend, which may already be committed, so it must not raise. Registered
// at load; there can be only a few.
using TransactionEnd = void (*)(bool committed);
void on_transaction_end(TransactionEnd callback);

// The same for each subtransaction, while it is still the current one. `level`: its depth; 1 is the transaction itself.
using SubtransactionEnd = void (*)(bool committed, int level);
void on_subtransaction_end(SubtransactionEnd callback);  // there can be only one
int transaction_level();

// Like NOTIFY, delivered when the transaction commits; the payload must be shorter than 8000 bytes.
void notify(const char* channel, const std::string& payload);

// Takes a session-level exclusive lock on a number, in a lock class of the extension. It is held until it is released, the backend dies, or
// a transaction of the backend is aborted; pg_advisory_unlock_all() does not release it.
bool try_lock_number(Oid space, std::int64_t number);
void unlock_number(Oid space, std::int64_t number) noexcept;

// The same, but waits for the lock, and holds it to the end of the transaction.
void lock_number(Oid space, std::int64_t number);

// Releases what a job has left in the session: advisory locks, temporary tables, prepared statements, cursors, LISTEN registrations,
// sequence caches. Must be called outside a transaction.
void clean_session();

}  // namespace sync_job::pg
