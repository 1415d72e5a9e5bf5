// No header of Citus is included: its catalogs are read by column names.
#include "pg/server.hpp"

#include <algorithm>
#include <limits>

extern "C" {
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "nodes/primnodes.h"
#include "nodes/readfuncs.h"
}

#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/value.hpp"

namespace sync_job::pg::citus {

namespace {

// If postgresql.conf has one of its settings but the library is not loaded, the setting is only a placeholder.
bool library_is_loaded() {
    constexpr const char* setting = "citus.enable_unsafe_triggers";
    static const bool loaded = guarded([] {
        return GetConfigOption(setting, true, false) != nullptr && (GetConfigOptionFlags(setting, true) & GUC_CUSTOM_PLACEHOLDER) == 0;
    });
    return loaded;
}

Oid catalog_oid(const char* name) { return get_relname_relid(name, PG_CATALOG_NAMESPACE); }

// Whether this database also has the extension.
bool is_here() {
    return library_is_loaded() && guarded([] { return OidIsValid(catalog_oid("pg_dist_partition")); });
}

// Calls `take` with each row of a Citus catalog that has this value in the column. Call it within a guard.
template <class F>
bool read_rows(const char* catalog_name, const char* index_name, const char* column, Oid equality, Datum value, F&& take) {
    Oid oid = catalog_oid(catalog_name), index = catalog_oid(index_name);
    if (!OidIsValid(oid)) return false;
    ::Relation catalog = table_open(oid, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, get_attnum(oid, column), BTEqualStrategyNumber, equality, value);
    SysScanDesc scan = systable_beginscan(catalog, index, OidIsValid(index), nullptr, 1, &key);
    bool found = false;
    while (HeapTuple tuple = systable_getnext(scan)) {
        found = true;
        take([&](const char* name, bool* is_null) { return heap_getattr(tuple, get_attnum(oid, name), RelationGetDescr(catalog), is_null); });
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return found;
}

DistributedTable::Kind kind_of(char method, char replication, std::uint32_t colocation) {
    using Kind = DistributedTable::Kind;
    if (method == 'h') return Kind::by_hash;
    if (method != 'n') return Kind::other;
    if (replication == 't') return Kind::reference;
    return colocation == 0 ? Kind::local : Kind::one_shard;
}

// Such as "customer_102008": the name of the table and the number of the shard. A long name is cut, and has a hash.
std::string shard_name(const char* table, const char* suffix) {
    std::size_t length = std::strlen(table), suffix_length = std::strlen(suffix);
    if (length + suffix_length < NAMEDATALEN) return std::string(table) + suffix;
    int clipped = pg_mbcliplen(table, static_cast<int>(length), static_cast<int>(NAMEDATALEN - suffix_length - 10));
    char hash[10];
    snprintf(hash, sizeof(hash), "_%.8x", DatumGetUInt32(hash_any(reinterpret_cast<const unsigned char*>(table), static_cast<int>(length))));
    return std::string(table, clipped) + hash + suffix;
}

struct Found {
    std::int64_t id;
    std::int32_t last;
};

// Whether this node (strictly, its group) has the shard. Call it within a guard.
bool is_placed_here(std::int64_t shard) {
    std::int32_t here = -1;
    bool placed = false, is_null;
    ::Relation groups = table_open(catalog_oid("pg_dist_local_group"), AccessShareLock);
    SysScanDesc scan = systable_beginscan(groups, InvalidOid, false, nullptr, 0, nullptr);
    if (HeapTuple tuple = systable_getnext(scan)) here = DatumGetInt32(heap_getattr(tuple, 1, RelationGetDescr(groups), &is_null));
    systable_endscan(scan);
    table_close(groups, AccessShareLock);
    read_rows("pg_dist_placement", "pg_dist_placement_shardid_index", "shardid", F_INT8EQ, Int64GetDatum(shard),
              [&](auto column) { placed = placed || DatumGetInt32(column("groupid", &is_null)) == here; });
    return placed;
}

std::vector<DistributedTable::Shard> read_shards(Oid relation) {
    constexpr int most = 4096;  // with more shards, the table is left to Citus
    constexpr std::int32_t all = std::numeric_limits<std::int32_t>::max();
    Found* found = guarded([] { return static_cast<Found*>(palloc(most * sizeof(Found))); });
    int count = 0;
    guarded([&] {
        read_rows("pg_dist_shard", "pg_dist_shard_logical_relid_index", "logicalrelid", F_OIDEQ, ObjectIdGetDatum(relation), [&](auto column) {
            bool is_null;
            Datum last = column("shardmaxvalue", &is_null);
            if (count == most) return;
            found[count].last = is_null ? all : pg_strtoint32(TextDatumGetCString(last));
            found[count++].id = DatumGetInt64(column("shardid", &is_null));
        });
    });
    std::sort(found, found + count, [](const Found& one, const Found& other) { return one.last < other.last; });
    std::vector<DistributedTable::Shard> shards;
    if (count == most) return shards;
    const char* table = guarded([&] { return get_rel_name(relation); });
    for (int i = 0; table != nullptr && i < count; i++) {
        std::string name = shard_name(table, ("_" + std::to_string(found[i].id)).c_str());
        const char* text = name.c_str();
        Oid here = guarded([&] { return is_placed_here(found[i].id) ? get_relname_relid(text, get_rel_namespace(relation)) : InvalidOid; });
        shards.push_back({found[i].id, found[i].last, here});
    }
    return shards;
}

std::shared_ptr<const DistributedTable> read_table(Oid relation) {
    DistributedTable table;
    bool found = guarded([&] {
        return read_rows("pg_dist_partition", "pg_dist_partition_logical_relid_index", "logicalrelid", F_OIDEQ, ObjectIdGetDatum(relation),
                        [&](auto column) {
                            bool is_null;
                            char method = DatumGetChar(column("partmethod", &is_null));
                            char replication = DatumGetChar(column("repmodel", &is_null));
                            table.colocation = DatumGetUInt32(column("colocationid", &is_null));
                            table.kind = kind_of(method, replication, table.colocation);
                            Datum key = column("partkey", &is_null);
                            if (!is_null) table.key = castNode(Var, stringToNode(TextDatumGetCString(key)))->varattno;
                        });
    });
    if (table.kind == DistributedTable::Kind::by_hash || table.kind == DistributedTable::Kind::one_shard) table.shards = read_shards(relation);
    return found ? std::make_shared<const DistributedTable>(table) : nullptr;
}

Oid read_table_of(Oid relation) {
    const char *name = nullptr, *suffix = nullptr, *table_name = nullptr;
    Oid table = InvalidOid;
    guarded([&] {
        name = get_rel_name(relation);
        suffix = name == nullptr ? nullptr : std::strrchr(name, '_');
        if (suffix == nullptr) return;
        char* end;
        std::int64_t shard = std::strtoll(suffix + 1, &end, 10);
        if (*end != '\0' || shard <= 0) return;
        read_rows("pg_dist_shard", "pg_dist_shard_shardid_index", "shardid", F_INT8EQ, Int64GetDatum(shard), [&](auto column) {
            bool is_null;
            table = DatumGetObjectId(column("logicalrelid", &is_null));
        });
        bool same_schema = OidIsValid(table) && get_rel_namespace(table) == get_rel_namespace(relation);
        table_name = same_schema ? get_rel_name(table) : nullptr;
    });
    return table_name != nullptr && shard_name(table_name, suffix) == name ? table : relation;
}

// Keeps what has been read until the definition of the relation changes.
template <class T>
class Cache {
public:
    template <class Read>
    T find(Oid relation, Read&& read) {
        auto found = known_.find(relation);
        if (found != known_.end()) return found->second;
        std::uint64_t before = changes_;
        T value = read(relation);
        if (changes_ == before) known_.emplace(relation, value);  // if not equal, the value may be from before a change made meanwhile
        return value;
    }
    void forget(Oid relation) {
        changes_++;
        if (relation == InvalidOid) {
            known_.clear();
        } else if (!known_.empty()) {
            known_.erase(relation);
        }
    }

private:
    std::unordered_map<Oid, T> known_;
    std::uint64_t changes_ = 0;
};

// Never destroyed: the server may be gone by then.
auto& tables = *new Cache<std::shared_ptr<const DistributedTable>>;
auto& tables_of_shards = *new Cache<Oid>;

// The shards that this transaction has entered. None of them moves while the transaction holds the locks that it took when it entered:
// until its end, or until a subtransaction in which it may have taken them is rolled back.
auto& entered = *new std::vector<std::int64_t>;

void forget_entered(XactEvent, void*) { entered.clear(); }
void forget_entered_on_rollback(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (event == SUBXACT_EVENT_ABORT_SUB) entered.clear();
}

// A function that the library of Citus exports; null if it does not.
void* exported(const char* name) {
    if (!library_is_loaded()) return nullptr;
    return guarded([&] { return reinterpret_cast<void*>(load_external_function("$libdir/citus", name, false, nullptr)); });
}

}  // namespace

std::shared_ptr<const DistributedTable> distributed_table(Oid relation) {
    return is_here() ? tables.find(relation, read_table) : nullptr;
}

bool is_distributed(Oid relation) {
    auto table = relation < FirstNormalObjectId ? nullptr : distributed_table(relation);
    return table != nullptr && table->kind != DistributedTable::Kind::local;
}

Oid table_of(Oid relation) { return is_here() ? tables_of_shards.find(relation, read_table_of) : relation; }

std::optional<std::size_t> DistributedTable::shard_of(Datum value, Oid type, Oid collation) const {
    auto hash = static_cast<std::int32_t>(hash_value(value, type, collation));
    auto found = std::lower_bound(shards.begin(), shards.end(), hash, [](const Shard& shard, std::int32_t wanted) { return shard.last < wanted; });
    if (found == shards.end()) return std::nullopt;
    return found - shards.begin();
}

bool enter_shard(Oid table, const DistributedTable::Shard& shard) {
    static auto* const status = reinterpret_cast<int (*)()>(exported("GetCurrentLocalExecutionStatus"));
    static auto* const set_status = reinterpret_cast<void (*)(int)>(exported("SetLocalExecutionStatus"));
    constexpr int required = 0, disabled = 2;  // values of the enum LocalExecutionStatus of Citus
    static auto* const lock = reinterpret_cast<void (*)(std::int64_t, LOCKMODE)>(exported("LockShardDistributionMetadata"));
    if (status == nullptr || set_status == nullptr || lock == nullptr) return false;
    [[maybe_unused]] static const bool watching = guarded([] {
        RegisterXactCallback(forget_entered, nullptr);
        RegisterSubXactCallback(forget_entered_on_rollback, nullptr);
        return true;
    });
    bool known = std::find(entered.begin(), entered.end(), shard.id) != entered.end();
    bool inside = guarded([&] {
        if (status() == disabled) return false;
        if (!known) {
            LockRelationOid(table, RowShareLock);  // a command that distributes the table in another way waits for this lock
            if (!is_placed_here(shard.id)) return false;
            lock(shard.id, ShareLock);  // as Citus does for each statement: moving the shard waits for this lock, and we wait for a move
            if (!is_placed_here(shard.id)) return false;
        }
        set_status(required);
        return true;
    });
    if (inside && !known) entered.push_back(shard.id);
    return inside;
}

bool are_colocated(const DistributedTable& one, const DistributedTable& other) {
    using Kind = DistributedTable::Kind;
    bool in_shards = one.kind == Kind::by_hash || one.kind == Kind::one_shard;
    return in_shards && one.kind == other.kind && one.colocation == other.colocation;
}

void commit_in_two_phases() {
    static auto* const use = reinterpret_cast<void (*)()>(exported("Use2PCForCoordinatedTransaction"));
    if (use != nullptr) use();  // sets a flag, which has no effect if no other node is written to
}

bool canceled_for_deadlock() {
    static auto* const canceled = reinterpret_cast<bool (*)(bool)>(exported("MyBackendGotCancelledDueToDeadlock"));
    return canceled != nullptr && canceled(true);
}

void invalidate(Oid relation) {
    tables.forget(relation);
    tables_of_shards.forget(relation);
}

}  // namespace sync_job::pg::citus
