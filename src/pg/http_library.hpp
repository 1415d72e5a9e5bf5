// Loading pg_sync_job_http, the HTTP client (http/transport.h), into this process.
#pragma once

#include <string>

struct SyncJobHttpApi;

namespace sync_job::pg {

// Loads it, once. Raises 58P01 where it is not installed, or is of another version.
const SyncJobHttpApi& http_library();
// Whether its file is there.
bool library_is_installed(const std::string& name);

}  // namespace sync_job::pg
