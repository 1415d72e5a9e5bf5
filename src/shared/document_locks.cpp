#include "shared/document_locks.hpp"

#include <cstring>
#include <utility>

#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/slots.hpp"

namespace sync_job {

namespace {

bool contains(const std::uint64_t* keys, int count, std::uint64_t key) {
    for (int i = 0; i < count; i++) {
        if (keys[i] == key) return true;
    }
    return false;
}

// The place of the key in the hash table, or the place for it.
std::uint64_t* place_of_document(WorkerSlot& slot, std::uint64_t key) {
    auto at = static_cast<std::size_t>(key);
    for (;; at++) {
        std::uint64_t& place = slot.documents[at % document_places];
        if (place == key || place == 0) return &place;
    }
}

bool has_document(WorkerSlot& slot, std::uint64_t key) {
    return slot.document_count > 0 && *place_of_document(slot, key) == key;
}

void add_document(WorkerSlot& slot, std::uint64_t key) {
    *place_of_document(slot, key) = key;
    slot.document_count++;
}

void forget_documents(WorkerSlot& slot) {
    if (slot.document_count.exchange(0) > 0) std::memset(slot.documents, 0, sizeof(slot.documents));
}

bool in_use(const WorkerSlot& slot) { return slot.state == SlotState::running || slot.state == SlotState::session; }

bool across_transactions = false;

void free_session_slot() {
    WorkerSlot* slot = my_slot_or_null();
    if (slot == nullptr || slot->state != SlotState::session) return;
    clear_slot(*slot);
    slot->state = SlotState::free;
    set_my_slot(nullptr);
}

// When the session ends, perhaps in the middle of a job that it has committed as Started.
void leave() {
    bool ran = my_slot_or_null() != nullptr;
    free_session_slot();
    if (ran) report_orphans(pg::my_database());
}

// Removes all but this key from the array; returns how many are left.
int retain(std::uint64_t* keys, int count, std::uint64_t key) {
    if (!contains(keys, count, key)) return 0;
    keys[0] = key;
    return 1;
}

void release() {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr) return;
    bool kept = own->document_count > 0 || own->limited_count > 0;
    kept = own->exclusive_type.exchange(0) != 0 || kept;
    forget_documents(*own);
    own->limited_count = 0;
    free_session_slot();
    if (kept) wake_blocked(*shared());
}

// How many other slots have the key in progress.
template <class Contains>
int others_with(const WorkerSlot& own, Contains&& has_key) {
    int count = 0;
    for (WorkerSlot& slot : used_slots(*shared())) {
        if (&slot != &own && in_use(slot) && slot.database == own.database && has_key(slot)) count++;
    }
    return count;
}

// Looks twice: a process that releases after the first look sees that this process is blocked; a release before that is
// seen by the second look.
template <class Allowed>
bool allowed_now(WorkerSlot& own, Allowed&& allowed) {
    if (allowed()) return true;
    own.blocked = true;
    return allowed();
}

void at_transaction_end(bool) {
    if (!across_transactions) release();
}

}  // namespace

void wake_blocked(Shared& s) {
    for (WorkerSlot& slot : used_slots(s)) {
        if (slot.blocked && slot.blocked.exchange(false)) pg::wake_process(slot.process_number);
    }
}

void mark_blocked() {
    if (WorkerSlot* own = my_slot_or_null()) own->blocked = true;
}

bool is_blocked() {
    WorkerSlot* own = my_slot_or_null();
    return own != nullptr && own->blocked;
}

void register_document_locks() { pg::on_transaction_end(at_transaction_end); }

HoldLocksAcrossTransactions::HoldLocksAcrossTransactions() : outer_(std::exchange(across_transactions, true)) {}

void HoldLocksAcrossTransactions::release_all_but(std::uint64_t document, std::uint64_t type) {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr || outer_) return;
    {
        pg::SharedLock lock(pg::SharedLock::Mode::write);
        bool keeps_document = has_document(*own, document);
        forget_documents(*own);
        if (keeps_document) add_document(*own, document);
        own->limited_count = retain(own->limited, own->limited_count, type);
    }
    wake_blocked(*shared());
}

void release_documents() {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr || own->document_count == 0) return;
    {
        pg::SharedLock lock(pg::SharedLock::Mode::write);
        forget_documents(*own);
    }
    wake_blocked(*shared());
}

HoldLocksAcrossTransactions::~HoldLocksAcrossTransactions() {
    across_transactions = outer_;
    if (!outer_) release();
}

void take_session_slot() {
    Shared* s = shared();
    if (s == nullptr || my_slot_or_null() != nullptr) return;
    pg::at_session_exit(leave);
    Oid role = pg::session_user();
    bool limited = !pg::is_superuser(role);
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    int sessions = 0, of_role = 0;
    for (const WorkerSlot& slot : s->workers) {
        if (slot.state != SlotState::session) continue;
        sessions++;
        if (slot.role == role) of_role++;
    }
    bool role_has_its_share = limited && of_role >= most_sessions_of_role;
    if (sessions == most_sessions || role_has_its_share) {
        int most = role_has_its_share ? most_sessions_of_role : most_sessions;
        throw pg::Error("53300", "too many sessions run sync jobs")
            .detail("There is room for " + std::to_string(most) + " at a time" +
                    (role_has_its_share ? " for a role that is not a superuser." : "."))
            .hint("Leave the jobs to workers, or end transactions in which jobs have run.");
    }
    WorkerSlot* slot = find_free_slot();  // there is one: workers and sessions have their limits
    slot->process_number = pg::my_process_number();
    slot->pid = pg::my_pid();
    slot->database = pg::my_database();
    slot->role = role;
    slot->since = pg::now();
    slot->state = SlotState::session;
    set_my_slot(slot);
}

namespace {

// To be called under the lock.
bool take_document(WorkerSlot& own, std::uint64_t key) {
    if (has_document(own, key)) return true;
    if (own.document_count >= most_documents) return false;
    auto has_key = [&](WorkerSlot& slot) { return has_document(slot, key); };
    if (!allowed_now(own, [&] { return others_with(own, has_key) == 0; })) return false;
    add_document(own, key);
    return true;
}

}  // namespace

bool lock_document(std::uint64_t key) {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr || has_document(*own, key)) return true;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    return take_document(*own, key);
}

std::vector<bool> lock_documents(const std::vector<std::uint64_t>& keys) {
    WorkerSlot* own = my_slot_or_null();
    std::vector<bool> had(keys.size(), true);
    if (own == nullptr) return had;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    for (std::size_t i = 0; i < keys.size(); i++) had[i] = take_document(*own, keys[i]);
    return had;
}

bool take_type_slot(std::uint64_t key, int limit) {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr) return true;
    if (contains(own->limited, own->limited_count, key)) return true;
    if (own->limited_count >= most_limited_types) return false;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    auto has_key = [&](const WorkerSlot& slot) { return contains(slot.limited, slot.limited_count, key); };
    if (!allowed_now(*own, [&] { return others_with(*own, has_key) < limit; })) return false;
    own->limited[own->limited_count] = key;
    own->limited_count++;
    return true;
}

bool lock_type(std::uint64_t key) {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr) return true;
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    auto has_key = [&](const WorkerSlot& slot) { return slot.exclusive_type == key; };
    if (!allowed_now(*own, [&] { return others_with(*own, has_key) == 0; })) return false;
    own->exclusive_type = key;
    return true;
}

bool is_type_locked(std::uint64_t key) {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr) return false;
    auto has_key = [&](const WorkerSlot& slot) { return slot.exclusive_type == key; };
    return !allowed_now(*own, [&] { return others_with(*own, has_key) == 0; });
}

bool is_document_in_progress(std::uint64_t key) {
    WorkerSlot* own = my_slot_or_null();
    if (own == nullptr || key == 0) return false;
    pg::SharedLock lock(pg::SharedLock::Mode::read);
    auto has_key = [&](WorkerSlot& slot) { return has_document(slot, key); };
    return !allowed_now(*own, [&] { return others_with(*own, has_key) == 0; });
}

}  // namespace sync_job
