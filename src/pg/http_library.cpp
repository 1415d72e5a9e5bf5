#include "pg/server.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>

extern "C" {
#include "storage/fd.h"
}

#include "http/transport.h"
#include "pg/error.hpp"
#include "pg/http_library.hpp"

namespace sync_job::pg {

namespace {

// The path of a library in the folder of this one. That need not be the server's own folder: an extension may be found through
// dynamic_library_path.
std::string beside_this_one(const std::string& name) {
    Dl_info here{};
    std::string path = dladdr(reinterpret_cast<void*>(&library_is_installed), &here) != 0 ? here.dli_fname : "";
    return path.substr(0, path.rfind('/') + 1) + name + ".so";
}

}  // namespace

const SyncJobHttpApi& http_library() {
    static const SyncJobHttpApi* loaded = nullptr;
    if (loaded != nullptr) return *loaded;
    if (!library_is_installed("pg_sync_job_http")) {
        throw Error("58P01", "library pg_sync_job_http is not installed").hint("It is built and installed apart: make http && make install-http.");
    }
    const std::string path = beside_this_one("pg_sync_job_http");
    void* symbol = guarded([&] { return load_external_function(path.c_str(), SYNC_JOB_HTTP_SYMBOL, true, nullptr); });
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
    constexpr int others = 16;  // for waiting, and for whatever else the server opens; the server refuses more than a third
    int count = std::min(most, std::max(max_safe_fds / 3 - others, others));
    guarded([&] {
        for (int i = 0; i < count; i++) ReserveExternalFD();
    });
    return count;
}

void release_descriptors(int count) noexcept {
    for (int i = 0; i < count; i++) ReleaseExternalFD();
}

bool library_is_installed(const std::string& name) { return access(beside_this_one(name).c_str(), R_OK) == 0; }

}  // namespace sync_job::pg
