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
    // That of the type, opened if it is not yet. Raises SetupError: no superuser has confirmed it, there is no such file, it cannot be
    // opened, is no controller, or was built for another version of the ABI. One that was replaced since is not opened again: the
    // old code may be in use.
    static std::shared_ptr<const NativeLibrary> find(const JobType& type);
    // Null where it is not open.
    static std::shared_ptr<const NativeLibrary> if_open(const JobType& type);

    explicit NativeLibrary(std::string name, const std::string& path);
    const std::string& name() const { return name_; }
    const sync_job_library& table() const { return *table_; }
    bool has(sync_job_hook hook) const { return (table_->hooks >> hook & 1) != 0; }
    // Raises 55000 if the file is another one now.
    void require_current() const;
    bool replaced() const noexcept { return file_.replaced(); }

private:
    std::string name_;
    pg::SharedLibrary file_;
    const sync_job_library* table_ = nullptr;
};

// Why a name cannot be that of a library; empty: it can.
std::string problem_of_library_name(const std::string& name);

// One that this process has opened is another file now, or gone: its name, else empty. The process should end before its next job.
std::string replaced_native_library();

}  // namespace sync_job
