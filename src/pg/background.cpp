#include "pg/server.hpp"

extern "C" {
#include "access/heapam.h"
}
#include <csignal>

#include "pg/background.hpp"
#include "pg/error.hpp"

namespace sync_job::pg {

namespace {

void copy_name(char* target, const std::string& text) {
    std::size_t length = std::min<std::size_t>(text.size(), BGW_MAXLEN - 1);
    std::memcpy(target, text.data(), length);
    target[length] = '\0';
}

BackgroundWorker describe(const std::string& name, const std::string& type, const char* entry_point) {
    BackgroundWorker worker;
    std::memset(&worker, 0, sizeof(worker));
    copy_name(worker.bgw_name, name);
    copy_name(worker.bgw_type, type);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    std::strcpy(worker.bgw_library_name, "pg_sync_job");
    copy_name(worker.bgw_function_name, entry_point);
    return worker;
}

void (*exit_callback)() = nullptr;

void at_process_exit(int, Datum) { exit_callback(); }

void on_terminate(SIGNAL_ARGS) {
    ShutdownRequestPending = true;
#if PG_VERSION_NUM >= 190000
    die(postgres_signal_arg, pg_siginfo);
#else
    die(postgres_signal_arg);
#endif
}

}  // namespace

void register_static_worker(const char* name, const char* entry_point, int restart_seconds) {
    BackgroundWorker worker = describe(name, name, entry_point);
    worker.bgw_restart_time = restart_seconds;
    RegisterBackgroundWorker(&worker);
}

StartedWorker start_worker(const std::string& name, const char* type, const char* entry_point, int argument) {
    BackgroundWorker worker = describe(name, type, entry_point);
    worker.bgw_main_arg = Int32GetDatum(argument);
    worker.bgw_notify_pid = MyProcPid;
    return guarded([&] {
        BackgroundWorkerHandle* handle;
        MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
        bool registered = RegisterDynamicBackgroundWorker(&worker, &handle);
        MemoryContextSwitchTo(previous);
        if (!registered) return StartedWorker{StartResult::no_slot, 0};
        pid_t pid = 0;
        BgwHandleStatus status = WaitForBackgroundWorkerStartup(handle, &pid);
        pfree(handle);
        return StartedWorker{status == BGWH_STARTED ? StartResult::started : StartResult::failed, pid};
    });
}

void begin_worker(void (*at_exit)()) {
    pqsignal(SIGTERM, on_terminate);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    exit_callback = at_exit;
    guarded([] { before_shmem_exit(at_process_exit, 0); });
    BackgroundWorkerUnblockSignals();
}

void ignore_cancel() {
#if PG_VERSION_NUM >= 190000
    pqsignal(SIGINT, PG_SIG_IGN);
#else
    pqsignal(SIGINT, SIG_IGN);
#endif
}

void at_session_exit(void (*callback)()) {
    static int registered_in = 0;  // the process in which it is registered
    if (registered_in == MyProcPid) return;
    registered_in = MyProcPid;
    exit_callback = callback;
    guarded([] { on_shmem_exit(at_process_exit, 0); });
}

void connect_to_no_database() {
    guarded([] { BackgroundWorkerInitializeConnection(nullptr, nullptr, 0); });
}

void connect_to_database(Oid database, Oid role) {
    guarded([&] {
#if PG_VERSION_NUM >= 170000
        BackgroundWorkerInitializeConnectionByOid(database, role, BGWORKER_BYPASS_ROLELOGINCHECK);
#else
        BackgroundWorkerInitializeConnectionByOid(database, role, 0);
#endif
    });
}

Oid my_database() { return MyDatabaseId; }

std::string my_database_name() {
    const char* name = guarded([] { return get_database_name(MyDatabaseId); });
    return name == nullptr ? std::to_string(MyDatabaseId) : std::string(name);
}

bool shutdown_requested() { return ShutdownRequestPending; }

void exit_worker(int code) { proc_exit(code); }

void show_running(const std::string& name, const std::string& text) {
    pgstat_report_appname(name.c_str());
    pgstat_report_activity(STATE_RUNNING, text.c_str());
}

void show_idle() {
    pgstat_report_appname(application_name);
    pgstat_report_activity(STATE_IDLE, nullptr);
}

void show_application_name(const std::string& name) {
    guarded([&] {
        // Set as the session's default, so that a job's SET or RESET does not remove it.
        set_config_option("application_name", name.c_str(), PGC_USERSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, 0, false);
    });
}

void flush_statistics(bool force) {
    guarded([&] { pgstat_report_stat(force); });
}

void list_databases(void (*add)(void*, Oid, const char*), void* context) {
    guarded([&] {
        Relation catalog = table_open(DatabaseRelationId, AccessShareLock);
        TableScanDesc scan = table_beginscan_catalog(catalog, 0, nullptr);
        HeapTuple tuple;
        while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection))) {
            auto* form = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
            if (form->datistemplate || !form->datallowconn) continue;
            add(context, form->oid, NameStr(form->datname));
        }
        table_endscan(scan);
        table_close(catalog, AccessShareLock);
    });
}

void run_worker_main(void (*body)()) {
    try {
        body();
    } catch (const Error& error) {
        try {
            log_error("pg_sync_job worker ends", error);
        } catch (...) {
        }
    } catch (const std::exception& error) {
        report_in_cleanup(error);
    }
    proc_exit(1);
}

}  // namespace sync_job::pg
