#include "pg/server.hpp"

extern "C" {
#include "storage/dsm.h"
}

#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/remote.hpp"
#include "pg/spi.hpp"
#include "pg/types.hpp"
#include "pg/xact.hpp"

namespace sync_job::pg {

namespace {

enum class CallState : int { waiting, done, failed };

// In a shared memory segment of the caller and the worker: the caller's request, and the worker's answer.
struct RemoteCall {
    Oid database, role;
    CallState state;
    char extension[NAMEDATALEN];
    char sqlstate[6];
    char message[1024];
    char hint[512];
    char sql[FLEXIBLE_ARRAY_MEMBER];
};

template <std::size_t N>
void copy_to(char (&target)[N], const std::string& text) {
    std::size_t length = std::min(text.size(), N - 1);
    std::memcpy(target, text.data(), length);
    target[length] = '\0';
}

// The segment. It is unmapped at the end of the scope; after an error, by the resource owner of the (sub)transaction.
class Segment {
public:
    explicit Segment(std::size_t bytes) : segment_(guarded([&] { return dsm_create(bytes, 0); })) {}
    ~Segment() {
        if (std::uncaught_exceptions() == 0) guarded_cleanup([&] { dsm_detach(segment_); });
    }
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;
    RemoteCall* call() const { return static_cast<RemoteCall*>(dsm_segment_address(segment_)); }
    dsm_handle handle() const { return dsm_segment_handle(segment_); }

private:
    dsm_segment* segment_;
};

void wait_until_ended(dsm_handle segment) {
    BackgroundWorker worker;
    std::memset(&worker, 0, sizeof(worker));
    std::strcpy(worker.bgw_name, "sync job call");
    std::strcpy(worker.bgw_type, "sync job call");
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    std::strcpy(worker.bgw_library_name, "pg_sync_job");
    std::strcpy(worker.bgw_function_name, "sync_job_remote_main");
    worker.bgw_main_arg = UInt32GetDatum(segment);
    worker.bgw_notify_pid = MyProcPid;
    bool registered = guarded([&] {
        BackgroundWorkerHandle* handle;
        if (!RegisterDynamicBackgroundWorker(&worker, &handle)) return false;
        WaitForBackgroundWorkerShutdown(handle);
        return true;
    });
    if (!registered) {
        throw Error("53000", "could not reach another database: no background worker slot is free")
            .hint("Raise max_worker_processes.");
    }
}

void serve(RemoteCall& call) {
    connect_to_database(call.database, call.role);
    try {
        start_transaction();
        {
            SpiScope spi;
            SnapshotScope snapshot;
            // Without the extension, its schema could have been created there by anybody who may create schemas.
            if (!find_extension(call.extension)) {
                throw Error("55000", std::string("extension ") + call.extension + " is not installed there");
            }
            execute_sql(call.sql);
        }
        commit_transaction();
        call.state = CallState::done;
    } catch (const Error& error) {
        abort_transaction();
        copy_to(call.sqlstate, error.sqlstate());
        copy_to(call.message, error.report().message);
        copy_to(call.hint, error.report().hint);
        call.state = CallState::failed;
    }
}

}  // namespace

void run_in_database(Oid database, const char* extension, Oid role, const std::string& sql) {
    Segment segment(sizeof(RemoteCall) + sql.size() + 1);
    RemoteCall& call = *segment.call();
    call.database = database;
    call.role = role;
    copy_to(call.extension, extension);
    call.state = CallState::waiting;
    std::memcpy(call.sql, sql.c_str(), sql.size() + 1);
    wait_until_ended(segment.handle());
    if (call.state == CallState::done) return;
    if (call.state == CallState::failed) throw Error(call.sqlstate, call.message).hint(call.hint);
    throw Error("08001", "could not connect to another database").hint("The server's log says why.");
}

Oid database_oid(const std::string& name) {
    return guarded([&] { return get_database_oid(name.c_str(), true); });
}

}  // namespace sync_job::pg

extern "C" SYNC_JOB_EXPORT void sync_job_remote_main(Datum);

extern "C" void sync_job_remote_main(Datum argument) {
    using namespace sync_job::pg;
    static Datum segment_argument;  // run_worker_main() takes a plain function
    segment_argument = argument;
    run_worker_main([] {
        BackgroundWorkerUnblockSignals();
        auto* call = guarded([&] {
            CurrentResourceOwner = ResourceOwnerCreate(nullptr, "sync job call");
            dsm_segment* segment = dsm_attach(DatumGetUInt32(segment_argument));
            if (segment == nullptr) elog(ERROR, "could not map the shared memory segment of a call");
            dsm_pin_mapping(segment);
            return static_cast<RemoteCall*>(dsm_segment_address(segment));
        });
        serve(*call);
        exit_worker(0);
    });
}
