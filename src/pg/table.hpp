// The extension's own tables, read and written without SQL: the hot path of enqueue, claim and record.
//
// This bypasses privileges, triggers, rules and CHECK constraints. The engine vouches for what it writes, and refuses a table to which
// somebody has attached something that would be bypassed (pg/attached.hpp). Indexes (including partial ones and those being built), TOAST,
// WAL, publications and statistics work as with SQL; unknown columns get their default.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/row.hpp"
#include "pg/types.hpp"

namespace sync_job::pg {

enum class TableLock { read, write };

// A row that was copied from a table into the current memory context, taken apart.
struct StoredRow {
    RowPlace place;
    RowValues row;
    std::uint32_t created_by = 0;  // the transaction that wrote this version
};

enum class LockResult {
    locked,
    busy,  // somebody else has locked it, and the caller does not want to wait
    gone   // changed, moved or deleted meanwhile: look it up again
};

// A table that is open until the end of the scope; nested ones are closed in reverse order.
class Table {
public:
    Table(Oid relation, TableLock lock);
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    // A row may have more values than the table has columns: in an older version of the extension, the last ones are missing. It may also
    // have fewer: columns that somebody has added are at the end, and get their default.
    RowPlace insert(const RowValues& row);
    // The same for many rows, with one WAL record per page.
    void insert_many(const std::vector<RowValues>& rows);
    // Both need a row that this transaction has locked (or written before a command_counter_increment()).
    void remove(RowPlace place);
    RowPlace replace(RowPlace place, const RowValues& row);

    // Locks the row version at `place` FOR UPDATE; `row` gets the locked row.
    LockResult lock(RowPlace place, bool wait, StoredRow* row);

    Oid oid() const { return oid_; }
    int column_count() const;

private:
    friend class IndexScan;
    // The place of the row in a slot (a TupleTableSlot), and a copy of that row. row_of() raises as the server does.
    static RowPlace place_of(const void* slot);
    static StoredRow row_of(void* slot);

    Oid oid_;
    RelationData* relation_;
    void* lock_slot_ = nullptr;
    void* write_slot_ = nullptr;
    bool own_snapshot_ = false;
    int exceptions_;
};

// One condition on an index column (numbered from 1 within the index).
struct ScanCondition {
    enum class Operator { equal_text, equal_int8, equal_oid, at_most_timestamp, greater_int8, at_least_int4 };
    int index_column;
    Operator op;
    Datum value;
};

// Where a scan begins in the order of two adjacent index columns, as (a, b) >= (first, second) does in SQL.
struct ScanStart {
    int index_column;     // the first of the two, an int4; the second is an int8
    std::int32_t first;
    std::int64_t second;
};

// A forward scan of an index with the newest snapshot. Opened and read outside subtransactions, or wholly inside one.
class IndexScan {
public:
    static constexpr int all_columns = 0;

    // column() may be called for the first `columns` columns. `as_of`: a scan whose snapshot this one shares.
    IndexScan(Table& table, Oid index, const std::vector<ScanCondition>& conditions,
              const std::optional<ScanStart>& start = std::nullopt, int columns = all_columns, const IndexScan* as_of = nullptr);
    ~IndexScan();
    IndexScan(const IndexScan&) = delete;
    IndexScan& operator=(const IndexScan&) = delete;

    // Moves to the next visible row and says where it is.
    std::optional<RowPlace> next();
    // The row under the scan, copied.
    StoredRow row();
    // One of its columns, valid until next().
    Datum column(int number, bool* is_null) const;

private:
    Table& table_;
    RelationData* index_;
    void* scan_;
    void* snapshot_;
    void* slot_;
    int columns_;
    int exceptions_;
};

// Reads the rows of a small table, or those with `key` in the text column that comes first in the table's primary key: the named columns,
// or all, copied into the current memory context. A statement would first have to be prepared, which takes a new session ten times as long.
std::vector<RowValues> read_rows(Oid relation, const std::vector<const char*>& columns, const std::string* key = nullptr);

std::int64_t next_sequence_value(Oid sequence);

// Makes what is cached about the table's indexes be rebuilt at the next write. For the relcache callback, which names the table or one of
// its indexes (no_oid: any).
void invalidate_table_writer(Oid relation);

// `callback` is called whenever a table has been opened: by taking the lock, the process may have learned that the table's definition has
// changed since the caller looked. It may raise.
void on_table_open(void (*callback)());

}  // namespace sync_job::pg
