// The library's entry point: what happens when PostgreSQL loads it. Settings, hooks, shared memory, the launcher.
#include "controller/controller.hpp"
#include "controller/search_path.hpp"
#include "document/document.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/hooks.hpp"
#include "pg/shared.hpp"
#include "pg/table.hpp"
#include "pg/types.hpp"
#include "queue/in_progress.hpp"
#include "shared/document_locks.hpp"
#include "shared/metrics.hpp"
#include "shared/settings.hpp"
#include "shared/slots.hpp"
#include "shared/wake.hpp"
#include "worker/database_commands.hpp"
#include "worker/mains.hpp"

namespace sync_job {

namespace {

void at_relation_change(Oid relation) {
    invalidate_schema_objects(relation);
    invalidate_job_types(relation);
    invalidate_document_types(relation);
    pg::invalidate_table_writer(relation);
    pg::citus::invalidate(relation);
}

void at_function_change() {
    invalidate_controllers();
    invalidate_search_paths();
}

void load() {
    define_settings();
    pg::install_hooks();
    pg::on_relation_change(at_relation_change);
    pg::on_function_change(at_function_change);
    pg::on_table_open(refresh_schema_objects);
    register_table_guard();
    register_wake();
    register_document_locks();
    register_in_progress();
    register_metrics();
    if (!pg::is_preloading()) return;
    register_database_commands();
    pg::request_shared_memory(shared_bytes(), initialize_shared);
    pg::register_static_worker("sync job launcher", launcher_entry, launcher_restart_seconds);
}

}  // namespace

}  // namespace sync_job

extern "C" SYNC_JOB_EXPORT void _PG_init(void);

extern "C" void _PG_init(void) {
    sync_job::pg::boundary([] { sync_job::load(); });
}
