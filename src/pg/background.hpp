// Background workers: registering them, and what a worker's main function needs.
#pragma once

#include <functional>
#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// At load: a worker that the postmaster starts when recovery has ended, and again `restart_seconds` after it has died.
void register_static_worker(const char* name, const char* entry_point, int restart_seconds);

enum class StartResult {
    started,
    no_slot,  // max_worker_processes is used up
    failed    // it could not be forked, or has ended already
};
// Starts a worker that is not restarted; `argument` is passed to its main function. Its start and end wake the caller.
struct StartedWorker {
    StartResult result;
    int pid;
};
StartedWorker start_worker(const std::string& name, const char* type, const char* entry_point, int argument);

// Called first in a worker's main: signal handlers (SIGTERM ends it at the next interrupt check, SIGHUP rereads the
// configuration, SIGINT cancels what runs), then `at_exit` is registered, then signals are unblocked.
void begin_worker(void (*at_exit)());
// For processes that run no user's statements: pg_cancel_backend() must not end them.
void ignore_cancel();
// For a session: called once when its process ends, after its transaction has ended and its locks are released, while
// shared memory is still there.
void at_session_exit(void (*callback)());
void connect_to_no_database();
void connect_to_database(Oid database, Oid role);  // no_oid: the bootstrap superuser
Oid my_database();
std::string my_database_name();

bool shutdown_requested();
[[noreturn]] void exit_worker(int code);

// What pg_stat_activity shows for this process, its application_name included; the setting of that name is left alone.
void show_running(const std::string& application_name, const std::string& text);
void show_idle();
void show_application_name(const std::string& name);
// Reports the transaction's statistics; a worker does so after each commit.
void flush_statistics(bool force);

// Every database that allows connections, except templates. In a transaction.
void list_databases(void (*add)(void* context, Oid oid, const char* name), void* context);

// Runs the main function's body; an Error that escapes it is logged, and the process exits with code 1.
void run_worker_main(void (*body)());

}  // namespace sync_job::pg
