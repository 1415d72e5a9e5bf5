// Queues and types paused and resumed, retries by hand, history cleared.
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"
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
    // The table's trigger does this, too, but only while it is ENABLE ALWAYS: a restore that disables triggers ends that.
    pg::invalidate_relation(schema_objects().queue_table);
    wake_scheduler_at_commit();
    return args.null_result();
}

// The column is the truth: an UPDATE by who may change the type does the same.
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

using Ids = std::vector<std::int64_t>;

std::int64_t remove_jobs(InternalStatement& remove, const Ids& ids) {
    pg::Subtransaction subtransaction;
    std::int64_t count = pg::datum_int64(remove.run({{pg::int64_array_datum(ids), false}})[0][0].datum);
    subtransaction.commit();
    return count;
}

// All at once; or one by one if something of a user's, such as a foreign key, holds one of them: that one stays.
std::int64_t clear_from(InternalStatement& select, InternalStatement& remove, pg::Timestamp before, int most) {
    Ids ids;
    for (const auto& row : select.run({{pg::int64_datum(before), false}, {pg::int32_datum(most), false}})) {
        ids.push_back(pg::datum_int64(row[0].datum));
    }
    if (ids.empty()) return 0;
    try {
        return remove_jobs(remove, ids);
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    std::int64_t count = 0, kept = 0;
    std::string reason;
    for (std::int64_t id : ids) {
        try {
            count += remove_jobs(remove, {id});
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            if (kept++ == 0) reason = error.report().message;
        }
    }
    if (kept > 0) pg::warning(std::to_string(kept) + " sync jobs could not be cleared", "Of the first of them: " + reason);
    return count;
}

// Deletes jobs that ended before the given time, with what belongs to them; at most `most`.
std::int64_t clear_before(pg::Timestamp before, int most) {
    static const std::string errors_too = " WHERE id = ANY ($1) RETURNING id),"
        " errors AS (DELETE FROM {}.sync_job_error AS e USING gone WHERE e.sync_job = gone.id)";
    static const std::string count_them = " SELECT count(*) FROM gone";
    static auto& ended = *new InternalStatement(
        "SELECT id FROM sync_job_internal.sync_job_ended WHERE ended_at < $1 LIMIT $2"
        " FOR UPDATE SKIP LOCKED", {pg::type::timestamptz, pg::type::int4});
    static auto& remove_ended = *new InternalStatement(
        "WITH gone AS (DELETE FROM sync_job_internal.sync_job_ended" + errors_too +
            ", documents AS (DELETE FROM {}.sync_job_document AS d WHERE d.sync_job IN"
            "  (SELECT id FROM sync_job_internal.sync_job_ended WHERE id = ANY ($1) AND documents IS NOT NULL))" + count_them,
        {pg::type::int8_array});
    static auto& remove_ended_of_0_1_0 = *new InternalStatement(
        "WITH gone AS (DELETE FROM sync_job_internal.sync_job_ended" + errors_too + count_them, {pg::type::int8_array});
    static auto& failed = *new InternalStatement(
        "SELECT id FROM sync_job_internal.sync_job_failed WHERE ended_at < $1 AND retry_after IS NULL LIMIT $2"
        " FOR UPDATE SKIP LOCKED", {pg::type::timestamptz, pg::type::int4});
    static auto& remove_failed = *new InternalStatement(
        "WITH gone AS (DELETE FROM sync_job_internal.sync_job_failed" + errors_too + count_them, {pg::type::int8_array});
    static auto& documents = *new InternalStatement(
        "DELETE FROM {}.sync_job_deleted_document WHERE id IN ("
        " SELECT d.id FROM {}.sync_job_deleted_document AS d WHERE d.deleted_at < $1"
        " AND NOT EXISTS (SELECT FROM {}.sync_job AS j WHERE j.source_document_name = d.document_name"
        "  AND j.source_document_type = d.document_type AND j.status IN ('Pending', 'Queued', 'Started', 'Failed'))"
        " LIMIT $2 FOR UPDATE OF d SKIP LOCKED)",
        {pg::type::timestamptz, pg::type::int4});
    const SchemaObjects& o = schema_objects();
    for (Oid table : {o.ended, o.failed, o.error_table, o.deleted_table}) require_not_referred_to(table);
    if (o.current) require_not_referred_to(o.document_table);
    std::int64_t count = clear_from(ended, o.current ? remove_ended : remove_ended_of_0_1_0, before, most);
    if (count < most) count += clear_from(failed, remove_failed, before, most - static_cast<int>(count));
    documents.run({{pg::int64_datum(before), false}, {pg::int32_datum(most), false}});
    return count;
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
    return pg::int64_datum(clear_before(pg::transaction_start() - span, most));
}

SYNC_JOB_FUNCTION(sync_job_clear_all) { return pg::int64_datum(clear_before(INT64_MAX, most_cleared)); }
