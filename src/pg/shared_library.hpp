// Shared libraries that the extension opens itself, without the server: each sees only its own symbols, and they are in one folder.
#pragma once

#include <cstdint>
#include <string>

namespace sync_job::pg {

// Identifies a file: one that replaces it, or that was overwritten, has another identity.
struct FileIdentity {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = 0, seconds = 0, nanoseconds = 0;
    bool operator==(const FileIdentity&) const = default;
};

// The path of a file in the folder that a setting names; a leading $libdir means the server's library folder.
std::string path_of_library(const std::string& folder, const std::string& file);

// Opens a copy of the file in memory, with RTLD_NOW and RTLD_LOCAL, so that later changes of the file neither change running code nor end
// the process. Never closed: objects may point into its code.
class SharedLibrary {
public:
    // Raises 58P01 if there is no such file, 55000 if it cannot be opened.
    explicit SharedLibrary(const std::string& path);
    SharedLibrary(const SharedLibrary&) = delete;
    SharedLibrary& operator=(const SharedLibrary&) = delete;

    const void* symbol(const char* name) const;  // null: it exports no such symbol
    // Whether the file no longer exists or has been replaced.
    bool replaced() const noexcept;
    const std::string& path() const { return path_; }

private:
    std::string path_;
    FileIdentity identity_;
    void* handle_ = nullptr;
};

}  // namespace sync_job::pg
