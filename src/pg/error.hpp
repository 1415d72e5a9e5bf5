// The two guards between PostgreSQL's errors (longjmp) and C++ exceptions. There is no third way across.
//
//   guarded(f)   runs f, which calls the server. An ERROR raised in it arrives here as an Error that has the whole
//                report. Either way the current memory context is the same afterwards. Nothing with a destructor
//                may live between the guard and the call: the jump skips it.
//   boundary(f)  runs C++ that the server calls (SQL function, worker main, hook, callback). Whatever f throws
//                leaves it as an ERROR of the server, after all destructors have run.
//
// Whoever catches an Error is responsible for the transaction: rethrow, roll back the subtransaction, or abort the transaction.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace sync_job::pg {

// Everything that ereport() knows about an error. Empty strings mean: not given.
struct ErrorReport {
    std::string sqlstate = "XX000";
    std::string message, detail, hint, context;
    std::string schema_name, table_name, column_name, datatype_name, constraint_name;
    std::string internal_query;
    int internal_position = 0, cursor_position = 0;
    const char* file = nullptr;  // these two live as long as the process
    const char* function = nullptr;
    int line = 0;
    bool from_server = false;              // raised by the server; its context is complete
    bool to_log = true, to_client = true;  // where the server would report it
};

class Error : public std::exception {
public:
    Error(std::string sqlstate, std::string message);
    explicit Error(std::shared_ptr<ErrorReport> report) : report_(std::move(report)) {}

    Error& detail(std::string text);
    Error& hint(std::string text);
    Error& column(std::string name);  // which column of sync_job_type is wrong, possibly with a key: field_map.phone

    const char* what() const noexcept override { return report_->message.c_str(); }
    const ErrorReport& report() const noexcept { return *report_; }
    const std::string& sqlstate() const noexcept { return report_->sqlstate; }
    std::shared_ptr<const ErrorReport> share() const noexcept { return report_; }

private:
    std::shared_ptr<ErrorReport> report_;
};

// The server itself is in trouble, whatever was being done: no disk space, memory or file, a damaged page or index. Not if the error was
// raised inside a function: then it may concern the function alone.
bool is_server_trouble(const Error& error);
// The error is due to what was being done, and would come back if that were tried again: not trouble of the server, a cancellation, a
// shutdown or a deadlock.
bool is_specific(const Error& error);

namespace detail {
void run_guarded(void (*body)(void*), void* argument);
[[noreturn]] void raise(std::shared_ptr<const ErrorReport> report);
std::shared_ptr<const ErrorReport> current_exception_report() noexcept;
}  // namespace detail

template <class F>
auto guarded(F&& body) -> std::invoke_result_t<F&> {
    using Result = std::invoke_result_t<F&>;
    using Body = std::remove_reference_t<F>;
    if constexpr (std::is_void_v<Result>) {
        detail::run_guarded([](void* f) { (*static_cast<Body*>(f))(); }, &body);
    } else {
        static_assert(std::is_trivially_destructible_v<Result>, "a jump would skip the destructor");
        struct Call {
            Body* body;
            Result result;
        } call{&body, Result{}};
        detail::run_guarded(
            [](void* c) {
                auto* call = static_cast<Call*>(c);
                call->result = (*call->body)();
            },
            &call);
        return call.result;
    }
}

// For destructors and other places that must not throw: an error becomes a WARNING in the log.
void report_in_cleanup(const std::exception& error) noexcept;

template <class F>
void guarded_cleanup(F&& body) noexcept {
    try {
        guarded(std::forward<F>(body));
    } catch (const std::exception& error) {
        report_in_cleanup(error);
    }
}

template <class F>
auto boundary(F&& body) -> std::invoke_result_t<F&> {
    std::shared_ptr<const ErrorReport> report;
    try {
        return body();
    } catch (...) {
        report = detail::current_exception_report();
    }
    // The exception object is gone. From here on, a jump skips nothing but this handle, which raise() empties.
    detail::raise(std::move(report));
}

// Messages, not errors. They are sent within a guard: even a LOG can be interrupted.
void notice(const std::string& message, const std::string& hint = {});
void warning(const std::string& message, const std::string& detail = {}, const std::string& hint = {});
void log(const std::string& message, const std::string& detail = {}, const std::string& hint = {});
// Logs an error that was caught, with everything it carries.
void log_error(const std::string& what, const Error& error);

}  // namespace sync_job::pg
