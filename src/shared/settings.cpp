#include "shared/settings.hpp"

#include "core/traceparent.hpp"
#include "pg/settings.hpp"
#include "shared/slots.hpp"

namespace sync_job {

Settings settings;

void define_settings() {
    using pg::Change;
    using pg::Unit;
    pg::define_setting("sync_job.enabled", "Lets workers run sync jobs.",
                       "Off: jobs are enqueued and wait. May be set for one database with ALTER DATABASE ... SET.",
                       &settings.enabled, true, Change::by_superuser);
    pg::define_setting({"sync_job.max_workers",
                        "Maximum number of worker processes that run sync jobs at the same time, in all databases.",
                        "Each takes one of max_worker_processes, as do the launcher and a scheduler for each database.",
                        &settings.max_workers, 4, 0, most_workers},
                       Unit::none, Change::on_reload);
    pg::define_setting({"sync_job.worker_idle_timeout", "Time after which an idle worker exits.", nullptr,
                        &settings.worker_idle_timeout, 60000, 0, 86400000},
                       Unit::milliseconds, Change::on_reload);
    pg::define_setting({"sync_job.poll_interval", "Time after which queues are checked even if nothing was committed.",
                        "A safety net: jobs are otherwise found at the commit that enqueues them.",
                        &settings.poll_interval, 10000, 1000, 3600000},
                       Unit::milliseconds, Change::on_reload);
    pg::define_setting(
        {"sync_job.progress_interval", "Time between two notifications of progress on the channel sync_job_progress.",
         "0: none are sent; sync_job_activity shows progress all the same.", &settings.progress_interval, 500, 0,
         60000},
        Unit::milliseconds, Change::on_reload);
    pg::define_setting({"sync_job.log_retention_days", "Days for which ended jobs are kept.",
                        "The scheduler deletes older ones, and so does clear_sync_job_logs(). -1: the scheduler deletes none.",
                        &settings.log_retention_days, 30, -1, 36500},
                       Unit::days, Change::by_user);
    pg::define_setting({"sync_job.setup_retry_limit", "Time after which a job type whose set-up is broken is held.",
                        "Its jobs are then retried when the type or an object that it needs has changed. 0: never held.",
                        &settings.setup_retry_limit, 3600000, 0, 2147483647},
                       Unit::milliseconds, Change::on_reload);
    pg::define_setting(
        {"sync_job.batch_time", "Time that the jobs sharing one transaction may take together.",
         "A job that takes longer by itself is rolled back and runs again alone.", &settings.batch_time, 100, 1, 10000},
        Unit::milliseconds, Change::on_reload);
    pg::define_setting({"sync_job.batch_jobs", "Maximum number of jobs that share one transaction.", nullptr,
                        &settings.batch_jobs, 500, 1, most_batch_jobs},
                       Unit::none, Change::on_reload);
    pg::define_setting({"sync_job.neighbour_share",
                        "Percentage of its time that a busy worker leaves to sessions while any of them is active.",
                        "0: workers never wait for others. It pauses between batches, with no transaction open.",
                        &settings.neighbour_share, 60, 0, 90},
                       Unit::none, Change::on_reload);
    pg::define_setting(pg::TextSetting{"sync_job.traceparent", "The trace that jobs enqueued from here on belong to.",
                                       "As the header traceparent of W3C Trace Context has it. In a job's controller: the job's own.",
                                       &settings.traceparent, is_traceparent,
                                       "It is as in 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, in lower case."},
                       Change::by_user);
    pg::define_setting(pg::TextSetting{"sync_job.library_directory", "The folder of the libraries of native controllers.",
                                       "What sync_job_type.library names is looked for here, and nowhere else. $libdir is the server's own.",
                                       &settings.library_directory, nullptr, nullptr, "$libdir/sync_job"},
                       Change::on_reload);
    // Views and upgrade scripts read it. A server keeps using the library that it has loaded, whatever is installed.
    pg::define_constant("sync_job.library_version", "Version of the library pg_sync_job that the server has loaded.",
                        "Until ALTER EXTENSION pg_sync_job UPDATE, the extension may have another version.",
                        SYNC_JOB_VERSION);
    pg::reserve_setting_prefix("sync_job");
}

}  // namespace sync_job
