/* The one place of this library that meets the server's headers: what the server wants to see before it loads a library. */
#include <postgres.h>
#include <fmgr.h>

PG_MODULE_MAGIC;
