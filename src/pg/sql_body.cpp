// Follows fmgr_sql() in executor/functions.c of PostgreSQL 15 to 17.
#include "pg/server.hpp"

extern "C" {
#include "catalog/pg_language.h"
#include "executor/functions.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
}

#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/sql_body.hpp"

namespace sync_job::pg {

#if PG_VERSION_NUM < 180000

namespace {

// The lines of CONTEXT that the server adds for such a function.
struct Running {
    const char* name;
    const char* body;
    bool started = false;
};

void add_context(void* argument) {
    const auto* running = static_cast<const Running*>(argument);
    int position = geterrposition();
    if (position > 0) {
        errposition(0);
        internalerrposition(position);
        internalerrquery(running->body);
    }
    if (running->started) {
        errcontext("SQL function \"%s\" statement 1", running->name);
    } else {
        errcontext("SQL function \"%s\" during startup", running->name);
    }
}

class ContextLines {  // trivially destructible, because it lives inside a guard
public:
    explicit ContextLines(Running* running) : callback_{error_context_stack, add_context, running} {
        error_context_stack = &callback_;
    }
    void end() const { error_context_stack = callback_.previous; }

private:
    ErrorContextCallback callback_;
};

bool is_simple(HeapTuple tuple) {
    auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    if (row->prokind != PROKIND_FUNCTION || row->proretset || row->prosecdef || FmgrHookIsNeeded(row->oid) ||
        !heap_attisnull(tuple, Anum_pg_proc_proconfig, nullptr) || row->prorettype == RECORDOID ||
        (get_typtype(row->prorettype) == TYPTYPE_PSEUDO && row->prorettype != VOIDOID)) {
        return false;
    }
    for (int i = 0; i < row->pronargs; i++) {
        if (get_typtype(row->proargtypes.values[i]) == TYPTYPE_PSEUDO) return false;
    }
    return true;
}

// Whether there is a literal that means another value at another time, under other settings or after other DDL: 'today', 'name'::regtype.
// The server reads them each time. Those of relations do not count, because their changes invalidate the plan, nor do those of enums.
bool has_fleeting_literal(Node* node, void* nothing) {
    if (node == nullptr) return false;
    if (IsA(node, Const) && !castNode(Const, node)->constisnull) {
        Oid type = castNode(Const, node)->consttype, element = get_element_type(type), input, parameter;
        if (OidIsValid(element)) type = element;
        if (type == REGCLASSOID || get_typtype(type) == TYPTYPE_ENUM) return false;
        getTypeInputInfo(type, &input, &parameter);
        return func_volatile(input) != PROVOLATILE_IMMUTABLE;
    }
    if (IsA(node, Query)) return query_tree_walker(castNode(Query, node), SYNC_JOB_WALKER(has_fleeting_literal), nothing, 0);
    return expression_tree_walker(node, SYNC_JOB_WALKER(has_fleeting_literal), nothing);
}

// The single query that the body consists of, as parsed when the function was created (BEGIN ATOMIC, RETURN) or parsed now. NIL: it is not
// a single query, or not a SELECT.
List* queries_of(HeapTuple tuple, const char* body) {
    bool is_null;
    Datum stored = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &is_null);
    if (!is_null) {
        Node* node = static_cast<Node*>(stringToNode(TextDatumGetCString(stored)));
        List* list = IsA(node, List) ? linitial_node(List, castNode(List, node)) : list_make1(node);
        if (list_length(list) != 1 || linitial_node(Query, list)->commandType != CMD_SELECT) return NIL;
        AcquireRewriteLocks(linitial_node(Query, list), true, false);
        return pg_rewrite_query(linitial_node(Query, list));
    }
    List* parsed = pg_parse_query(body);
    if (list_length(parsed) != 1 || !IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt)) return NIL;
    SQLFunctionParseInfoPtr parameters = prepare_sql_fn_parse_info(tuple, nullptr, InvalidOid);
    List* queries = pg_analyze_and_rewrite_withcb(linitial_node(RawStmt, parsed), body,
                                                  reinterpret_cast<ParserSetupHook>(sql_fn_parser_setup), parameters, nullptr);
    bool fleeting = list_length(queries) != 1 || has_fleeting_literal(static_cast<Node*>(linitial(queries)), nullptr);
    return fleeting ? NIL : queries;
}

bool is_plain_select(List* queries, bool reads_only) {
    if (list_length(queries) != 1) return false;
    const Query* query = linitial_node(Query, queries);
    return query->commandType == CMD_SELECT && query->canSetTag && !query->hasModifyingCTE && query->targetList != NIL &&
           (!reads_only || query->rowMarks == NIL);
}

// Makes the query return the function's result type. True: its columns are those of a composite result.
bool fit_to_result(List** queries, Oid type, TupleDesc row) {
    List* lists = list_make1(*queries);
    List* columns;
#if PG_VERSION_NUM >= 170000
    bool whole = check_sql_fn_retval(lists, type, row, PROKIND_FUNCTION, true, &columns);
#else
    bool whole = check_sql_fn_retval(lists, type, row, true, &columns);
#endif
    *queries = linitial_node(List, lists);
    return whole;
}

// Once a plan is invalid, the server would make its queries again from the raw parse tree, without fitting them to the result. So it gets
// an empty tree, and such a plan is not used.
CachedPlanSource* keep_plan(List* queries, const char* body) {
    RawStmt* nothing = linitial_node(RawStmt, raw_parser("SELECT", RAW_PARSE_DEFAULT));
    CachedPlanSource* source = CreateCachedPlan(nothing, body, CMDTAG_SELECT);
    CompleteCachedPlan(source, queries, nullptr, nullptr, 0, nullptr, nullptr, CURSOR_OPT_PARALLEL_OK, false);
    SaveCachedPlan(source);
    return source;
}

// Receives the first row, into the memory context that is current when this object is created.
struct FirstRow {
    DestReceiver receiver = {};
    MemoryContext memory = CurrentMemoryContext;
    Oid type;
    bool whole, found = false, is_null = true;
    Datum value = 0;
};

bool receive_row(TupleTableSlot* slot, DestReceiver* self) {
    auto* first = reinterpret_cast<FirstRow*>(self);
    if (first->found) return true;
    first->found = true;
    MemoryContext before = MemoryContextSwitchTo(first->memory);
    if (first->whole) {
        bool copied;
        HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &copied);
        TupleDesc descriptor = lookup_rowtype_tupdesc(first->type, -1);
        first->value = heap_copy_tuple_as_datum(tuple, descriptor);
        ReleaseTupleDesc(descriptor);
        first->is_null = false;
        if (copied) heap_freetuple(tuple);
    } else if (first->type != VOIDOID) {
        int16 length;
        bool by_value;
        get_typlenbyval(first->type, &length, &by_value);
        first->value = slot_getattr(slot, 1, &first->is_null);
        if (!first->is_null) first->value = datumCopy(first->value, by_value, length);
    }
    MemoryContextSwitchTo(before);
    return true;
}

void begin_rows(DestReceiver*, int, TupleDesc) {}
void end_rows(DestReceiver*) {}

ParamListInfo parameters_of(FunctionCallInfo call, const Oid* types) {
    if (call->nargs == 0) return nullptr;
    ParamListInfo list = makeParamList(call->nargs);
    for (int i = 0; i < call->nargs; i++) list->params[i] = {call->args[i].value, call->args[i].isnull, PARAM_FLAG_CONST, types[i]};
    return list;
}

void run_plan(PlannedStmt* plan, const char* body, ParamListInfo parameters, FirstRow* row, bool to_the_end, Running* running) {
    QueryDesc* query = CreateQueryDesc(plan, body, GetActiveSnapshot(), InvalidSnapshot, &row->receiver, parameters, nullptr, 0);
    running->started = true;
    ExecutorStart(query, to_the_end ? 0 : EXEC_FLAG_SKIP_TRIGGERS);
    ExecutorRun(query, ForwardScanDirection, to_the_end ? 0 : 1, true);
    ExecutorFinish(query);
    ExecutorEnd(query);
    FreeQueryDesc(query);
}

}  // namespace


// The row of pg_proc, and the versions of the row types: a plan has the columns of a parameter built in, without a dependency on a
// relation.
SqlBody::Definition SqlBody::definition_of(HeapTupleData* tuple) {
    Definition definition;
    definition.transaction = HeapTupleHeaderGetRawXmin(tuple->t_data);
    definition.block = ItemPointerGetBlockNumber(&tuple->t_self);
    definition.item = ItemPointerGetOffsetNumber(&tuple->t_self);
    auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    for (int i = -1; i < row->pronargs; i++) {
        Oid type = i < 0 ? row->prorettype : row->proargtypes.values[i];
        if (get_typtype(type) == TYPTYPE_COMPOSITE) definition.row_types += assign_record_type_identifier(type, -1);
    }
    return definition;
}

SqlBody::SqlBody(Oid function) : function_(function) {
    Memory memory("sync job function body");
    MemorySwitch current(memory);
    const char *name = nullptr, *body = nullptr;
    HeapTuple tuple = guarded([&] {
        HeapTuple found = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
        if (found == nullptr) return found;  // calling it will report that
        auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(found));
        bool is_null;
        name = pstrdup(NameStr(row->proname));
        body = TextDatumGetCString(SysCacheGetAttr(PROCOID, found, Anum_pg_proc_prosrc, &is_null));
        in_sql_ = row->prolang == SQLlanguageId;
        return found;
    });
    if (!in_sql_) return;
    name_ = name;
    text_ = body;
    guarded([&] { make_plan(tuple); });
    if (source_ == nullptr) return;
    const ListCell* cell;
    foreach (cell, source_->relationOids) plans_by_value_ = plans_by_value_ || citus::is_distributed(lfirst_oid(cell));
}

void SqlBody::make_plan(HeapTupleData* tuple) {
    definition_ = definition_of(tuple);
    auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    reads_only_ = row->provolatile != PROVOLATILE_VOLATILE;
    if (!is_simple(tuple)) return;
    Running running{name_.c_str(), text_.c_str()};
    ContextLines context(&running);
    List* queries = queries_of(tuple, text_.c_str());
    if (is_plain_select(queries, reads_only_)) {
        TupleDesc columns;
        get_func_result_type(function_, &type_, &columns);
        whole_ = fit_to_result(&queries, type_, columns);
        source_ = keep_plan(queries, text_.c_str());
    }
    context.end();
}

SqlBody::~SqlBody() {
    if (source_ != nullptr) guarded_cleanup([&] { DropCachedPlan(source_); });
}

bool SqlBody::is_current() const {
    if (!in_sql_) return true;
    if (source_ != nullptr && (!source_->is_valid || source_->resultDesc->natts == 0)) return false;
    return guarded([&] {
        HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function_));
        if (tuple == nullptr) return false;
        bool same = definition_of(tuple) == definition_;
        ReleaseSysCache(tuple);
        return same;
    });
}

bool SqlBody::call(FunctionCallInfoBaseData* call, const Oid* types, Datum* result) const {
    if (source_ == nullptr) return false;
    Running running{name_.c_str(), text_.c_str()};
    ContextLines context(&running);
    ParamListInfo parameters = parameters_of(call, types);
    CachedPlan* plan = GetCachedPlan(source_, plans_by_value_ ? parameters : nullptr, CurrentResourceOwner, nullptr);
    bool usable = source_->resultDesc->natts > 0;  // taking the plan's locks may have shown that it is out of date
    if (usable) {
        if (!reads_only_) {
            CommandCounterIncrement();
            PushActiveSnapshot(GetTransactionSnapshot());
        }
        FirstRow row;
        row.receiver = {receive_row, begin_rows, end_rows, end_rows, DestSQLFunction};
        row.type = type_;
        row.whole = whole_;
        run_plan(linitial_node(PlannedStmt, plan->stmt_list), text_.c_str(), parameters, &row, type_ == VOIDOID, &running);
        if (!reads_only_) PopActiveSnapshot();
        *result = row.value;
        call->isnull = row.is_null;
    }
    ReleaseCachedPlan(plan, CurrentResourceOwner);
    context.end();
    return usable;
}

#else

SqlBody::SqlBody(Oid function) : function_(function) {}
SqlBody::~SqlBody() = default;
bool SqlBody::is_current() const { return true; }
bool SqlBody::call(FunctionCallInfoBaseData*, const Oid*, Datum*) const { return false; }

#endif

}  // namespace sync_job::pg
