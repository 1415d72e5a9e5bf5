#include "pg/server.hpp"

extern "C" {
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
}

#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job::pg {

void start_transaction() {
    guarded([] {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
    });
}

void commit_transaction() {
    guarded([] { CommitTransactionCommand(); });
}

void abort_transaction() noexcept {
    guarded_cleanup([] { AbortCurrentTransaction(); });
}

void command_counter_increment() {
    guarded([] { CommandCounterIncrement(); });
}

int cached_subtransactions() {
    return MyProc->subxidStatus.overflowed ? PGPROC_MAX_CACHED_SUBXIDS : MyProc->subxidStatus.count;
}

bool is_current_transaction(std::uint32_t transaction_id) {
    return TransactionIdIsCurrentTransactionId(static_cast<TransactionId>(transaction_id));
}

bool uses_one_snapshot() { return IsolationUsesXactSnapshot(); }

bool touched_temporary_objects() { return (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0; }

Timestamp now() { return GetCurrentTimestamp(); }

Timestamp transaction_start() { return GetCurrentTransactionStartTimestamp(); }

void require_writable(const char* command) {
    guarded([&] {
        PreventCommandDuringRecovery(command);
        if (XactReadOnly) PreventCommandIfReadOnly(command);
        PreventCommandIfParallelMode(command);
    });
}

Subtransaction::Subtransaction() : resource_owner_(CurrentResourceOwner) {
    guarded([] { BeginInternalSubTransaction(nullptr); });
}

void Subtransaction::commit() {
    guarded([&] {
        ReleaseCurrentSubTransaction();
        CurrentResourceOwner = static_cast<ResourceOwner>(resource_owner_);
    });
    open_ = false;
}

void Subtransaction::rollback() {
    open_ = false;
    guarded([&] {
        RollbackAndReleaseCurrentSubTransaction();
        CurrentResourceOwner = static_cast<ResourceOwner>(resource_owner_);
    });
}

Subtransaction::~Subtransaction() {
    if (!open_) return;
    guarded_cleanup([&] {
        RollbackAndReleaseCurrentSubTransaction();
        CurrentResourceOwner = static_cast<ResourceOwner>(resource_owner_);
    });
}

SnapshotScope::SnapshotScope() : exceptions_(std::uncaught_exceptions()) {
    guarded([] { PushActiveSnapshot(GetTransactionSnapshot()); });
}

SnapshotScope::~SnapshotScope() {
    if (std::uncaught_exceptions() == exceptions_) PopActiveSnapshot();
}

namespace {

void set_all_constraints(bool deferred) {
    guarded([&] {
        ConstraintsSetStmt* all = makeNode(ConstraintsSetStmt);
        all->constraints = NIL;
        all->deferred = deferred;
        AfterTriggerSetState(all);
    });
}

}  // namespace

void fire_deferred_triggers() { set_all_constraints(false); }
void defer_constraints() { set_all_constraints(true); }

namespace {

constexpr int most_callbacks = 4;
TransactionEnd end_callbacks[most_callbacks];
int callback_count = 0;
bool committing = false;

void call_back(bool committed) {
    for (int i = 0; i < callback_count; i++) end_callbacks[i](committed);
}

// At XACT_EVENT_COMMIT, the invalidation messages have not been sent and the locks are still held: a process woken at that moment may look
// at a stale cache, see nothing to do, and go back to sleep. So a commit is reported after both.
void at_transaction_event(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_COMMIT:
            committing = true;
            break;
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            call_back(false);
            break;
        default:
            break;
    }
}

void at_resource_release(ResourceReleasePhase phase, bool, bool top_level, void*) {
    if (!committing || !top_level || phase != RESOURCE_RELEASE_AFTER_LOCKS) return;
    committing = false;  // this function is also called for each portal's resources
    call_back(true);
}

// A LOCKTAG_OBJECT of the default lock method: objid and objsubid hold 48 bits of the number.
LOCKTAG number_tag(Oid space, std::int64_t number) {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, space, static_cast<uint32>(number), static_cast<uint16>(number >> 32));
    return tag;
}

}  // namespace

void on_transaction_end(TransactionEnd callback) {
    if (callback_count == 0) {
        RegisterXactCallback(at_transaction_event, nullptr);
        RegisterResourceReleaseCallback(at_resource_release, nullptr);
    }
    end_callbacks[callback_count++] = callback;
}

namespace {

SubtransactionEnd subtransaction_callback = nullptr;

void at_subtransaction_event(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB) return;
    subtransaction_callback(event == SUBXACT_EVENT_COMMIT_SUB, GetCurrentTransactionNestLevel());
}

}  // namespace

void on_subtransaction_end(SubtransactionEnd callback) {
    subtransaction_callback = callback;
    RegisterSubXactCallback(at_subtransaction_event, nullptr);
}

int transaction_level() { return GetCurrentTransactionNestLevel(); }

void notify(const char* channel, const std::string& payload) {
    guarded([&] { Async_Notify(channel, payload.c_str()); });
}

bool try_lock_number(Oid space, std::int64_t number) {
    return guarded([&] {
        LOCKTAG tag = number_tag(space, number);
        return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
    });
}

void lock_number(Oid space, std::int64_t number) {
    guarded([&] {
        LOCKTAG tag = number_tag(space, number);
        LockAcquire(&tag, ExclusiveLock, false, false);
    });
}

void unlock_number(Oid space, std::int64_t number) noexcept {
    guarded_cleanup([&] {
        LOCKTAG tag = number_tag(space, number);
#if PG_VERSION_NUM >= 170000
        bool held = LockHeldByMe(&tag, ExclusiveLock, false);
#else
        bool held = LockHeldByMe(&tag, ExclusiveLock);
#endif
        if (held) LockRelease(&tag, ExclusiveLock, true);
    });
}

void clean_session() {
    guarded([&] {
        LockReleaseSession(USER_LOCKMETHOD);
        StartTransactionCommand();
        PortalHashTableDeleteAll();
        Async_UnlistenAll();
        DropAllPreparedStatements();
        PushActiveSnapshot(GetTransactionSnapshot());  // catalog rows may have out-of-line values
        ResetTempTableNamespace();
        PopActiveSnapshot();
        ResetSequenceCaches();
        CommitTransactionCommand();
    });
}

}  // namespace sync_job::pg
