/* The only file of this library that includes the server's headers: what the server requires of a library that it loads. */
#include <postgres.h>
#include <fmgr.h>

PG_MODULE_MAGIC;
