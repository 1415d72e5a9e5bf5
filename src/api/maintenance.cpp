// Queues and types paused and resumed, retries by hand, history cleared.
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"
#include "queue/clear.hpp"
#include "queue/rights.hpp"
#include "queue/transition.hpp"
#include "shared/wake.hpp"
#include "worker/scheduler_queries.hpp"

namespace sync_job {

namespace {

constexpr int most_retries = 10000;
constexpr int most_cleared = 100000;

Datum set_paused(pg::Arguments& args, bool paused) {
    static auto& update = *new InternalStatement("UPDATE {}.sync_job_queue SET paused = $2 WHERE name = $1",
                                            {pg::type::text, pg::type::boolean});
    require_level(Level::operator_, std::string("function ") + (paused ? "pause" : "resume") + "_sync_job_queue()");
    auto queue = require_queue(*args.text(0));
    update.run({{pg::text_datum(queue->name), false}, {pg::bool_datum(paused), false}});
    // The table's trigger does this, too, but only while it is ENABLE ALWAYS: a restore that disables triggers changes that.
    pg::invalidate_relation(schema_objects().queue_table);
    wake_scheduler_at_commit();
    return args.null_result();
}

// The column decides: an UPDATE by whoever may change the type does the same.
Datum set_type_paused(pg::Arguments& args, bool paused) {
    static auto& update = *new InternalStatement("UPDATE {}.sync_job_type SET paused = $2 WHERE name = $1 AND paused <> $2",
                                            {pg::type::text, pg::type::boolean});
    auto type = require_job_type(*args.text(0));
    if (type->background) {
        throw pg::Error("22023", "sync job type " + quoted(type->name) + " cannot be paused")
            .hint("Give background work a queue of its own, and pause that.");
    }
    if (!may_do_all(*type, pg::current_user())) {
        require_level(Level::operator_, std::string("function ") + (paused ? "pause" : "resume") + "_sync_job_type()");
    }
    update.run({{pg::text_datum(type->name), false}, {pg::bool_datum(paused), false}});
    pg::invalidate_relation(schema_objects().type_table);
    wake_scheduler_at_commit();
    return args.null_result();
}

Datum clear(pg::Timestamp before, int most) {
    KeptJobs kept;
    std::int64_t count = clear_jobs(before, most, kept);
    if (kept.count > 0) pg::warning(kept.message(), kept.detail());
    return pg::int64_datum(count);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_pause_queue) { return set_paused(args, true); }
SYNC_JOB_FUNCTION(sync_job_resume_queue) { return set_paused(args, false); }
SYNC_JOB_FUNCTION(sync_job_pause_type) { return set_type_paused(args, true); }
SYNC_JOB_FUNCTION(sync_job_resume_type) { return set_type_paused(args, false); }

SYNC_JOB_FUNCTION(sync_job_auto_retry) {
    require_level(Level::operator_, "function auto_retry_failed_sync_jobs()");
    std::int64_t count = 0;
    for (int now = 1; now > 0 && count < most_retries;) {
        now = requeue_due_retries();
        count += now;
        pg::command_counter_increment();
    }
    return pg::int64_datum(count);
}

SYNC_JOB_FUNCTION(sync_job_clear_old) {
    int days = *args.int32(0), most = *args.int32(1);
    if (days < 0) throw pg::Error("22023", "days must not be negative: " + std::to_string(days));
    if (most < 1) throw pg::Error("22023", "max_jobs must be at least 1: " + std::to_string(most));
    constexpr std::int64_t day = 86400LL * 1000000;
    std::int64_t span = std::min(days, static_cast<int>(pg::longest_interval / day)) * day;
    return clear(pg::transaction_start() - span, most);
}

SYNC_JOB_FUNCTION(sync_job_clear_all) { return clear(INT64_MAX, most_cleared); }
