// The libraries of native controllers that this process has opened.
#pragma once

#include <memory>
#include <string>

#include "job/job_type.hpp"
#include "pg/shared_library.hpp"
#include "sync_job/abi.h"

namespace sync_job {

class NativeLibrary {
public:
    // The library of the type; opens it if it is not open yet. Raises SetupError: no superuser has confirmed it, there is no such file, it
    // cannot be opened, it is not a controller, or it was built for another version of the ABI. A library that was replaced since is not
    // opened again: the old code may be in use.
    static std::shared_ptr<const NativeLibrary> find(const JobType& type);
    // Null if it is not open.
    static std::shared_ptr<const NativeLibrary> if_open(const JobType& type);

    explicit NativeLibrary(std::string name, const std::string& path);
    const std::string& name() const { return name_; }
    const sync_job_library& table() const { return *table_; }
    bool has(sync_job_hook hook) const { return (table_->hooks >> hook & 1) != 0; }
    // Raises 55000 if the file has been replaced.
    void require_current() const;
    bool replaced() const noexcept { return file_.replaced(); }

private:
    std::string name_;
    pg::SharedLibrary file_;
    const sync_job_library* table_ = nullptr;
};

// Why this cannot be the name of a library; empty: it can.
std::string problem_of_library_name(const std::string& name);

// The name of a library that this process has opened and whose file has been replaced or removed; empty: none. The process should end
// before its next job.
std::string replaced_native_library();

}  // namespace sync_job
