// What the engine knows about Citus if that extension's library is loaded: from its catalogs, and through functions that its library
// exports. Elsewhere each of these functions returns at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "pg/types.hpp"

namespace sync_job::pg::citus {

// A table whose shards Citus manages, according to the catalogs of this node. A copy, valid until a relcache invalidation of the table;
// Citus sends one also when shards are split or moved.
struct DistributedTable {
    struct Shard {
        std::int64_t id;
        std::int32_t last;  // the largest hash value of its rows
        Oid table;          // its table on this node; no_oid: it is on another node
    };
    enum class Kind {
        by_hash,    // by the hash of a column
        one_shard,  // a table of a schema that is distributed as a whole
        reference,  // a copy on each node
        local,      // only on this node, but known to Citus
        other       // distributed by range or by append
    };
    Kind kind = Kind::other;
    int key = 0;  // by_hash: the attnum of the distribution column
    std::uint32_t colocation = 0;
    std::vector<Shard> shards;  // in hash order, as many as those of colocated tables; one_shard: that one
    // The index of the shard for rows whose distribution column, of this type and collation, has this value.
    std::optional<std::size_t> shard_of(Datum value, Oid type, Oid collation) const;
};

// Null: it is an ordinary table.
std::shared_ptr<const DistributedTable> distributed_table(Oid relation);
// Whether a statement that reads the relation must be planned with known parameter values.
bool is_distributed(Oid relation);
// For a shard: the table that it belongs to; else the relation itself.
Oid table_of(Oid relation);
// Whether rows of the two tables with equal distribution columns are on the same node, or both tables as a whole are.
bool are_colocated(const DistributedTable& one, const DistributedTable& other);

// From now until the end of the transaction, the shard stays on this node, and Citus knows what is done to it here: SQL may name its table.
// False: it has been moved meanwhile, or this transaction has already used a connection to this node.
bool enter_shard(Oid table, const DistributedTable::Shard& shard);

// What this transaction writes on other nodes is prepared there before it commits here: so either all of it is committed or nothing.
void commit_in_two_phases();
// Whether the cancellation that is being raised is due to a deadlock between nodes.
bool canceled_for_deadlock();

// For the relcache callback.
void invalidate(Oid relation);

}  // namespace sync_job::pg::citus
