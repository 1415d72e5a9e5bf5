// What the engine knows of Citus, where the library of that extension is loaded: from its catalogs, and by what its library
// exports. Elsewhere each of these answers at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "pg/types.hpp"

namespace sync_job::pg::citus {

// A table that Citus has in shards, as the catalogs of this node tell. A copy: valid until a relcache invalidation of the table, which
// Citus sends when shards are split or moved, too.
struct DistributedTable {
    struct Shard {
        std::int64_t id;
        std::int32_t last;  // the largest hash of its rows
        Oid table;          // where it lies on this node; else no_oid
    };
    enum class Kind {
        by_hash,    // of a column
        one_shard,  // the table of a schema that is distributed as a whole
        reference,  // a copy on each node
        local,      // on this node, and known to Citus
        other       // by range, or by append
    };
    Kind kind = Kind::other;
    int key = 0;  // by_hash: the attnum of that column
    std::uint32_t colocation = 0;
    std::vector<Shard> shards;  // by their hashes, the same number for tables that are colocated; one_shard: that one
    // The number of the one for rows whose distribution column, of this type and collation, has the value.
    std::optional<std::size_t> shard_of(Datum value, Oid type, Oid collation) const;
};

// Null: it is an ordinary table.
std::shared_ptr<const DistributedTable> distributed_table(Oid relation);
// A statement that reads it must be planned with its parameters known.
bool is_distributed(Oid relation);
// Of a shard, its table; else the relation itself.
Oid table_of(Oid relation);
// Two tables of which rows with equal distribution columns lie on one node, or which lie there as a whole.
bool are_colocated(const DistributedTable& one, const DistributedTable& other);

// From now until the transaction ends the shard of the table stays where it is, and Citus sees what is done to it here: SQL may name its table. False:
// it has been moved meanwhile, or this transaction has been to this node by a connection already.
bool enter_shard(Oid table, const DistributedTable::Shard& shard);

// What this transaction writes on other nodes is prepared there before it commits here: its rows here and there are one.
void commit_in_two_phases();
// The cancellation that is being raised ends a deadlock between nodes.
bool canceled_for_deadlock();

// For the relcache callback.
void invalidate(Oid relation);

}  // namespace sync_job::pg::citus
