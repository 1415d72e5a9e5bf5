#include "controller/native_library.hpp"

#include <map>

#include "controller/controller.hpp"
#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/settings.hpp"

namespace sync_job {

namespace {

using Libraries = std::map<std::string, std::shared_ptr<const NativeLibrary>>;  // keyed by path

Libraries& opened() {
    static auto& libraries = *new Libraries;  // never destroyed: controllers may be in use when the process ends
    return libraries;
}

std::string path_of(const JobType& type) { return pg::path_of_library(pg::get_setting("sync_job.library_directory"), type.library + ".so"); }

void require_trusted_library(const JobType& type) {
    if (type.library_trusted) return;
    throw pg::Error("42501", "library " + quoted(type.library) + " of sync job type " + quoted(type.name) + " has not been confirmed by a superuser")
        .detail("The row of the type was restored by another role. What is in a library runs with all rights of the server.")
        .hint("As a superuser: UPDATE sync_job_type SET library_trusted = true WHERE name = ....")
        .column("library");
}

const sync_job_library* table_of(const pg::SharedLibrary& file) {
    const auto* table = static_cast<const sync_job_library*>(file.symbol("sync_job_controller"));
    if (table == nullptr) {
        throw pg::Error("42883", "library \"" + file.path() + "\" exports no sync_job_controller")
            .hint("Register the controller: SYNC_JOB_CONTROLLER(Class).");
    }
    if (table->magic != SYNC_JOB_ABI_MAGIC) throw pg::Error("42P17", "sync_job_controller in library \"" + file.path() + "\" is no controller");
    if (table->version != SYNC_JOB_ABI_VERSION) {
        throw pg::Error("0A000", "library \"" + file.path() + "\" was built for version " + std::to_string(table->version) +
                                     " of the interface of native controllers, and this server has version " + std::to_string(SYNC_JOB_ABI_VERSION))
            .hint("Build it again with the headers of the installed pg_sync_job.");
    }
    bool complete = table->size >= sizeof(sync_job_library) && table->create != nullptr && table->destroy != nullptr && table->call != nullptr;
    if (!complete) throw pg::Error("42P17", "sync_job_controller in library \"" + file.path() + "\" is incomplete");
    return table;
}

}  // namespace

NativeLibrary::NativeLibrary(std::string name, const std::string& path) : name_(std::move(name)), file_(path), table_(table_of(file_)) {}

void NativeLibrary::require_current() const {
    if (!replaced()) return;
    throw pg::Error("55000", "library " + quoted(name_) + " has been replaced since this process opened it")
        .hint("Workers end and begin again by themselves; a session has to connect again.");
}

std::shared_ptr<const NativeLibrary> NativeLibrary::find(const JobType& type) {
    try {
        require_trusted_library(type);
        std::string path = path_of(type);
        auto& library = opened()[path];
        if (library == nullptr) library = std::make_shared<NativeLibrary>(type.library, path);
        library->require_current();
        return library;
    } catch (const pg::Error& error) {
        throw SetupError(error);
    } catch (const std::exception& error) {  // thrown by the library's code while it is opened
        throw SetupError(pg::Error("38000", "opening library " + quoted(type.library) + " failed: " + error.what()));
    }
}

std::shared_ptr<const NativeLibrary> NativeLibrary::if_open(const JobType& type) {
    auto found = opened().find(path_of(type));
    return found == opened().end() ? nullptr : found->second;
}

std::string problem_of_library_name(const std::string& name) {
    if (name.empty()) return "must not be empty";
    if (name.find('/') != std::string::npos) return "must be a name, not a path: " + quoted(name);
    if (name[0] == '.') return "must not begin with a point: " + quoted(name);
    return {};
}

std::string replaced_native_library() {
    for (const auto& [path, library] : opened()) {
        if (library != nullptr && library->replaced()) return library->name();
    }
    return {};
}

}  // namespace sync_job
