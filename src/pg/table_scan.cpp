// The part of table.hpp that reads rows: through an index, or all rows of a small table.
#include "pg/server.hpp"

extern "C" {
#include "catalog/pg_am.h"
}

#include "pg/error.hpp"
#include "pg/table.hpp"

namespace sync_job::pg {

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
                     const std::optional<ScanStart>& start, int columns, const IndexScan* as_of)
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
        Snapshot seen = as_of != nullptr ? static_cast<Snapshot>(as_of->snapshot_) : GetLatestSnapshot();
        Snapshot snapshot = RegisterSnapshot(seen);
        snapshot_ = snapshot;
        slot_ = MakeSingleTupleTableSlot(RelationGetDescr(table_.relation_), table_slot_callbacks(table_.relation_));
#if PG_VERSION_NUM >= 190000
        IndexScanDesc scan = index_beginscan(table_.relation_, index_, snapshot, nullptr, count, 0, SO_NONE);
#elif PG_VERSION_NUM >= 180000
        IndexScanDesc scan = index_beginscan(table_.relation_, index_, snapshot, nullptr, count, 0);
#else
        IndexScanDesc scan = index_beginscan(table_.relation_, index_, snapshot, count, 0);
#endif
        index_rescan(scan, keys, count, nullptr, 0);
        scan_ = scan;
    });
}

IndexScan::~IndexScan() {
    if (std::uncaught_exceptions() != exceptions_) return;  // the abort closes it
    guarded_cleanup([&] {
        index_endscan(static_cast<IndexScanDesc>(scan_));
        ExecDropSingleTupleTableSlot(static_cast<TupleTableSlot*>(slot_));
        UnregisterSnapshot(static_cast<Snapshot>(snapshot_));
        index_close(index_, NoLock);
    });
}

std::optional<RowPlace> IndexScan::next() {
    bool found = guarded([&] {
        CHECK_FOR_INTERRUPTS();
        auto* slot = static_cast<TupleTableSlot*>(slot_);
        if (!index_getnext_slot(static_cast<IndexScanDesc>(scan_), ForwardScanDirection, slot)) return false;
        slot_getsomeattrs(slot, columns_);
        return true;
    });
    if (!found) return std::nullopt;
    return Table::place_of(slot_);
}

StoredRow IndexScan::row() {
    return guarded([&] { return Table::row_of(slot_); });
}

Datum IndexScan::column(int number, bool* is_null) const {
    const TupleTableSlot* slot = static_cast<const TupleTableSlot*>(slot_);
    *is_null = slot->tts_isnull[number - 1];
    return slot->tts_values[number - 1];
}

namespace {

// Sees what a new statement would see.
SysScanDesc begin_small_scan(::Relation table, const std::string* key, ScanKeyData* condition) {
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    if (key == nullptr) return systable_beginscan(table, InvalidOid, false, GetActiveSnapshot(), 0, nullptr);
#if PG_VERSION_NUM >= 180000
    Oid index = RelationGetPrimaryKeyIndex(table, false);
#else
    Oid index = RelationGetPrimaryKeyIndex(table);
#endif
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
    if (tuple == nullptr) elog(ERROR, "relation \"%s\" has no primary key", RelationGetRelationName(table));
    AttrNumber column = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple))->indkey.values[0];
    ReleaseSysCache(tuple);
    Oid collation = TupleDescAttr(RelationGetDescr(table), column - 1)->attcollation;
    Datum text = PointerGetDatum(cstring_to_text_with_len(key->data(), static_cast<int>(key->size())));
    ScanKeyEntryInitialize(condition, 0, column, BTEqualStrategyNumber, InvalidOid, collation, F_TEXTEQ, text);
    return systable_beginscan(table, index, true, GetActiveSnapshot(), 1, condition);
}

AttrNumber number_of_column(::Relation table, const char* name) {
    AttrNumber number = get_attnum(RelationGetRelid(table), name);
    if (number <= 0) elog(ERROR, "table \"%s\" has no column \"%s\"", RelationGetRelationName(table), name);
    return number;
}

// The columns with these numbers.
RowValues copied_row(::Relation table, HeapTuple tuple, const AttrNumber* numbers, int count) {
    RowValues row{static_cast<Datum*>(palloc0(sizeof(Datum) * count)), static_cast<bool*>(palloc0(sizeof(bool) * count)), count};
    for (int i = 0; i < count; i++) {
        Datum datum = heap_getattr(tuple, numbers[i], RelationGetDescr(table), &row.nulls[i]);
        if (row.nulls[i]) continue;
        Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), numbers[i] - 1);
        row.values[i] = attribute->attlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(datum))
                                                : datumCopy(datum, attribute->attbyval, attribute->attlen);
    }
    return row;
}

}  // namespace

std::vector<RowValues> read_rows(Oid relation, const std::vector<const char*>& columns, const std::string* key) {
    std::vector<RowValues> rows;
    ScanKeyData condition;
    ::Relation table = guarded([&] { return table_open(relation, AccessShareLock); });
    std::vector<AttrNumber> numbers;
    for (const char* column : columns) numbers.push_back(guarded([&] { return number_of_column(table, column); }));
    if (columns.empty()) {
        for (int i = 1; i <= RelationGetNumberOfAttributes(table); i++) numbers.push_back(static_cast<AttrNumber>(i));
    }
    SysScanDesc scan = guarded([&] { return begin_small_scan(table, key, &condition); });
    while (HeapTuple tuple = guarded([&] { return systable_getnext(scan); })) {
        rows.push_back(guarded([&] { return copied_row(table, tuple, numbers.data(), static_cast<int>(numbers.size())); }));
    }
    guarded([&] {
        systable_endscan(scan);
        PopActiveSnapshot();
        table_close(table, AccessShareLock);
    });
    return rows;
}

}  // namespace sync_job::pg
