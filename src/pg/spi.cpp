#include "pg/server.hpp"

extern "C" {
#include "jit/jit.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parser.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

#include <string_view>

#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"

namespace sync_job::pg {

namespace {

// The memory context in which SPI_palloc() allocates identifies the level of the SPI stack: it is the one that was current when the level
// was connected. This is the context of the innermost SpiScope that allows commits. That one has its context for itself; other levels may
// share one.
MemoryContext committing_level = nullptr;

MemoryContext spi_level() {
    void* probe = SPI_palloc(1);
    MemoryContext level = GetMemoryChunkContext(probe);
    pfree(probe);
    return level;
}

}  // namespace

SpiScope::SpiScope(Commits commits) : exceptions_(std::uncaught_exceptions()), outer_level_(committing_level) {
    guarded([&] {
        if (commits == Commits::never) {
            SPI_connect();
            return;
        }
        level_ = AllocSetContextCreate(CurrentMemoryContext, "sync job SPI level", ALLOCSET_SMALL_SIZES);
        MemoryContextSwitchTo(level_);
        SPI_connect_ext(SPI_OPT_NONATOMIC);
        committing_level = level_;
    });
}

SpiScope::~SpiScope() {
    committing_level = outer_level_;
    if (std::uncaught_exceptions() != exceptions_) return;  // the level stays, and so does its context
    guarded_cleanup([&] {
        SPI_finish();  // switches to the context in which the level was connected
        if (level_ == nullptr) return;
        MemoryContextSwitchTo(MemoryContextGetParent(level_));
        MemoryContextDelete(level_);
    });
}

void spi_commit() {
    guarded([] { SPI_commit(); });
}

// A failed procedure leaves its own level on the stack, which an abort of the whole transaction would remove. It also leaves cursors and
// snapshots, which SPI_rollback() tries to keep.
void spi_rollback() {
    guarded([] {
        MemoryContext before = CurrentMemoryContext;
        while (spi_level() != committing_level) SPI_finish();
        MemoryContextSwitchTo(before);
        // In these cases SPI_rollback() would raise an error, too, but without having rolled anything back.
        if (!SPI_inside_nonatomic_context() || IsSubTransaction()) {
            ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION), errmsg_internal("the transaction of a sync job cannot be rolled back here")));
        }
    });
    try {
        guarded([] { SPI_rollback(); });
    } catch (const Error&) {
        // It has rolled back nevertheless, but the portal still believes that it has a snapshot.
        try {
            guarded([] { ForgetPortalSnapshots(); });
        } catch (const Error&) {  // it was forgotten: the error says only that there was none to pop
        }
    }
}

void ensure_portal_snapshot() {
    guarded([] { EnsurePortalSnapshotExists(); });
}

Rows::Rows(SPITupleTable* table, std::uint64_t affected)
    : table_(table), affected_(affected), exceptions_(std::uncaught_exceptions()) {}

Rows::Rows(Rows&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)), affected_(other.affected_), exceptions_(other.exceptions_) {}

Rows::~Rows() {
    // The abort of a subtransaction frees the tuple tables created in it.
    if (table_ != nullptr && !kept_ && std::uncaught_exceptions() == exceptions_) {
        guarded_cleanup([&] { SPI_freetuptable(table_); });
    }
}

std::uint64_t Rows::size() const { return table_ == nullptr ? 0 : table_->numvals; }

Value Rows::at(std::uint64_t row, int column) const {
    Value value;
    guarded([&] { value.datum = SPI_getbinval(table_->vals[row], table_->tupdesc, column + 1, &value.null); });
    return value;
}

RowValues Rows::whole(std::uint64_t row) const {
    return guarded([&] {
        int count = table_->tupdesc->natts;
        RowValues values;
        values.count = count;
        values.values = static_cast<Datum*>(palloc(count * sizeof(Datum)));
        values.nulls = static_cast<bool*>(palloc(count * sizeof(bool)));
        heap_deform_tuple(table_->vals[row], table_->tupdesc, values.values, values.nulls);
        return values;
    });
}

int Rows::columns() const { return table_ == nullptr ? 0 : table_->tupdesc->natts; }

std::string Rows::column_name(int column) const { return NameStr(TupleDescAttr(table_->tupdesc, column)->attname); }

Oid Rows::column_type(int column) const { return TupleDescAttr(table_->tupdesc, column)->atttypid; }

Value Rows::copy(std::uint64_t row, int column) const {
    Value value = at(row, column);
    if (value.null) return value;
    guarded([&] {
        Form_pg_attribute attribute = TupleDescAttr(table_->tupdesc, column);
        if (attribute->attlen == -1) {
            value.datum = PointerGetDatum(PG_DETOAST_DATUM_COPY(value.datum));
        } else {
            value.datum = datumCopy(value.datum, attribute->attbyval, attribute->attlen);
        }
    });
    return value;
}

std::string Rows::text(std::uint64_t row, int column) const {
    Value value = at(row, column);
    return value.null ? std::string() : std::string(datum_text(value.datum));
}

Statement::Statement(std::string sql, std::vector<Oid> argument_types, Access access)
    : sql_(std::move(sql)), argument_types_(std::move(argument_types)), access_(access) {}

Statement::~Statement() {
    if (plan_ != nullptr) guarded_cleanup([&] { SPI_freeplan(static_cast<SPIPlanPtr>(plan_)); });
}

namespace {

// The planner avoids disabled methods at any cost. Where it cannot avoid them, that cost must not trigger JIT compilation.
class IndexAccessOnly {
public:
    IndexAccessOnly() {
        for (int i = 0; i < count; i++) before_[i] = std::exchange(*switches[i], false);
    }
    ~IndexAccessOnly() {
        for (int i = 0; i < count; i++) *switches[i] = before_[i];
    }

private:
    static constexpr int count = 4;
    static constexpr bool* switches[count] = {&enable_seqscan, &enable_hashjoin, &enable_mergejoin, &jit_enabled};
    bool before_[count];
};

// Creates the generic plan now, so that execution finds it ready.
void plan_for_index(SPIPlanPtr plan) {
    IndexAccessOnly only;
    guarded([&] {
        CachedPlan* cached = SPI_plan_get_cached_plan(plan);
        if (cached != nullptr) ReleaseCachedPlan(cached, CurrentResourceOwner);
    });
}

[[noreturn]] void spi_failed(const std::string& sql, int code) {
    throw Error("XX000", std::string("could not execute internal statement: ") + SPI_result_code_string(code))
        .detail(sql);
}

}  // namespace

void Statement::check() {
    Subtransaction subtransaction;
    {
        SpiScope spi;
        SnapshotScope snapshot;
        prepare();
    }
    subtransaction.commit();
}

namespace {

// Citus chooses the shard by the parameters: without them it may have no plan at all.
bool reads_distributed(SPIPlanPtr plan) {
    const ListCell *source, *relation;
    foreach (source, SPI_plan_get_plan_sources(plan)) {
        foreach (relation, static_cast<CachedPlanSource*>(lfirst(source))->relationOids) {
            if (citus::is_distributed(lfirst_oid(relation))) return true;
        }
    }
    return false;
}

}  // namespace

void Statement::prepare() {
    auto prepare = [&](int options) {
        SPIPlanPtr plan = guarded(
            [&] { return SPI_prepare_cursor(sql_.c_str(), static_cast<int>(argument_types_.size()), argument_types_.data(), options); });
        if (plan == nullptr) spi_failed(sql_, SPI_result);
        return plan;
    };
    SPIPlanPtr plan = prepare(CURSOR_OPT_GENERIC_PLAN);
    if (reads_distributed(plan)) {
        plan = prepare(0);
        access_ = Access::any;  // it is planned again when it is executed
    }
    guarded([&] { SPI_keepplan(plan); });
    plan_ = plan;
}

namespace {

// Reading a whole index is no better than reading its table.
bool reads_whole(const Plan* plan) {
    if (plan == nullptr) return false;
    const List* parts = NIL;
    switch (nodeTag(plan)) {
        case T_SeqScan:
        case T_ForeignScan:
            return true;
        case T_IndexScan:
            return reinterpret_cast<const ::IndexScan*>(plan)->indexqual == NIL;
        case T_IndexOnlyScan:
            return reinterpret_cast<const IndexOnlyScan*>(plan)->indexqual == NIL;
        case T_Append:
            parts = reinterpret_cast<const Append*>(plan)->appendplans;
            break;
        case T_MergeAppend:
            parts = reinterpret_cast<const MergeAppend*>(plan)->mergeplans;
            break;
        case T_SubqueryScan:
            return reads_whole(reinterpret_cast<const SubqueryScan*>(plan)->subplan);
        default:
            break;
    }
    const ListCell* cell;
    foreach (cell, parts) {
        if (reads_whole(static_cast<const Plan*>(lfirst(cell)))) return true;
    }
    return reads_whole(plan->lefttree) || reads_whole(plan->righttree);
}

}  // namespace

bool Statement::reads_whole_table() {
    if (plan_ == nullptr) prepare();
    IndexAccessOnly only;
    return guarded([&] {
        CachedPlan* cached = SPI_plan_get_cached_plan(static_cast<SPIPlanPtr>(plan_));
        bool whole = cached == nullptr;
        ListCell* cell;
        if (cached != nullptr) {
            foreach (cell, cached->stmt_list) whole = whole || reads_whole(lfirst_node(PlannedStmt, cell)->planTree);
            ReleaseCachedPlan(cached, CurrentResourceOwner);
        }
        return whole;
    });
}

namespace {

bool tells_the_moment(Oid function) {
    switch (function) {
        case F_NOW:
        case F_TRANSACTION_TIMESTAMP:
        case F_STATEMENT_TIMESTAMP:
        case F_AGE_TIMESTAMP:
        case F_AGE_TIMESTAMPTZ:
        case F_TXID_CURRENT:
        case F_TXID_CURRENT_IF_ASSIGNED:
        case F_PG_CURRENT_XACT_ID:
        case F_PG_CURRENT_XACT_ID_IF_ASSIGNED:
        case F_PG_BACKEND_PID:
            return true;
        default:
            break;
    }
    const char* name = get_func_name(function);
    return name != nullptr && std::string_view(name) == "current_sync_job";
}

// Whether it reads something that PostgreSQL calls stable within a transaction, but that differs from one transaction to the next.
bool reads_the_moment(Node* node, void* nothing) {
    if (node == nullptr) return false;
    if (IsA(node, SQLValueFunction)) return castNode(SQLValueFunction, node)->op <= SVFOP_LOCALTIMESTAMP_N;
    if (IsA(node, FuncExpr) && tells_the_moment(castNode(FuncExpr, node)->funcid)) return true;
    if (IsA(node, Query)) return query_tree_walker(castNode(Query, node), SYNC_JOB_WALKER(reads_the_moment), nothing, 0);
    return expression_tree_walker(node, SYNC_JOB_WALKER(reads_the_moment), nothing);
}

}  // namespace

Statement::Traits Statement::traits() {
    if (plan_ == nullptr) prepare();
    return guarded([&] {
        Traits traits = {false, false};
        auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(static_cast<SPIPlanPtr>(plan_))));
        auto* query = linitial_node(Query, source->query_list);
        auto* node = reinterpret_cast<Node*>(query);
        traits.varies = contain_volatile_functions(node) || reads_the_moment(node, nullptr);
        const ListCell* cell;
        foreach (cell, query->rtable) {
            const auto* entry = lfirst_node(RangeTblEntry, cell);
            if (entry->rtekind == RTE_SUBQUERY) traits.returns_set = traits.returns_set || entry->subquery->hasTargetSRFs;
        }
        return traits;
    });
}

Cursor::Cursor(const std::string& sql, const std::vector<Oid>& types, const std::vector<Value>& arguments)
    : exceptions_(std::uncaught_exceptions()) {
    std::vector<Datum> values;
    std::string nulls;
    for (const Value& argument : arguments) values.push_back(argument.datum), nulls += argument.null ? 'n' : ' ';
    portal_ = guarded([&] {
        return SPI_cursor_open_with_args(nullptr, sql.c_str(), static_cast<int>(types.size()), const_cast<Oid*>(types.data()), values.data(),
                                         nulls.c_str(), true, 0);
    });
}

Cursor::~Cursor() {
    // The abort of its subtransaction closes it.
    if (std::uncaught_exceptions() == exceptions_) guarded_cleanup([&] { SPI_cursor_close(static_cast<Portal>(portal_)); });
}

Rows Cursor::fetch(long most) {
    guarded([&] { SPI_cursor_fetch(static_cast<Portal>(portal_), true, most); });
    return {SPI_tuptable, SPI_processed};
}

Rows Statement::execute(const Value* arguments, int count, bool read_only, std::int64_t max_rows) {
    if (plan_ == nullptr) prepare();
    Datum values[FUNC_MAX_ARGS * 16];
    char nulls[FUNC_MAX_ARGS * 16];
    if (count > FUNC_MAX_ARGS * 16 || count != static_cast<int>(argument_types_.size())) {
        throw Error("54011", "wrong number of arguments for an internal statement").detail(sql_);
    }
    for (int i = 0; i < count; i++) {
        values[i] = arguments[i].datum;
        nulls[i] = arguments[i].null ? 'n' : ' ';
    }
    auto* plan = static_cast<SPIPlanPtr>(plan_);
    if (access_ == Access::by_index) plan_for_index(plan);
    int code = guarded([&] { return SPI_execute_plan(plan, values, nulls, read_only, max_rows); });
    if (code < 0) spi_failed(sql_, code);
    return {SPI_tuptable, SPI_processed};
}

Rows Statement::execute(const std::vector<Value>& arguments, bool read_only, std::int64_t max_rows) {
    return execute(arguments.data(), static_cast<int>(arguments.size()), read_only, max_rows);
}

namespace {

bool has_parameter(Node* node, void* nothing) {
    if (node == nullptr) return false;
    if (IsA(node, ParamRef)) return true;
    return raw_expression_tree_walker(node, SYNC_JOB_WALKER(has_parameter), nothing);
}

}  // namespace

void invalidate_plans() {
    guarded([] { ResetPlanCache(); });
}

void check_expression(const std::string& text) {
    bool parameter = false;
    bool fits = guarded([&] {
        char* sql = psprintf("SELECT (%s\n)", text.c_str());
        List* parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
        if (list_length(parsed) != 1 || !IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt)) return false;
        auto* select = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt);
        parameter = has_parameter(reinterpret_cast<Node*>(select), nullptr);
        return select->op == SETOP_NONE && list_length(select->targetList) == 1 && select->fromClause == NIL &&
               select->whereClause == nullptr && select->groupClause == NIL && select->sortClause == NIL &&
               select->limitCount == nullptr && select->limitOffset == nullptr && select->lockingClause == NIL &&
               select->intoClause == nullptr && select->havingClause == nullptr && select->windowClause == NIL;
    });
    if (fits && parameter) throw Error("42P02", "an expression must not have parameters: " + text);
    if (fits) return;
    throw Error("42601", "not a single SQL expression: " + text);
}

// The plan is not kept: the reference to a kept plan would have to survive the commits.
Rows call_committing(const std::string& sql, const std::vector<Oid>& types, const std::vector<Value>& arguments) {
    SPIPlanPtr plan = guarded(
        [&] { return SPI_prepare(sql.c_str(), static_cast<int>(types.size()), const_cast<Oid*>(types.data())); });
    if (plan == nullptr) spi_failed(sql, SPI_result);
    int code = guarded([&] {
        int count = static_cast<int>(arguments.size());
        ParamListInfo parameters = makeParamList(count);
        for (int i = 0; i < count; i++) {
            parameters->params[i].value = arguments[i].datum;
            parameters->params[i].isnull = arguments[i].null;
            parameters->params[i].pflags = PARAM_FLAG_CONST;
            parameters->params[i].ptype = types[i];
        }
        SPIExecuteOptions options = {};
        options.params = parameters;
        options.allow_nonatomic = true;
        return SPI_execute_plan_extended(plan, &options);
    });
    if (code < 0) spi_failed(sql, code);
    return {SPI_tuptable, SPI_processed};
}

Rows execute_sql(const std::string& sql) {
    int code = guarded([&] { return SPI_execute(sql.c_str(), false, 0); });
    if (code < 0) spi_failed(sql, code);
    return {SPI_tuptable, SPI_processed};
}

// Does what exec_simple_query() in tcop/postgres.c does, for one statement.
void run_in_portal(const std::string& sql) {
    Memory per_query("sync job portal", Memory::Parent::backend);
    start_transaction();
    MemorySwitch memory(per_query);
    auto run = [&] {
        List* parsed = pg_parse_query(sql.c_str());
        RawStmt* statement = linitial_node(RawStmt, parsed);
        PushActiveSnapshot(GetTransactionSnapshot());
        List* rewritten = pg_analyze_and_rewrite_fixedparams(statement, sql.c_str(), nullptr, 0, nullptr);
        List* planned = pg_plan_queries(rewritten, sql.c_str(), CURSOR_OPT_PARALLEL_OK, nullptr);
        PopActiveSnapshot();
        Portal portal = CreatePortal("", true, true);
        portal->visible = false;
        PortalDefineQuery(portal, nullptr, sql.c_str(), CreateCommandTag(statement->stmt), planned, nullptr);
        PortalStart(portal, nullptr, 0, InvalidSnapshot);
        QueryCompletion completion;
#if PG_VERSION_NUM >= 180000
        PortalRun(portal, FETCH_ALL, true, None_Receiver, None_Receiver, &completion);
#else
        PortalRun(portal, FETCH_ALL, true, true, None_Receiver, None_Receiver, &completion);
#endif
        PortalDrop(portal, false);
    };
    try {
        guarded(run);
    } catch (...) {
        abort_transaction();  // before the memory that the portal points into is freed
        throw;
    }
    commit_transaction();
}

}  // namespace sync_job::pg
