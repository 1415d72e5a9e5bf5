// The names of the processes' main functions, as the server looks them up.
#pragma once

namespace sync_job {

constexpr const char* launcher_entry = "sync_job_launcher_main";
constexpr const char* scheduler_entry = "sync_job_scheduler_main";
constexpr const char* worker_entry = "sync_job_worker_main";

// The postmaster restarts the launcher this long after it has died.
constexpr int launcher_restart_seconds = 5;

}  // namespace sync_job
