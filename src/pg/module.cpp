// The library's entry: what PostgreSQL looks for when it loads it.
#include "pg/server.hpp"

#include "load.hpp"
#include "pg/error.hpp"
#include "pg/types.hpp"

extern "C" {

// Before PostgreSQL 16 the macro leaves the visibility to the compiler's default, which is hidden here.
SYNC_JOB_EXPORT const Pg_magic_struct* Pg_magic_func(void);

#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "pg_sync_job", .version = SYNC_JOB_VERSION);
#else
PG_MODULE_MAGIC;
#endif

SYNC_JOB_EXPORT void _PG_init(void);

void _PG_init(void) {
    sync_job::pg::boundary([] {
        // pg_upgrade starts the server to read and write catalogs: no worker may run then.
        sync_job::load(process_shared_preload_libraries_in_progress && !IsBinaryUpgrade);
    });
}

}  // extern "C"
