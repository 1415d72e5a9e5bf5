#include "pg/server.hpp"

extern "C" {
#include "utils/array.h"
}

#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/memory.hpp"
#include "pg/row.hpp"
#include "pg/sql_body.hpp"

namespace sync_job::pg {

int Arguments::count() const { return call_->nargs; }
bool Arguments::is_null(int index) const { return index >= call_->nargs || call_->args[index].isnull; }
Datum Arguments::datum(int index) const { return call_->args[index].value; }

Oid Arguments::type(int index) const {
    return guarded([&] { return get_fn_expr_argtype(call_->flinfo, index); });
}

std::optional<std::string> Arguments::text(int index) const {
    if (is_null(index)) return std::nullopt;
    return std::string(datum_text(datum(index)));
}

std::optional<std::int64_t> Arguments::int64(int index) const {
    if (is_null(index)) return std::nullopt;
    return datum_int64(datum(index));
}

std::optional<std::int32_t> Arguments::int32(int index) const {
    if (is_null(index)) return std::nullopt;
    return datum_int32(datum(index));
}

std::optional<bool> Arguments::boolean(int index) const {
    if (is_null(index)) return std::nullopt;
    return datum_bool(datum(index));
}

std::optional<Oid> Arguments::oid(int index) const {
    if (is_null(index)) return std::nullopt;
    return datum_oid(datum(index));
}

std::optional<Timestamp> Arguments::timestamp(int index) const {
    if (is_null(index)) return std::nullopt;
    return datum_int64(datum(index));
}

namespace {

struct Elements {
    Datum* values;
    bool* nulls;
    int count;
};

Elements elements_of(Datum array, Oid type) {
    Elements elements;
    guarded([&] {
        int16 length;
        bool by_value;
        char alignment;
        get_typlenbyvalalign(type, &length, &by_value, &alignment);
        deconstruct_array(DatumGetArrayTypeP(array), type, length, by_value, alignment, &elements.values,
                          &elements.nulls, &elements.count);
    });
    for (int i = 0; i < elements.count; i++) {
        if (elements.nulls[i]) throw Error("22004", "the array must not contain null values");
    }
    return elements;
}

}  // namespace

std::vector<std::int64_t> Arguments::int64_array(int index) const {
    if (is_null(index)) return {};
    return datum_int64_array(datum(index));
}

std::vector<std::string> Arguments::text_array(int index) const {
    std::vector<std::string> result;
    if (is_null(index)) return result;
    Elements elements = elements_of(datum(index), TEXTOID);
    for (int i = 0; i < elements.count; i++) result.emplace_back(datum_text(elements.values[i]));
    return result;
}

Datum Arguments::null_result() {
    call_->isnull = true;
    return 0;
}

Datum Arguments::row_result(const Datum* values, const bool* nulls) {
    return guarded([&] {
        TupleDesc descriptor;
        if (get_call_result_type(call_, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
            elog(ERROR, "return type must be a row type");
        }
        descriptor = BlessTupleDesc(descriptor);
        return HeapTupleGetDatum(heap_form_tuple(descriptor, const_cast<Datum*>(values), const_cast<bool*>(nulls)));
    });
}

Datum Arguments::record_result(const char* parameter, Datum composite) {
    return guarded([&] {
        TupleDesc descriptor = CreateTemplateTupleDesc(1);
        TupleDescInitEntry(descriptor, 1, parameter, HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(composite)), -1,
                           0);
        bool is_null = false;
        return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), &composite, &is_null));
    });
}

bool Arguments::may_commit() const {
    return call_->context != nullptr && IsA(call_->context, CallContext) &&
           !castNode(CallContext, call_->context)->atomic;
}

void Arguments::begin_rows() {
    guarded([&] { InitMaterializedSRF(call_, MAT_SRF_USE_EXPECTED_DESC); });
}

void Arguments::add_row(const Datum* values, const bool* nulls) {
    auto* info = reinterpret_cast<ReturnSetInfo*>(call_->resultinfo);
    guarded([&] {
        tuplestore_putvalues(info->setResult, info->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
    });
}

void Arguments::add_composite(Datum row) {
    auto* info = reinterpret_cast<ReturnSetInfo*>(call_->resultinfo);
    guarded([&] {
        HeapTupleData tuple;
        tuple.t_data = DatumGetHeapTupleHeader(row);
        tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
        ItemPointerSetInvalid(&tuple.t_self);
        tuple.t_tableOid = InvalidOid;
        tuplestore_puttuple(info->setResult, &tuple);
    });
}

const FunctionRecord* function_record() {
    static constexpr FunctionRecord record = {1};
    return &record;
}

Datum enter_function(FunctionCallInfoBaseData* call, Datum (*body)(Arguments&)) {
    return boundary([&] {
        Arguments arguments(call);
        return body(arguments);
    });
}

Callable::Callable(const FunctionInfo& info) : info_(info) { handles_.push_back(make_handle()); }

Callable::~Callable() {
    for (const Handle& handle : handles_) MemoryContextDelete(handle.memory);
}

Callable::Handle Callable::make_handle() const {
    Handle handle;
    handle.memory =
        guarded([] { return AllocSetContextCreate(CacheMemoryContext, "sync job function", ALLOCSET_SMALL_SIZES); });
    try {
        handle.manager = guarded([&] {
            void* manager = MemoryContextAllocZero(handle.memory, sizeof(FmgrInfo));
            fmgr_info_cxt(info_.oid, static_cast<FmgrInfo*>(manager), handle.memory);
            return manager;
        });
    } catch (...) {
        MemoryContextDelete(handle.memory);
        throw;
    }
    return handle;
}

class Callable::InUse {
public:
    explicit InUse(Callable& callable) : callable_(callable) {
        if (callable.level_ == callable.handles_.size()) callable.handles_.push_back(callable.make_handle());
        manager_ = static_cast<FmgrInfo*>(callable.handles_[callable.level_].manager);
        callable.level_++;
    }
    ~InUse() { callable_.level_--; }
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;
    FmgrInfo* manager() const { return manager_; }

private:
    Callable& callable_;
    FmgrInfo* manager_;
};

namespace {

// Fills in the arguments. False: the function is strict and one of them is null, so it must not be called.
bool set_arguments(FunctionCallInfo call, FmgrInfo* manager, const Value* arguments, int count, ReturnSetInfo* result_info) {
    InitFunctionCallInfoData(*call, manager, static_cast<short>(count), InvalidOid, nullptr,
                             reinterpret_cast<Node*>(result_info));
    bool any_null = false;
    for (int i = 0; i < count; i++) {
        call->args[i].value = arguments[i].datum;
        call->args[i].isnull = arguments[i].null;
        any_null = any_null || arguments[i].null;
    }
    return !manager->fn_strict || !any_null;
}

// What a set-returning function is told about its result; in a context that is reset afterwards.
ReturnSetInfo set_result_info(Oid result_type, ExprContext* context) {
    ReturnSetInfo info = {};
    info.type = T_ReturnSetInfo;
    info.econtext = context;
    info.allowedModes = SFRM_ValuePerCall | SFRM_Materialize;
    info.returnMode = SFRM_ValuePerCall;
    info.isDone = ExprSingleResult;
    if (is_composite(result_type)) {
        info.expectedDesc = lookup_rowtype_tupdesc_copy(result_type, -1);
    } else {
        info.expectedDesc = CreateTemplateTupleDesc(1);
        TupleDescInitEntry(info.expectedDesc, 1, "value", result_type, -1, 0);
    }
    return info;
}

// Copies the rows of a materialized result into the caller's context, and frees it.
void take_stored_rows(const ReturnSetInfo& info, bool composite, MemoryContextData* caller, std::vector<Value>& rows) {
    TupleDesc descriptor = info.setDesc != nullptr ? info.setDesc : info.expectedDesc;
    TupleTableSlot* slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
    tuplestore_rescan(info.setResult);
    while (tuplestore_gettupleslot(info.setResult, true, false, slot)) {
        MemoryContext previous = MemoryContextSwitchTo(caller);
        if (composite) {
            HeapTuple tuple = ExecCopySlotHeapTuple(slot);
            rows.push_back({heap_copy_tuple_as_datum(tuple, info.expectedDesc), false});
        } else {
            bool is_null;
            Datum datum = slot_getattr(slot, 1, &is_null);
            Form_pg_attribute attribute = TupleDescAttr(descriptor, 0);
            if (!is_null) rows.push_back({datumCopy(datum, attribute->attbyval, attribute->attlen), false});
        }
        MemoryContextSwitchTo(previous);
    }
    ExecDropSingleTupleTableSlot(slot);
    tuplestore_end(info.setResult);
}

}  // namespace

Value Callable::call(const Value* arguments, int count) {
    if (body_ == nullptr || !body_->is_current()) body_ = std::make_shared<SqlBody>(info_.oid);
    std::shared_ptr<const SqlBody> body = body_;  // a copy: it may be replaced during the call
    InUse handle(*this);
    Value result;
    guarded([&] {
        LOCAL_FCINFO(call, FUNC_MAX_ARGS);
        if (!set_arguments(call, handle.manager(), arguments, count, nullptr)) return;
        PgStat_FunctionCallUsage usage;
        pgstat_init_function_usage(call, &usage);
        if (!body->call(call, info_.argument_types.data(), &result.datum)) result.datum = FunctionCallInvoke(call);
        result.null = call->isnull;
        pgstat_end_function_usage(&usage, true);
    });
    return result;
}

// The function decides whether it returns one row per call or all of them in a tuplestore.
std::vector<Value> Callable::call_set(const Value* arguments, int count) {
    InUse handle(*this);
    std::vector<Value> rows;
    MemoryContextData* caller = CurrentMemoryContext;
    Oid type = info_.result_type;
    guarded([&] {
        int16 length;
        bool by_value;
        get_typlenbyval(type, &length, &by_value);
        EState* estate = CreateExecutorState();
        ExprContext* context = CreateExprContext(estate);
        ReturnSetInfo info = set_result_info(type, context);
        LOCAL_FCINFO(call, FUNC_MAX_ARGS);
        do {
            if (!set_arguments(call, handle.manager(), arguments, count, &info)) break;
            info.isDone = ExprSingleResult;
            Datum datum = FunctionCallInvoke(call);
            if (info.returnMode == SFRM_Materialize) {
                if (info.setResult != nullptr) take_stored_rows(info, is_composite(type), caller, rows);
                break;
            }
            if (info.isDone == ExprEndResult || call->isnull) continue;
            MemoryContext previous = MemoryContextSwitchTo(caller);
            rows.push_back({datumCopy(datum, by_value, length), false});
            MemoryContextSwitchTo(previous);
        } while (info.isDone == ExprMultipleResult);
        FreeExprContext(context, true);
        FreeExecutorState(estate);
    });
    return rows;
}

// --- Triggers ---

namespace {

TriggerData* trigger_data(Arguments& args, const char* function) {
    FunctionCallInfo call = args.raw();
    if (!CALLED_AS_TRIGGER(call)) {
        throw Error("39P01", std::string(function) + "() was not called by the trigger manager");
    }
    return reinterpret_cast<TriggerData*>(call->context);
}

RowValues row_value(HeapTuple tuple, TupleDesc descriptor) {
    RowValues row{allocate_array<Datum>(descriptor->natts), allocate_array<bool>(descriptor->natts), descriptor->natts};
    guarded([&] { heap_deform_tuple(tuple, descriptor, row.values, row.nulls); });
    return row;
}

}  // namespace

TriggerCall trigger_call(Arguments& args, const char* function) {
    TriggerData* data = trigger_data(args, function);
    TriggerCall call;
    call.event = TRIGGER_FIRED_BY_INSERT(data->tg_event)   ? TriggerCall::Event::insert
                 : TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? TriggerCall::Event::update
                 : TRIGGER_FIRED_BY_DELETE(data->tg_event) ? TriggerCall::Event::remove
                                                           : TriggerCall::Event::truncate;
    call.after = TRIGGER_FIRED_AFTER(data->tg_event);
    call.row_level = TRIGGER_FIRED_FOR_ROW(data->tg_event);
    call.relation = RelationGetRelid(data->tg_relation);
    call.trigger_name = data->tg_trigger->tgname;
    for (int i = 0; i < data->tg_trigger->tgnargs; i++) call.arguments.emplace_back(data->tg_trigger->tgargs[i]);
    if (!call.row_level) return call;
    TupleDesc descriptor = RelationGetDescr(data->tg_relation);
    if (call.event == TriggerCall::Event::insert) {
        call.new_row = row_value(data->tg_trigtuple, descriptor);
    } else {
        call.old_row = row_value(data->tg_trigtuple, descriptor);
        if (call.event == TriggerCall::Event::update) call.new_row = row_value(data->tg_newtuple, descriptor);
    }
    return call;
}

bool may_have_changed(Arguments& args, const std::vector<int>& columns) {
    auto* data = reinterpret_cast<TriggerData*>(args.raw()->context);
    const TriggerDesc* triggers = data->tg_relation->trigdesc;
    // A BEFORE trigger, even one of a partition, may change columns that the command does not name.
    bool hidden = data->tg_updatedcols == nullptr || triggers == nullptr || triggers->trig_update_before_row ||
                  data->tg_relation->rd_rel->relkind != RELKIND_RELATION || data->tg_relation->rd_rel->relhassubclass;
    if (hidden) return true;
    for (int column : columns) {
        if (bms_is_member(column - FirstLowInvalidHeapAttributeNumber, data->tg_updatedcols)) return true;
    }
    return false;
}

namespace {

Tuplestorestate* transition_store(Arguments& args, Transition which) {
    auto* data = reinterpret_cast<TriggerData*>(args.raw()->context);
    return which == Transition::old_rows ? data->tg_oldtable : data->tg_newtable;
}

}  // namespace

bool has_transition(Arguments& args, Transition which) { return transition_store(args, which) != nullptr; }

namespace {

// Reads a transition table.
class TransitionScan {
public:
    TransitionScan(Arguments& args, Transition which) : store_(transition_store(args, which)) {
        auto* data = reinterpret_cast<TriggerData*>(args.raw()->context);
        slot_ = guarded([&] {
            tuplestore_rescan(store_);
            return MakeSingleTupleTableSlot(RelationGetDescr(data->tg_relation), &TTSOpsMinimalTuple);
        });
    }

    bool next() {
        return guarded([&] {
            if (!tuplestore_gettupleslot(store_, true, false, slot_)) return false;
            slot_getallattrs(slot_);
            return true;
        });
    }
    RowValues row() const { return {slot_->tts_values, slot_->tts_isnull, slot_->tts_tupleDescriptor->natts}; }
    void end() {
        guarded([&] { ExecDropSingleTupleTableSlot(slot_); });
    }

private:
    Tuplestorestate* store_;
    TupleTableSlot* slot_;
};

}  // namespace

bool for_each_transition_row(Arguments& args, Transition which, const std::function<void(const RowValues&)>& row) {
    if (!has_transition(args, which)) return false;
    Memory memory("sync job transition row");
    TransitionScan scan(args, which);
    while (scan.next()) {
        memory.reset();
        MemorySwitch in_memory(memory);
        row(scan.row());
    }
    scan.end();
    return true;
}

// The server adds both versions of a row to their transition tables at the same time.
bool for_each_updated_row(Arguments& args, const std::function<void(const RowValues&, const RowValues&)>& rows) {
    std::int64_t before = tuplestore_tuple_count(transition_store(args, Transition::old_rows));
    if (before != tuplestore_tuple_count(transition_store(args, Transition::new_rows))) return false;
    Memory memory("sync job transition row");
    TransitionScan old_rows(args, Transition::old_rows), new_rows(args, Transition::new_rows);
    while (old_rows.next() && new_rows.next()) {
        memory.reset();
        MemorySwitch in_memory(memory);
        rows(old_rows.row(), new_rows.row());
    }
    old_rows.end();
    new_rows.end();
    return true;
}

Datum trigger_proceed(Arguments& args) {
    auto* data = reinterpret_cast<TriggerData*>(args.raw()->context);
    if (!TRIGGER_FIRED_FOR_ROW(data->tg_event)) return Datum{0};
    return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}

Datum trigger_replace(Arguments& args, Datum row) {
    auto* data = reinterpret_cast<TriggerData*>(args.raw()->context);
    return guarded([&] {
        HeapTupleHeader header = DatumGetHeapTupleHeader(row);
        HeapTupleData tuple;
        tuple.t_len = HeapTupleHeaderGetDatumLength(header);
        ItemPointerSetInvalid(&tuple.t_self);
        tuple.t_tableOid = RelationGetRelid(data->tg_relation);
        tuple.t_data = header;
        return PointerGetDatum(heap_copytuple(&tuple));
    });
}

Datum trigger_suppress(Arguments&) { return Datum{0}; }

}  // namespace sync_job::pg
