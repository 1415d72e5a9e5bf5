#include "job/job_store.hpp"

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

constexpr Partition partitions[] = {Partition::live, Partition::failed, Partition::ended};

enum class Reading { plain, lock_waiting, lock_not_waiting };

struct Found {
    std::optional<StoredJob> job;
    bool busy = false;
    bool changed = false;  // it was there, and moved while we waited for it
};

Found read(std::int64_t id, Partition partition, Reading reading) {
    const SchemaObjects& o = schema_objects();
    pg::Table table(o.partition(partition), reading == Reading::plain ? pg::TableLock::read : pg::TableLock::write);
    pg::IndexScan scan(table, o.id_index(partition),
                       {{1, pg::ScanCondition::Operator::equal_int8, pg::int64_datum(id)}});
    Found found;
    auto place = scan.next();
    if (!place) return found;
    if (reading == Reading::plain) {
        found.job = StoredJob{Job(scan.row()), partition};
        return found;
    }
    pg::StoredRow row;
    switch (table.lock(*place, reading == Reading::lock_waiting, &row)) {
        case pg::LockResult::locked:
            found.job = StoredJob{Job(row), partition};
            break;
        case pg::LockResult::busy:
            found.busy = true;
            break;
        case pg::LockResult::gone:
            found.changed = true;
            break;
    }
    return found;
}

}  // namespace

std::optional<StoredJob> find_job(std::int64_t id) {
    // It may move between two look-ups, never back: a second round finds it.
    for (int round = 0; round < 2; round++) {
        for (Partition partition : partitions) {
            if (Found found = read(id, partition, Reading::plain); found.job) return found.job;
        }
    }
    return std::nullopt;
}

std::optional<StoredJob> lock_job(std::int64_t id, bool wait, bool* busy) {
    // Each round that finds it changed has waited for a transaction to end, so this loop ends.
    for (int missing = 0; missing < 2;) {
        bool changed = false;
        for (Partition partition : partitions) {
            Found found = read(id, partition, wait ? Reading::lock_waiting : Reading::lock_not_waiting);
            if (found.job) return found.job;
            if (found.busy) {
                if (busy != nullptr) *busy = true;
                return std::nullopt;
            }
            changed = changed || found.changed;
        }
        if (!changed) missing++;
    }
    return std::nullopt;
}

// Until ALTER EXTENSION UPDATE, the index is on the name itself.
std::vector<pg::ScanCondition> of_source(Datum type, Datum source_name) {
    using Op = pg::ScanCondition::Operator;
    pg::ScanCondition name{2, Op::equal_text, source_name};
    if (schema_objects().current) name = {2, Op::equal_int8, pg::text_hash(source_name)};
    return {{1, Op::equal_text, type}, name};
}

std::vector<std::int64_t> children_of(std::int64_t parent) {
    static auto& select =
        *new InternalStatement("SELECT id FROM {}.sync_job WHERE parent_sync_job = $1 AND coalesce(relation, '') NOT IN ('rerun', 'replay') ORDER BY id",
                               {pg::type::int8});
    static auto& select_of_0_1_0 =
        *new InternalStatement("SELECT id FROM {}.sync_job WHERE parent_sync_job = $1 ORDER BY id", {pg::type::int8});
    std::vector<std::int64_t> ids;
    for (const auto& row : (schema_objects().current ? select : select_of_0_1_0).run({{pg::int64_datum(parent), false}})) ids.push_back(pg::datum_int64(row[0].datum));
    return ids;
}

namespace {

bool stands_in(Partition partition, std::int64_t id) {
    return read(id, partition, Reading::plain).job.has_value();
}

void remove_duplicate(const StoredJob& stored) {
    pg::Table table(schema_objects().partition(stored.partition), pg::TableLock::write);
    table.remove(stored.job.place);
    pg::log(describe(stored.job) + " is removed from the queue: a job with this ID has already ended",
            "This can happen when tables are copied or restored while jobs run.");
}

}  // namespace

bool remove_if_ended(const StoredJob& stored) {
    if (stored.partition != Partition::live || !stands_in(Partition::ended, stored.job.id())) return false;
    auto locked = lock_job(stored.job.id());
    if (locked && locked->partition == Partition::live) remove_duplicate(*locked);
    pg::command_counter_increment();
    return true;
}

void require_writable_tables() {
    for (Partition partition : partitions) {
        pg::Table table(schema_objects().partition(partition), pg::TableLock::write);
    }
}

void insert_job(const Job& job) {
    pg::Table table(schema_objects().partition(partition_of(job.status())), pg::TableLock::write);
    table.insert(job.row());
}

void store_job(const StoredJob& stored) {
    const SchemaObjects& o = schema_objects();
    Partition to = partition_of(stored.job.status());
    pg::Table from_table(o.partition(stored.partition), pg::TableLock::write);
    if (to == stored.partition) {
        from_table.replace(stored.job.place, stored.job.row());
    } else if (stands_in(to, stored.job.id())) {
        remove_duplicate(stored);
    } else {
        from_table.remove(stored.job.place);
        pg::Table to_table(o.partition(to), pg::TableLock::write);
        to_table.insert(stored.job.row());
    }
    pg::command_counter_increment();
}

void no_such_job(std::int64_t id) { throw pg::Error("42704", "sync job " + std::to_string(id) + " does not exist"); }

}  // namespace sync_job
