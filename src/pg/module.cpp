// The library's magic block, by which PostgreSQL checks its compatibility. The entry point is _PG_init() in load.cpp.
#include "pg/server.hpp"

#include "pg/types.hpp"

extern "C" {

// Before PostgreSQL 16 the macro leaves the visibility to the compiler's default, which is hidden here.
SYNC_JOB_EXPORT const Pg_magic_struct* Pg_magic_func(void);

#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "pg_sync_job", .version = SYNC_JOB_VERSION);
#else
PG_MODULE_MAGIC;
#endif

}  // extern "C"
