// The guards of error.hpp. Violating one of their rules can crash the server.
#include "pg/server.hpp"

#include <set>

#include "pg/citus.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

Error::Error(std::string sqlstate, std::string message) : report_(std::make_shared<ErrorReport>()) {
    report_->sqlstate = std::move(sqlstate);
    report_->message = std::move(message);
}

Error& Error::detail(std::string text) {
    report_->detail = std::move(text);
    return *this;
}

Error& Error::hint(std::string text) {
    report_->hint = std::move(text);
    return *this;
}

Error& Error::column(std::string name) {
    report_->column_name = std::move(name);
    return *this;
}

namespace {

// The server adds a line of context for each function that was running; these words are the same in every language.
bool in_function(const ErrorReport& report) {
    return report.context.find("PL/") != std::string::npos || report.context.find("SQL function") != std::string::npos;
}

bool of_class(const Error& error, const char* state) { return error.sqlstate().compare(0, 2, state) == 0; }

}  // namespace

bool is_server_trouble(const Error& error) {
    bool state = of_class(error, "53") || of_class(error, "58") || error.sqlstate() == "XX001" || error.sqlstate() == "XX002";
    return state && error.report().from_server && !in_function(error.report());
}

bool is_specific(const Error& error) { return !is_server_trouble(error) && !of_class(error, "57") && !of_class(error, "40"); }

namespace {

// Restores the two stacks of the server, whichever way the guard is left.
struct StackState {
    sigjmp_buf* exceptions = PG_exception_stack;
    ErrorContextCallback* contexts = error_context_stack;
    void restore() const {
        PG_exception_stack = exceptions;
        error_context_stack = contexts;
    }
    ~StackState() { restore(); }
};

std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }

// The file and function of an error. The server reads them last, when the memory of whatever failed is gone, and copies them nowhere before
// that, because in code that raises they are constants. CopyErrorData() and parallel workers, however, give copies. There are only as many
// as there are places in code that raise.
const char* constant(const char* text) {
    static std::set<std::string> constants;
    return text == nullptr ? nullptr : constants.emplace(text).first->c_str();
}

const char* null_if_empty(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

int encode_sqlstate(const std::string& state) {
    return state.size() == 5 ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]) : ERRCODE_INTERNAL_ERROR;
}

// Takes the current error off the server's stack; null if even that raised an error (out of memory).
ErrorData* take_error() {
    StackState saved;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        ErrorData* data = CopyErrorData();
        FlushErrorState();
        return data;
    }
    FlushErrorState();
    return nullptr;
}

[[noreturn]] void throw_taken(MemoryContext context) {
    MemoryContextSwitchTo(context);
    ErrorData* data = take_error();
    if (data == nullptr) throw Error("53200", "out of memory");
    auto report = std::make_shared<ErrorReport>();
    report->sqlstate = unpack_sql_state(data->sqlerrcode);
    report->message = text_or_empty(data->message);
    report->detail = text_or_empty(data->detail);
    report->hint = text_or_empty(data->hint);
    report->context = text_or_empty(data->context);
    report->schema_name = text_or_empty(data->schema_name);
    report->table_name = text_or_empty(data->table_name);
    report->column_name = text_or_empty(data->column_name);
    report->datatype_name = text_or_empty(data->datatype_name);
    report->constraint_name = text_or_empty(data->constraint_name);
    report->internal_query = text_or_empty(data->internalquery);
    report->internal_position = data->internalpos;
    report->cursor_position = data->cursorpos;
    report->file = constant(data->filename);
    report->function = constant(data->funcname);
    report->line = data->lineno;
    report->from_server = true;
    report->to_log = data->output_to_server;
    report->to_client = data->output_to_client;
    bool canceled = data->sqlerrcode == ERRCODE_QUERY_CANCELED;
    FreeErrorData(data);
    if (canceled && citus::canceled_for_deadlock()) {  // Citus tells this only where an error is logged
        report->sqlstate = "40P01";
        report->message = "canceling the transaction since it was involved in a distributed deadlock";
    }
    throw Error(std::move(report));
}

// The report as the server's own struct, in the current memory context. So no C++ object is alive when it is raised.
ErrorData* to_server(const ErrorReport& report) {
    auto* data = static_cast<ErrorData*>(palloc0(sizeof(ErrorData)));
    auto copy = [](const std::string& text) { return text.empty() ? nullptr : pstrdup(text.c_str()); };
    data->elevel = ERROR;
    data->output_to_server = report.to_log;
    data->output_to_client = report.to_client;
    data->sqlerrcode = encode_sqlstate(report.sqlstate);
    data->message = pstrdup(report.message.c_str());
    data->detail = copy(report.detail);
    data->hint = copy(report.hint);
    data->context = copy(report.context);
    data->schema_name = copy(report.schema_name);
    data->table_name = copy(report.table_name);
    data->column_name = copy(report.column_name);
    data->datatype_name = copy(report.datatype_name);
    data->constraint_name = copy(report.constraint_name);
    data->internalquery = copy(report.internal_query);
    data->internalpos = report.internal_position;
    data->cursorpos = report.cursor_position;
    data->filename = report.file;
    data->funcname = report.function;
    data->lineno = report.line;
    data->assoc_context = CurrentMemoryContext;
    return data;
}

[[noreturn]] void raise_own(const ErrorData* data) {
    ereport(ERROR,
            (errcode(data->sqlerrcode), errmsg_internal("%s", data->message),
             data->detail ? errdetail_internal("%s", data->detail) : 0, data->hint ? errhint("%s", data->hint) : 0,
             data->column_name ? err_generic_string(PG_DIAG_COLUMN_NAME, data->column_name) : 0));
    pg_unreachable();
}

// Which database a log line is about: %d in log_line_prefix shows that only for sessions. Null in a session, and until it can be looked up.
const char* log_context() {
    static auto& text = *new std::string;
    if (MyBackendType != B_BG_WORKER || !OidIsValid(MyDatabaseId)) return nullptr;
    if (text.empty() && IsTransactionState()) {
        const char* name = guarded([] { return get_database_name(MyDatabaseId); });
        if (name != nullptr) text = "database \"" + std::string(name) + "\"";
    }
    return null_if_empty(text);
}

void emit(int level, const std::string& message, const std::string& detail, const std::string& hint) {
    const char* m = message.c_str();
    const char* d = null_if_empty(detail);
    const char* h = null_if_empty(hint);
    const char* c = level == LOG ? log_context() : nullptr;
    guarded([&] {
        ereport(level, (errmsg_internal("%s", m), d ? errdetail_internal("%s", d) : 0, h ? errhint("%s", h) : 0, c ? errcontext("%s", c) : 0));
    });
}

}  // namespace

namespace detail {

__attribute__((noinline)) void run_guarded(void (*body)(void*), void* argument) {
    StackState saved;
    MemoryContext context = CurrentMemoryContext;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        body(argument);
        MemoryContextSwitchTo(context);  // SPI, for example, leaves another one current
        return;
    }
    saved.restore();
    // If the error is a cancellation, other interrupts that were pending at that moment still have to be processed.
    InterruptPending = true;
    throw_taken(context);
}

std::shared_ptr<const ErrorReport> current_exception_report() noexcept {
    auto make = [](const char* sqlstate, const char* message) -> std::shared_ptr<const ErrorReport> {
        try {
            return Error(sqlstate, message).share();
        } catch (...) {
            return nullptr;  // raise() then reports "out of memory"
        }
    };
    try {
        throw;
    } catch (const Error& error) {
        return error.share();
    } catch (const std::bad_alloc&) {
        return nullptr;
    } catch (const std::exception& error) {
        return make("XX000", error.what());
    } catch (...) {
        return make("XX000", "unknown C++ exception");
    }
}

void raise(std::shared_ptr<const ErrorReport> report) {
    ErrorData* data = nullptr;
    bool from_server = false;
    if (report) {
        from_server = report->from_server;
        try {
            data = guarded([&] { return to_server(*report); });
        } catch (...) {
            data = nullptr;
        }
        report.reset();
    }
    if (data == nullptr) ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    if (from_server) ReThrowError(data);
    raise_own(data);
}

}  // namespace detail

void report_in_cleanup(const std::exception& error) noexcept {
    try {
        emit(WARNING, std::string("pg_sync_job: error while cleaning up: ") + error.what(), {}, {});
    } catch (...) {
        // There is nothing left to report it with.
    }
}

void notice(const std::string& message, const std::string& hint) { emit(NOTICE, message, {}, hint); }

void warning(const std::string& message, const std::string& detail, const std::string& hint) {
    emit(WARNING, message, detail, hint);
}

void log(const std::string& message, const std::string& detail, const std::string& hint) {
    emit(LOG, message, detail, hint);
}

void log_error(const std::string& what, const Error& error) {
    const ErrorReport& report = error.report();
    const char* w = what.c_str();
    const char* m = report.message.c_str();
    const char* d = null_if_empty(report.detail);
    const char* h = null_if_empty(report.hint);
    const char* c = null_if_empty(report.context);
    const char* database = log_context();
    int code = encode_sqlstate(report.sqlstate);
    guarded([&] {
        ereport(LOG, (errcode(code), errmsg_internal("%s: %s", w, m), d ? errdetail_internal("%s", d) : 0,
                      h ? errhint("%s", h) : 0, c ? errcontext("%s", c) : 0, database ? errcontext("%s", database) : 0));
    });
}

}  // namespace sync_job::pg
