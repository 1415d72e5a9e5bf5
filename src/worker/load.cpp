#include "load.hpp"

#include "controller/controller.hpp"
#include "engine/running.hpp"
#include "engine/document.hpp"
#include "engine/job_type.hpp"
#include "engine/objects.hpp"
#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/hooks.hpp"
#include "pg/table.hpp"
#include "worker/databases.hpp"
#include "worker/mains.hpp"
#include "worker/settings.hpp"
#include "worker/shared.hpp"
#include "worker/wake.hpp"

namespace sync_job {

namespace {

void at_relation_change(Oid relation) {
    forget_objects(relation);
    forget_job_types(relation);
    forget_document_types(relation);
    pg::forget_table_writer(relation);
}

}  // namespace

void load(bool preloaded) {
    define_settings();
    pg::install_hooks();
    pg::on_relation_change(at_relation_change);
    pg::on_function_change(forget_controllers);
    watch_transactions();
    watch_kept();
    watch_running();
    if (!preloaded) return;
    watch_database_commands();
    pg::request_shared_memory(shared_bytes(), initialize_shared);
    pg::register_static_worker("sync job launcher", launcher_entry, launcher_restart_seconds);
}

}  // namespace sync_job
