// Background workers: registering them, and what the main function of a worker needs.
#pragma once

#include <functional>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Called at load. The postmaster starts the worker when recovery has ended, and again `restart_seconds` after it has died.
void register_static_worker(const char* name, const char* entry_point, int restart_seconds);

enum class StartResult {
    started,
    no_slot,  // max_worker_processes is used up
    failed    // it could not be forked, or has already ended
};
// Starts a worker that is not restarted; `argument` is passed to its main function. Its start and end wake the caller.
struct StartedWorker {
    StartResult result;
    int pid;
};
StartedWorker start_worker(const std::string& name, const char* type, const char* entry_point, int argument);

// Must be called first in a worker's main function: sets up signal handlers (SIGTERM ends it at the next interrupt check, SIGHUP rereads
// the configuration, SIGINT cancels what is running), registers `at_exit`, then unblocks signals.
void begin_worker(void (*at_exit)());
// For processes that run no statements of users: pg_cancel_backend() must not end them.
void ignore_cancel();
// For a session: `callback` is called once when its process ends, after its transaction has ended and its locks are released, but while
// shared memory is still there.
void at_session_exit(void (*callback)());
void connect_to_no_database();
void connect_to_database(Oid database, Oid role);  // no_oid: the bootstrap superuser
Oid my_database();
std::string my_database_name();

bool shutdown_requested();
[[noreturn]] void exit_worker(int code);

// Sets what pg_stat_activity shows for this process, including its application_name; does not change the setting of that name.
void show_running(const std::string& application_name, const std::string& text);
void show_idle();
void show_application_name(const std::string& name);
// Reports the transaction's statistics; a worker does so after each commit.
void flush_statistics(bool force);

// Calls `add` for every database that allows connections, except templates. Needs a transaction.
void list_databases(void (*add)(void* context, Oid oid, const char* name), void* context);

// Runs the body of a main function. An Error that escapes is logged, and the process exits with code 1.
void run_worker_main(void (*body)());

}  // namespace sync_job::pg
