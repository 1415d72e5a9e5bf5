// Shared libraries that the extension opens by itself, not the server: each with its own symbols only, from one folder.
#pragma once

#include <cstdint>
#include <string>

namespace sync_job::pg {

// Which file it was: another one in its place, and one that was written over, differ.
struct FileIdentity {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = 0, seconds = 0, nanoseconds = 0;
    bool operator==(const FileIdentity&) const = default;
};

// The path of a file in the folder that a setting names; $libdir at its beginning is the server's folder of libraries.
std::string path_of_library(const std::string& folder, const std::string& file);

// A copy of the file in memory is opened, with RTLD_NOW and RTLD_LOCAL, so that nothing that is done to the file later changes code
// that runs, or ends the process. Never closed: objects may point into its code.
class SharedLibrary {
public:
    // Raises 58P01 where there is no such file, 55000 where it cannot be opened.
    explicit SharedLibrary(const std::string& path);
    SharedLibrary(const SharedLibrary&) = delete;
    SharedLibrary& operator=(const SharedLibrary&) = delete;

    const void* symbol(const char* name) const;  // null: it exports none of that name
    // The file is there no more, or is another one.
    bool replaced() const noexcept;
    const std::string& path() const { return path_; }

private:
    std::string path_;
    FileIdentity identity_;
    void* handle_ = nullptr;
};

}  // namespace sync_job::pg
