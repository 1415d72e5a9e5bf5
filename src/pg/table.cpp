#include "pg/server.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_am.h"
#include "commands/sequence.h"
}

#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"

namespace sync_job::pg {

namespace {

// What inserting into a table's indexes needs, kept from call to call: the executor's state for partial
// predicates is too dear to be made for each row.
struct IndexInsertion {
    Oid index;
    IndexInfo* info;
    ExprState* predicate;
};

struct TableWriter {
    bool valid = false;
    EState* state = nullptr;
    std::vector<IndexInsertion> indexes;
};

std::unordered_map<Oid, TableWriter>& writers() {
    static auto& cache = *new std::unordered_map<Oid, TableWriter>;  // never destroyed: the server may be gone by then
    return cache;
}

void build(TableWriter& writer, ::Relation relation) {
    writer.valid = false;
    writer.indexes.clear();
    if (writer.state != nullptr) {
        EState* old = std::exchange(writer.state, nullptr);
        guarded([&] { FreeExecutorState(old); });
    }
    guarded([&] {
        MemoryContext previous = MemoryContextSwitchTo(CacheMemoryContext);
        writer.state = CreateExecutorState();
        MemoryContextSwitchTo(writer.state->es_query_cxt);
        List* list = RelationGetIndexList(relation);
        ListCell* cell;
        foreach (cell, list) {
            ::Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
            IndexInfo* info = BuildIndexInfo(index);
            ExprState* predicate =
                info->ii_Predicate == NIL ? nullptr : ExecPrepareQual(info->ii_Predicate, writer.state);
            writer.indexes.push_back({RelationGetRelid(index), info, predicate});
            index_close(index, NoLock);
        }
        MemoryContextSwitchTo(previous);
    });
    writer.valid = true;
}

TableWriter& writer_for(::Relation relation) {
    TableWriter& writer = writers()[RelationGetRelid(relation)];
    if (!writer.valid) build(writer, relation);
    return writer;
}

// Index by index, so that each is opened once and its pages stay in the processor's cache. Raises as the server does.
void insert_index_entries(TableWriter& writer, ::Relation relation, TupleTableSlot** slots, std::size_t count) {
    ExprContext* context = GetPerTupleExprContext(writer.state);
    MemoryContext previous = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer.state));
    for (const IndexInsertion& entry : writer.indexes) {
        ::Relation index = nullptr;
        for (std::size_t i = 0; i < count; i++) {
            context->ecxt_scantuple = slots[i];
            if (entry.predicate != nullptr && !ExecQual(entry.predicate, context)) continue;
            if (index == nullptr) index = index_open(entry.index, RowExclusiveLock);
            Datum values[INDEX_MAX_KEYS];
            bool nulls[INDEX_MAX_KEYS];
            FormIndexDatum(entry.info, slots[i], writer.state, values, nulls);
            // What an access method keeps from row to row is for this row alone. BRIN's points into the index's entry in the
            // relation cache, which the table's own invalidations say nothing of; from 17 on it has pins on buffers, too.
            entry.info->ii_AmCache = nullptr;
            entry.info->ii_Context = CurrentMemoryContext;
            index_insert(index, values, nulls, &slots[i]->tts_tid, relation,
                         index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, entry.info);
#if PG_VERSION_NUM >= 170000
            index_insert_cleanup(index, entry.info);
#endif
            ResetPerTupleExprContext(writer.state);
        }
        if (index != nullptr) index_close(index, NoLock);
    }
    MemoryContextSwitchTo(previous);
    context->ecxt_scantuple = nullptr;
}

RowPlace place_of(const ItemPointerData& tid) {
    return {ItemPointerGetBlockNumberNoCheck(&tid), ItemPointerGetOffsetNumberNoCheck(&tid)};
}

ItemPointerData tid_of(RowPlace place) {
    ItemPointerData tid;
    ItemPointerSet(&tid, place.block, place.offset);
    return tid;
}

void fill(TupleTableSlot* slot, const RowValues& row) {
    require_values_for(slot->tts_tupleDescriptor, row.count);
    ExecClearTuple(slot);
    int count = slot->tts_tupleDescriptor->natts;
    std::memcpy(slot->tts_values, row.values, count * sizeof(Datum));
    std::memcpy(slot->tts_isnull, row.nulls, count * sizeof(bool));
    ExecStoreVirtualTuple(slot);
}

StoredRow copy_slot(TupleTableSlot* slot) {
    StoredRow stored;
    int count = slot->tts_tupleDescriptor->natts;
    HeapTuple tuple = ExecCopySlotHeapTuple(slot);
    stored.place = place_of(slot->tts_tid);
    stored.row.count = count;
    stored.row.values = static_cast<Datum*>(palloc(count * sizeof(Datum)));
    stored.row.nulls = static_cast<bool*>(palloc(count * sizeof(bool)));
    heap_deform_tuple(tuple, slot->tts_tupleDescriptor, stored.row.values, stored.row.nulls);
    stored.created_by = HeapTupleHeaderGetRawXmin(tuple->t_data);
    return stored;
}

TupleTableSlot* slot_of(void* slot) { return static_cast<TupleTableSlot*>(slot); }

}  // namespace

// A change of the table's definition: its indexes are looked up again at the next write.
void invalidate_table_writer(Oid relation) {
    if (relation == no_oid) {
        for (auto& [oid, writer] : writers()) writer.valid = false;
    } else if (auto found = writers().find(relation); found != writers().end()) {
        found->second.valid = false;
    }
}

Table::Table(Oid relation, TableLock lock) : oid_(relation), exceptions_(std::uncaught_exceptions()) {
    guarded([&] {
        // Out-of-line values are only safe to read and delete under a snapshot.
        own_snapshot_ = !ActiveSnapshotSet();
        if (own_snapshot_) PushActiveSnapshot(GetTransactionSnapshot());
        relation_ = table_open(relation, lock == TableLock::write ? RowExclusiveLock : AccessShareLock);
        if (lock == TableLock::write) {
            lock_slot_ = MakeSingleTupleTableSlot(RelationGetDescr(relation_), table_slot_callbacks(relation_));
            write_slot_ = MakeSingleTupleTableSlot(RelationGetDescr(relation_), &TTSOpsVirtual);
        }
    });
}

Table::~Table() {
    if (std::uncaught_exceptions() != exceptions_) return;  // the abort lets go of it
    guarded_cleanup([&] {
        if (lock_slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_of(lock_slot_));
        if (write_slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_of(write_slot_));
        table_close(relation_, NoLock);
        if (own_snapshot_) PopActiveSnapshot();
    });
}

int Table::column_count() const { return RelationGetDescr(relation_)->natts; }
TupleDescData* Table::descriptor() const { return RelationGetDescr(relation_); }

RowPlace Table::insert(const RowValues& row) {
    TableWriter& writer = writer_for(relation_);
    return guarded([&] {
        TupleTableSlot* slot = slot_of(write_slot_);
        fill(slot, row);
        table_tuple_insert(relation_, slot, GetCurrentCommandId(true), 0, nullptr);
        insert_index_entries(writer, relation_, &slot, 1);
        RowPlace place = place_of(slot->tts_tid);
        ExecClearTuple(slot);
        return place;
    });
}

// As COPY does it: rows first, some hundreds at a time, then their index entries.
void Table::insert_many(const std::vector<RowValues>& rows) {
    constexpr std::size_t at_a_time = 200;
    if (rows.size() == 1) {
        insert(rows[0]);
        return;
    }
    TableWriter& writer = writer_for(relation_);
    guarded([&] {
        TupleTableSlot* slots[at_a_time];
        std::size_t made = 0;
        for (std::size_t from = 0; from < rows.size(); from += at_a_time) {
            std::size_t count = std::min(at_a_time, rows.size() - from);
            for (std::size_t i = 0; i < count; i++) {
                if (i == made) slots[made++] = MakeSingleTupleTableSlot(RelationGetDescr(relation_), &TTSOpsHeapTuple);
                const RowValues& row = rows[from + i];
                require_values_for(RelationGetDescr(relation_), row.count);
                HeapTuple tuple = heap_form_tuple(RelationGetDescr(relation_), row.values, row.nulls);
                ExecStoreHeapTuple(tuple, slots[i], true);
            }
            table_multi_insert(relation_, slots, static_cast<int>(count), GetCurrentCommandId(true), 0, nullptr);
            insert_index_entries(writer, relation_, slots, count);
            for (std::size_t i = 0; i < count; i++) ExecClearTuple(slots[i]);
        }
        for (std::size_t i = 0; i < made; i++) ExecDropSingleTupleTableSlot(slots[i]);
    });
}

void Table::remove(RowPlace place) {
    guarded([&] {
        ItemPointerData tid = tid_of(place);
        simple_table_tuple_delete(relation_, &tid, SnapshotAny);
    });
}

RowPlace Table::replace(RowPlace place, const RowValues& row) {
    TableWriter& writer = writer_for(relation_);
    return guarded([&] {
        ItemPointerData tid = tid_of(place);
        TupleTableSlot* slot = slot_of(write_slot_);
        fill(slot, row);
#if PG_VERSION_NUM >= 160000
        TU_UpdateIndexes update_indexes;
        simple_table_tuple_update(relation_, &tid, slot, SnapshotAny, &update_indexes);
        bool new_entries = update_indexes != TU_None;
#else
        bool new_entries;
        simple_table_tuple_update(relation_, &tid, slot, SnapshotAny, &new_entries);
#endif
        if (new_entries) insert_index_entries(writer, relation_, &slot, 1);
        RowPlace written = place_of(slot->tts_tid);
        ExecClearTuple(slot);
        return written;
    });
}

LockResult Table::lock(RowPlace place, bool wait, StoredRow* row) {
    return guarded([&] {
        ItemPointerData tid = tid_of(place);
        TM_FailureData failure;
        TM_Result result =
            table_tuple_lock(relation_, &tid, SnapshotAny, slot_of(lock_slot_), GetCurrentCommandId(false),
                             LockTupleExclusive, wait ? LockWaitBlock : LockWaitSkip, 0, &failure);
        switch (result) {
            case TM_Ok:
                if (row != nullptr) *row = copy_slot(slot_of(lock_slot_));
                ExecClearTuple(slot_of(lock_slot_));
                return LockResult::locked;
            case TM_WouldBlock:
                return LockResult::busy;
            case TM_Updated:
            case TM_Deleted:
            case TM_SelfModified:
            case TM_Invisible:
                return LockResult::gone;
            default:
                elog(ERROR, "unexpected result %d of locking a row", static_cast<int>(result));
        }
    });
}

namespace {

RegProcedure procedure_of(ScanCondition::Operator op) {
    switch (op) {
        case ScanCondition::Operator::equal_text:
            return F_TEXTEQ;
        case ScanCondition::Operator::equal_int8:
            return F_INT8EQ;
        case ScanCondition::Operator::equal_oid:
            return F_OIDEQ;
        case ScanCondition::Operator::at_most_timestamp:
            return F_TIMESTAMPTZ_LE;
        case ScanCondition::Operator::greater_int8:
            return F_INT8GT;
        case ScanCondition::Operator::at_least_int4:
            return F_INT4GE;
    }
    return InvalidOid;
}

StrategyNumber strategy_of(ScanCondition::Operator op, Oid access_method) {
    if (access_method == HASH_AM_OID) return HTEqualStrategyNumber;
    switch (op) {
        case ScanCondition::Operator::at_most_timestamp:
            return BTLessEqualStrategyNumber;
        case ScanCondition::Operator::greater_int8:
            return BTGreaterStrategyNumber;
        case ScanCondition::Operator::at_least_int4:
            return BTGreaterEqualStrategyNumber;
        default:
            return BTEqualStrategyNumber;
    }
}

// A row comparison, as ExecIndexBuildScanKeys() makes it.
void fill_start_key(const ScanStart& start, ScanKey header, ScanKey members) {
    auto column = static_cast<AttrNumber>(start.index_column);
    ScanKeyEntryInitialize(&members[0], SK_ROW_MEMBER, column, BTGreaterEqualStrategyNumber, InvalidOid, InvalidOid,
                           F_BTINT4CMP, Int32GetDatum(start.first));
    ScanKeyEntryInitialize(&members[1], SK_ROW_MEMBER | SK_ROW_END, static_cast<AttrNumber>(column + 1),
                           BTGreaterEqualStrategyNumber, InvalidOid, InvalidOid, F_BTINT8CMP,
                           Int64GetDatum(start.second));
    *header = {};
    header->sk_flags = SK_ROW_HEADER;
    header->sk_attno = column;
    header->sk_strategy = BTGreaterEqualStrategyNumber;
    header->sk_argument = PointerGetDatum(members);
}

}  // namespace

IndexScan::IndexScan(Table& table, Oid index, const std::vector<ScanCondition>& conditions,
                     const std::optional<ScanStart>& start, int columns)
    : table_(table),
      columns_(columns == all_columns ? table.column_count() : columns),
      exceptions_(std::uncaught_exceptions()) {
    guarded([&] {
        ScanKeyData keys[INDEX_MAX_KEYS];
        int count = static_cast<int>(conditions.size());
        index_ = index_open(index, AccessShareLock);
        for (int i = 0; i < count; i++) {
            const ScanCondition& condition = conditions[i];
            ScanKeyInit(&keys[i], static_cast<AttrNumber>(condition.index_column), strategy_of(condition.op, index_->rd_rel->relam),
                        procedure_of(condition.op), condition.value);
        }
        if (start) {
            auto* members = static_cast<ScanKey>(palloc(2 * sizeof(ScanKeyData)));  // the scan points to them
            fill_start_key(*start, &keys[count++], members);
        }
        Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
        snapshot_ = snapshot;
        slot_ = MakeSingleTupleTableSlot(RelationGetDescr(table_.relation_), table_slot_callbacks(table_.relation_));
#if PG_VERSION_NUM >= 180000
        IndexScanDesc scan = index_beginscan(table_.relation_, index_, snapshot, nullptr, count, 0);
#else
        IndexScanDesc scan = index_beginscan(table_.relation_, index_, snapshot, count, 0);
#endif
        index_rescan(scan, keys, count, nullptr, 0);
        scan_ = scan;
    });
}

IndexScan::~IndexScan() {
    if (std::uncaught_exceptions() != exceptions_) return;  // the abort lets go of it
    guarded_cleanup([&] {
        index_endscan(static_cast<IndexScanDesc>(scan_));
        ExecDropSingleTupleTableSlot(slot_of(slot_));
        UnregisterSnapshot(static_cast<Snapshot>(snapshot_));
        index_close(index_, NoLock);
    });
}

std::optional<RowPlace> IndexScan::next() {
    bool found = guarded([&] {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot* slot = slot_of(slot_);
        if (!index_getnext_slot(static_cast<IndexScanDesc>(scan_), ForwardScanDirection, slot)) return false;
        slot_getsomeattrs(slot, columns_);
        return true;
    });
    if (!found) return std::nullopt;
    return place_of(slot_of(slot_)->tts_tid);
}

StoredRow IndexScan::row() {
    return guarded([&] { return copy_slot(slot_of(slot_)); });
}

Datum IndexScan::column(int number, bool* is_null) const {
    const TupleTableSlot* slot = static_cast<const TupleTableSlot*>(slot_);
    *is_null = slot->tts_isnull[number - 1];
    return slot->tts_values[number - 1];
}

std::int64_t next_sequence_value(Oid sequence) {
    return guarded([&] { return nextval_internal(sequence, false); });
}

}  // namespace sync_job::pg
