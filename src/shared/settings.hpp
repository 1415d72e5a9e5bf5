// The settings sync_job.*; docs/reference.md describes each.
#pragma once

namespace sync_job {

struct Settings {
    bool enabled = true;
    int max_workers = 4;
    int worker_idle_timeout = 60000;  // milliseconds, like the next two
    int poll_interval = 10000;
    int progress_interval = 500;
    int log_retention_days = 30;
    int setup_retry_limit = 3600000;  // milliseconds
    int batch_time = 100;
    int batch_jobs = 500;
    int neighbour_share = 60;  // percent
    char* library_directory = nullptr;
    char* traceparent = nullptr;  // of the session; empty: none
};
extern Settings settings;

void define_settings();

}  // namespace sync_job
