// Functions in both directions: those that the extension offers to SQL, and those of users that it calls.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/catalog.hpp"
#include "pg/row.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"

namespace sync_job::pg {

// The arguments of an SQL-callable function, and its result.
class Arguments {
public:
    explicit Arguments(FunctionCallInfoBaseData* call) : call_(call) {}

    int count() const;
    bool is_null(int index) const;
    Datum datum(int index) const;
    Oid type(int index) const;  // the actual type, for anyelement and record

    std::optional<std::string> text(int index) const;
    std::optional<std::int64_t> int64(int index) const;
    std::optional<std::int32_t> int32(int index) const;
    std::optional<bool> boolean(int index) const;
    std::optional<Oid> oid(int index) const;
    std::optional<Timestamp> timestamp(int index) const;
    std::vector<std::int64_t> int64_array(int index) const;  // raises an error for NULL elements
    std::vector<std::string> text_array(int index) const;

    Datum null_result();
    // A row of the function's declared composite result (OUT parameters).
    Datum row_result(const Datum* values, const bool* nulls);
    // The result of a procedure with one INOUT parameter: a record around a composite value.
    Datum record_result(const char* parameter, Datum composite);
    // Whether this is a CALL outside a transaction block: then the procedure may commit.
    bool may_commit() const;

    // Set-returning functions (materialize mode): rows go into the result, in the shape of the declared type.
    void begin_rows();
    void add_row(const Datum* values, const bool* nulls);
    void add_composite(Datum row);

    FunctionCallInfoBaseData* raw() const { return call_; }

private:
    FunctionCallInfoBaseData* call_;
};

// What PostgreSQL's V1 calling convention requires of a function (Pg_finfo_record).
struct FunctionRecord {
    int api_version;
};
const FunctionRecord* function_record();
Datum enter_function(FunctionCallInfoBaseData* call, Datum (*body)(Arguments&));

// Defines an SQL-callable function: SYNC_JOB_FUNCTION(sync_job_start) { …; return result; }
#define SYNC_JOB_FUNCTION(name)                                                                               \
    static Datum name##_body(::sync_job::pg::Arguments& args);                                                \
    extern "C" {                                                                                              \
    SYNC_JOB_EXPORT const ::sync_job::pg::FunctionRecord* pg_finfo_##name(void);                              \
    SYNC_JOB_EXPORT Datum name(FunctionCallInfoBaseData* call);                                               \
    const ::sync_job::pg::FunctionRecord* pg_finfo_##name(void) { return ::sync_job::pg::function_record(); } \
    Datum name(FunctionCallInfoBaseData* call) { return ::sync_job::pg::enter_function(call, name##_body); }  \
    }                                                                                                         \
    static Datum name##_body([[maybe_unused]] ::sync_job::pg::Arguments& args)

class SqlBody;

// A user's function, ready to be called repeatedly through the function manager. The caller checks the right to execute it. Holds what the
// function's language caches between calls; for SQL functions that is the state of the call in progress. So a nested call, by a job that
// runs inside a job of its type, has a handle of its own.
class Callable {
public:
    explicit Callable(const FunctionInfo& info);
    ~Callable();
    Callable(const Callable&) = delete;
    Callable& operator=(const Callable&) = delete;

    Value call(const Value* arguments, int count);
    // Calls a set-returning function; its rows are copied into the current context.
    std::vector<Value> call_set(const Value* arguments, int count);
    const FunctionInfo& info() const { return info_; }

private:
    struct Handle {
        MemoryContextData* memory;
        void* manager;  // FmgrInfo
    };
    class InUse;  // a handle, during one call
    Handle make_handle() const;

    FunctionInfo info_;
    std::shared_ptr<const SqlBody> body_;  // created by the first call
    std::vector<Handle> handles_;  // one for each nesting level of calls
    std::size_t level_ = 0;        // the level of the next call
};

// The current call of a trigger function.
struct TriggerCall {
    enum class Event { insert, update, remove, truncate };
    Event event;
    bool after, row_level;
    Oid relation;
    std::string trigger_name;
    std::vector<std::string> arguments;
    // Values of the table's columns. They point into the rows; out-of-line values are not fetched.
    RowValues old_row, new_row;
};
enum class Transition { old_rows, new_rows };
// For an UPDATE trigger: whether one of these columns of its table may have changed in some row; false only if none can have.
bool may_have_changed(Arguments& args, const std::vector<int>& columns);
// Calls `row` for each row of a statement-level trigger's transition table, as values of the table's columns. The current memory context is
// reset after each. False: the trigger does not refer to that table.
bool for_each_transition_row(Arguments& args, Transition which, const std::function<void(const RowValues&)>& row);
// For an UPDATE trigger: calls `rows` with each row before and after the update. False: they cannot be paired, because a row that would
// have moved to another partition was kept out of that.
bool for_each_updated_row(Arguments& args, const std::function<void(const RowValues&, const RowValues&)>& rows);
bool has_transition(Arguments& args, Transition which);

// Raises 39P01 if the function was not called as a trigger.
TriggerCall trigger_call(Arguments& args, const char* function);
// What a BEFORE trigger returns to proceed: the new row unchanged (or the old one for DELETE).
Datum trigger_proceed(Arguments& args);
// The same with another row; the composite value must have the table's row type.
Datum trigger_replace(Arguments& args, Datum row);
Datum trigger_suppress(Arguments& args);

}  // namespace sync_job::pg
