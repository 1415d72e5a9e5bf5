#include "pg/server.hpp"

#include <unistd.h>

#include <algorithm>

extern "C" {
#include "storage/fd.h"
}

#include "http/transport.h"
#include "pg/error.hpp"
#include "pg/http_library.hpp"

namespace sync_job::pg {

const SyncJobHttpApi& http_library() {
    static const SyncJobHttpApi* loaded = nullptr;
    if (loaded != nullptr) return *loaded;
    if (!library_is_installed("pg_sync_job_http")) {
        throw Error("58P01", "library pg_sync_job_http is not installed").hint("It is built and installed apart: make http && make install-http.");
    }
    void* symbol = guarded([] { return load_external_function("$libdir/pg_sync_job_http", SYNC_JOB_HTTP_SYMBOL, true, nullptr); });
    const SyncJobHttpApi* api = reinterpret_cast<SyncJobHttpApiFunction>(symbol)();
    if (api->version != SYNC_JOB_HTTP_VERSION || api->size < sizeof(SyncJobHttpApi)) {
        throw Error("58P01", "library pg_sync_job_http has interface version " + std::to_string(api->version) + ", and " +
                                 std::to_string(SYNC_JOB_HTTP_VERSION) + " is needed")
            .hint("Build and install it anew: make http && make install-http.");
    }
    loaded = api;
    return *loaded;
}

int reserve_descriptors(int most) {
    constexpr int others = 16;  // what waits, and whatever else the server opens: of a third it refuses more
    int count = std::min(most, std::max(max_safe_fds / 3 - others, others));
    guarded([&] {
        for (int i = 0; i < count; i++) ReserveExternalFD();
    });
    return count;
}

void release_descriptors(int count) noexcept {
    for (int i = 0; i < count; i++) ReleaseExternalFD();
}

bool library_is_installed(const std::string& name) { return access((std::string(pkglib_path) + "/" + name + ".so").c_str(), R_OK) == 0; }

}  // namespace sync_job::pg
