// Loading pg_sync_job_http, the HTTP client (http/transport.h), into this process.
#pragma once

#include <string>

struct SyncJobHttpApi;

namespace sync_job::pg {

// Loads it, once. Raises 58P01 where it is not installed, or is of another version.
const SyncJobHttpApi& http_library();
// Takes descriptors from what the server may open in this process, for sockets: at most so many, and almost a third of what it may have. Returns how many.
int reserve_descriptors(int most);
void release_descriptors(int count) noexcept;
// Whether its file is there.
bool library_is_installed(const std::string& name);

}  // namespace sync_job::pg
