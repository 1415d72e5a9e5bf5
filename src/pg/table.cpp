#include "pg/server.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_am.h"
#include "commands/sequence.h"
#include "rewrite/rewriteHandler.h"
}

#include "pg/attached.hpp"
#include "pg/catalog.hpp"
#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"

namespace sync_job::pg {

namespace {

struct IndexInsertion {
    Oid index;
    IndexInfo* info;
    ExprState* predicate;
    bool ready;        // false: its concurrent build does not accept rows yet
    bool summarizing;  // BRIN, since 16: an entry is for a range of blocks, not for a row
};

// What inserting into a table's indexes needs, kept between calls: executor state for partial predicates is too expensive to create for
// each row. All of it is copied; nothing points into the relation cache. The exception is what an access method caches (a BRIN descriptor,
// on 15 and 16), which is for one call only.
struct TableWriter {
    bool current = true;  // no definition has changed since it was made
    EState* state = nullptr;
    MemoryContext of_call = nullptr;  // for what an access method caches
    std::vector<IndexInsertion> indexes;

    TableWriter() = default;
    TableWriter(const TableWriter&) = delete;
    TableWriter& operator=(const TableWriter&) = delete;
    ~TableWriter() {
        if (state != nullptr) guarded_cleanup([&] { FreeExecutorState(state); });
    }
};
using TableWriterPointer = std::shared_ptr<TableWriter>;

std::unordered_map<Oid, TableWriterPointer>& writers() {
    static auto& cache = *new std::unordered_map<Oid, TableWriterPointer>;  // never destroyed: the server may be gone by then
    return cache;
}

std::uint64_t relation_changes = 0;
void (*open_callback)() = nullptr;

TableWriterPointer make_writer(::Relation relation) {
    auto writer = std::make_shared<TableWriter>();
    guarded([&] {
        MemoryContext previous = MemoryContextSwitchTo(CacheMemoryContext);
        EState* state = writer->state = CreateExecutorState();
        MemoryContextSwitchTo(state->es_query_cxt);
        writer->of_call = AllocSetContextCreate(state->es_query_cxt, "sync job index", ALLOCSET_SMALL_SIZES);
        List* list = RelationGetIndexList(relation);
        ListCell* cell;
        foreach (cell, list) {
            ::Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
            IndexInfo* info = BuildIndexInfo(index);
            ExprState* predicate = info->ii_Predicate == NIL ? nullptr : ExecPrepareQual(info->ii_Predicate, state);
#if PG_VERSION_NUM >= 160000
            bool summarizing = info->ii_Summarizing;
#else
            bool summarizing = false;
#endif
            writer->indexes.push_back(
                {RelationGetRelid(index), info, predicate, info->ii_ReadyForInserts, summarizing});
            index_close(index, NoLock);
        }
        MemoryContextSwitchTo(previous);
    });
    return writer;
}

// The table is locked, so its indexes do not change until the transaction ends. A writer that is in use by an outer insert, whose index
// expression has led here, is left alone.
TableWriterPointer writer_for(::Relation relation) {
    TableWriterPointer& kept = writers()[RelationGetRelid(relation)];
    bool current = kept != nullptr && kept->current;
    if (current && kept.use_count() == 1) return kept;
    std::uint64_t before = relation_changes;
    auto writer = make_writer(relation);
    // Changes made in the meantime were not reported to this one.
    writer->current = relation_changes == before;
    if (!current) kept = writer;
    return writer;
}

enum class Indexes { all, summarizing };

// A row need not tell a BRIN index what a row of the same block with the same value has already told it.
class ToldBrin {
public:
    bool tells_nothing_new(const IndexInfo* info, const TupleTableSlot* slot, const Datum* values, const bool* nulls) {
        if (info->ii_Am != BRIN_AM_OID || info->ii_NumIndexAttrs != 1 || nulls[0]) return false;
        bool by_value = TupleDescAttr(slot->tts_tupleDescriptor, std::max<int>(info->ii_IndexAttrNumbers[0], 1) - 1)->attbyval;
        if (info->ii_IndexAttrNumbers[0] < 1 || !by_value) return false;
        BlockNumber block = ItemPointerGetBlockNumberNoCheck(&slot->tts_tid);
        bool same = block == std::exchange(block_, block);
        return std::exchange(value_, values[0]) == values[0] && same;
    }

private:
    BlockNumber block_ = InvalidBlockNumber;
    Datum value_ = 0;
};

// Goes index by index, so that each is opened once and its pages stay in the CPU cache. Raises as the server does.
void insert_index_entries(TableWriter& writer, ::Relation relation, TupleTableSlot** slots, std::size_t count,
                          Indexes which = Indexes::all) {
    ExprContext* context = GetPerTupleExprContext(writer.state);
    MemoryContext previous = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer.state));
    for (const IndexInsertion& entry : writer.indexes) {
        if (!entry.ready || (which == Indexes::summarizing && !entry.summarizing)) continue;
        entry.info->ii_AmCache = nullptr;
        entry.info->ii_Context = writer.of_call;
        ::Relation index = nullptr;
        ToldBrin told;
        for (std::size_t i = 0; i < count; i++) {
            context->ecxt_scantuple = slots[i];
            if (entry.predicate != nullptr && !ExecQual(entry.predicate, context)) continue;
            if (index == nullptr) index = index_open(entry.index, RowExclusiveLock);
            Datum values[INDEX_MAX_KEYS];
            bool nulls[INDEX_MAX_KEYS];
            FormIndexDatum(entry.info, slots[i], writer.state, values, nulls);
            if (told.tells_nothing_new(entry.info, slots[i], values, nulls)) continue;
            index_insert(index, values, nulls, &slots[i]->tts_tid, relation,
                         index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, entry.info);
            if (entry.info->ii_ExclusionOps != nullptr) {
                check_exclusion_constraint(relation, index, entry.info, &slots[i]->tts_tid, values, nulls, writer.state,
                                           false);
            }
            ResetPerTupleExprContext(writer.state);
        }
        if (index == nullptr) continue;
#if PG_VERSION_NUM >= 170000
        index_insert_cleanup(index, entry.info);  // releases pins on buffers
#endif
        index_close(index, NoLock);
        entry.info->ii_AmCache = nullptr;
        MemoryContextReset(writer.of_call);
    }
    MemoryContextSwitchTo(previous);
    context->ecxt_scantuple = nullptr;
}

ItemPointerData tid_of(RowPlace place) {
    ItemPointerData tid;
    ItemPointerSet(&tid, place.block, place.offset);
    return tid;
}

// The default of a column that somebody has added, in the caller's memory context.
Datum default_value(::Relation relation, int column, bool* is_null) {
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column);
    *is_null = true;
    Datum value = 0;
    Node* expression = nullptr;
    if (attribute->attgenerated == '\0') expression = build_column_default(relation, column + 1);
    if (expression != nullptr) {
        EState* state = CreateExecutorState();
        ExprState* prepared = ExecPrepareExpr(reinterpret_cast<Expr*>(expression), state);
        value = ExecEvalExpr(prepared, GetPerTupleExprContext(state), is_null);
        if (!*is_null) value = datumCopy(value, attribute->attbyval, attribute->attlen);
        FreeExecutorState(state);
    }
    if (*is_null && attribute->attnotnull && attribute->attgenerated == '\0') {
        ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                        errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
                               NameStr(attribute->attname), RelationGetRelationName(relation)),
                        errhint("pg_sync_job does not know the column: give it a default, or drop it."),
                        errtablecol(relation, column + 1)));
    }
    return value;
}

void fill(::Relation relation, TupleTableSlot* slot, const RowValues& row) {
    ExecClearTuple(slot);
    int columns = slot->tts_tupleDescriptor->natts;
    int given = std::min(row.count, columns);
    std::memcpy(slot->tts_values, row.values, given * sizeof(Datum));
    std::memcpy(slot->tts_isnull, row.nulls, given * sizeof(bool));
    for (int i = 0; i < columns; i++) {
        if (TupleDescAttr(slot->tts_tupleDescriptor, i)->attisdropped) {
            slot->tts_isnull[i] = true;
        } else if (i >= given) {
            slot->tts_values[i] = default_value(relation, i, &slot->tts_isnull[i]);
        }
    }
    ExecStoreVirtualTuple(slot);
}

TupleTableSlot* slot_of(void* slot) { return static_cast<TupleTableSlot*>(slot); }

}  // namespace

// Only marks the writers as outdated: they may be in use.
void invalidate_table_writer(Oid relation) {
    relation_changes++;
    for (auto& [oid, writer] : writers()) {
        if (writer == nullptr) continue;
        bool concerned = relation == no_oid || relation == oid;
        for (const IndexInsertion& entry : writer->indexes) concerned = concerned || entry.index == relation;
        if (concerned) writer->current = false;
    }
}

void on_table_open(void (*callback)()) { open_callback = callback; }

Table::Table(Oid relation, TableLock lock) : oid_(relation), exceptions_(std::uncaught_exceptions()) {
    guarded([&] {
        // Out-of-line values are only safe to read and delete under a snapshot.
        own_snapshot_ = !ActiveSnapshotSet();
        if (own_snapshot_) PushActiveSnapshot(GetTransactionSnapshot());
        relation_ = table_open(relation, lock == TableLock::write ? RowExclusiveLock : AccessShareLock);
    });
    // On an error, the abort closes the table.
    if (open_callback != nullptr) open_callback();
    if (lock == TableLock::write) {
        require_nothing_attached(relation_);
        citus::commit_in_two_phases();  // so that what a job does on another node commits together with the job's own row
    }
    guarded([&] {
        if (lock == TableLock::write) {
            lock_slot_ = MakeSingleTupleTableSlot(RelationGetDescr(relation_), table_slot_callbacks(relation_));
            write_slot_ = MakeSingleTupleTableSlot(RelationGetDescr(relation_), &TTSOpsVirtual);
        }
    });
}

Table::~Table() {
    if (std::uncaught_exceptions() != exceptions_) return;  // the abort closes it
    guarded_cleanup([&] {
        if (lock_slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_of(lock_slot_));
        if (write_slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_of(write_slot_));
        table_close(relation_, NoLock);
        if (own_snapshot_) PopActiveSnapshot();
    });
}

RowPlace Table::place_of(const void* slot) {
    const ItemPointerData& tid = static_cast<const TupleTableSlot*>(slot)->tts_tid;
    return {ItemPointerGetBlockNumberNoCheck(&tid), ItemPointerGetOffsetNumberNoCheck(&tid)};
}

StoredRow Table::row_of(void* from) {
    TupleTableSlot* slot = slot_of(from);
    StoredRow stored;
    int count = slot->tts_tupleDescriptor->natts;
    HeapTuple tuple = ExecCopySlotHeapTuple(slot);
    stored.place = place_of(slot);
    stored.row.count = count;
    stored.row.values = static_cast<Datum*>(palloc(count * sizeof(Datum)));
    stored.row.nulls = static_cast<bool*>(palloc(count * sizeof(bool)));
    heap_deform_tuple(tuple, slot->tts_tupleDescriptor, stored.row.values, stored.row.nulls);
    stored.created_by = HeapTupleHeaderGetRawXmin(tuple->t_data);
    return stored;
}

int Table::column_count() const { return RelationGetDescr(relation_)->natts; }

RowPlace Table::insert(const RowValues& row) {
    TableWriterPointer writer = writer_for(relation_);
    return guarded([&] {
        TupleTableSlot* slot = slot_of(write_slot_);
        fill(relation_, slot, row);
        table_tuple_insert(relation_, slot, GetCurrentCommandId(true), 0, nullptr);
        insert_index_entries(*writer, relation_, &slot, 1);
        RowPlace place = place_of(slot);
        ExecClearTuple(slot);
        return place;
    });
}

// Like COPY: first the rows, a few hundred at a time, then their index entries.
void Table::insert_many(const std::vector<RowValues>& rows) {
    constexpr std::size_t at_a_time = 200;
    if (rows.size() == 1) {
        insert(rows[0]);
        return;
    }
    TableWriterPointer writer = writer_for(relation_);
    guarded([&] {
        TupleTableSlot* slots[at_a_time];
        std::size_t made = 0;
        TupleDesc columns = CreateTupleDescCopyConstr(RelationGetDescr(relation_));  // a copy: slots would count references to the relation's own
        for (std::size_t from = 0; from < rows.size(); from += at_a_time) {
            std::size_t count = std::min(at_a_time, rows.size() - from);
            for (std::size_t i = 0; i < count; i++) {
                if (i == made) slots[made++] = MakeSingleTupleTableSlot(columns, &TTSOpsHeapTuple);
                TupleTableSlot* row = slot_of(write_slot_);
                fill(relation_, row, rows[from + i]);
                HeapTuple tuple = heap_form_tuple(RelationGetDescr(relation_), row->tts_values, row->tts_isnull);
                ExecClearTuple(row);
                ExecStoreHeapTuple(tuple, slots[i], true);
            }
            table_multi_insert(relation_, slots, static_cast<int>(count), GetCurrentCommandId(true), 0, nullptr);
            insert_index_entries(*writer, relation_, slots, count);
            for (std::size_t i = 0; i < count; i++) ExecClearTuple(slots[i]);
        }
        for (std::size_t i = 0; i < made; i++) ExecDropSingleTupleTableSlot(slots[i]);
        FreeTupleDesc(columns);
    });
}

void Table::remove(RowPlace place) {
    guarded([&] {
        CheckCmdReplicaIdentity(relation_, CMD_DELETE);
        ItemPointerData tid = tid_of(place);
        simple_table_tuple_delete(relation_, &tid, SnapshotAny);
    });
}

RowPlace Table::replace(RowPlace place, const RowValues& row) {
    TableWriterPointer writer = writer_for(relation_);
    return guarded([&] {
        CheckCmdReplicaIdentity(relation_, CMD_UPDATE);
        ItemPointerData tid = tid_of(place);
        TupleTableSlot* slot = slot_of(write_slot_);
        fill(relation_, slot, row);
#if PG_VERSION_NUM >= 160000
        TU_UpdateIndexes update_indexes;
        simple_table_tuple_update(relation_, &tid, slot, SnapshotAny, &update_indexes);
        bool new_entries = update_indexes != TU_None;
        Indexes which = update_indexes == TU_Summarizing ? Indexes::summarizing : Indexes::all;
#else
        bool new_entries;
        Indexes which = Indexes::all;
        simple_table_tuple_update(relation_, &tid, slot, SnapshotAny, &new_entries);
#endif
        if (new_entries) insert_index_entries(*writer, relation_, &slot, 1, which);
        RowPlace written = place_of(slot);
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
                if (row != nullptr) *row = row_of(lock_slot_);
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

std::int64_t next_sequence_value(Oid sequence) {
    return guarded([&] { return nextval_internal(sequence, false); });
}

}  // namespace sync_job::pg
