// Loading pg_sync_job_http, the HTTP client (http/transport.h), into this process.
#pragma once

#include <string>

struct SyncJobHttpApi;

namespace sync_job::pg {

// Loads it once. Raises 58P01 if it is not installed, or is of another version.
const SyncJobHttpApi& http_library();
// Reserves file descriptors for sockets, out of those that the server may open in this process: at most `most`, and at most almost a third
// of them. Returns how many.
int reserve_descriptors(int most);
void release_descriptors(int count) noexcept;
// Whether the file of a library of this name exists.
bool library_is_installed(const std::string& name);

}  // namespace sync_job::pg
