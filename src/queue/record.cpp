#include "queue/record.hpp"

#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/xact.hpp"
#include "queue/dependencies.hpp"
#include "queue/in_progress.hpp"
#include "queue/outcome.hpp"
#include "queue/setup_error.hpp"
#include "shared/metrics.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

pg::Value text_or_null(const std::string& text) {
    if (text.empty()) return {};
    return {pg::text_datum(text), false};
}

}  // namespace

void record_error(const Job& job, const pg::ErrorReport& report, bool counted) {
    // An attempt that does not count keeps its number, and may fail again under it.
    static auto& upsert = *new InternalStatement(
        "INSERT INTO {}.sync_job_error AS e"
        " (sync_job, attempt, occurred_at, sqlstate, message, detail, hint, context, counted)"
        " VALUES ($1, $2, coalesce($9, clock_timestamp()), $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (sync_job, attempt) DO UPDATE SET occurred_at = excluded.occurred_at,"
        " sqlstate = excluded.sqlstate, message = excluded.message, detail = excluded.detail, hint = excluded.hint,"
        " context = excluded.context, counted = excluded.counted",
        {pg::type::int8, pg::type::int4, pg::type::text, pg::type::text, pg::type::text, pg::type::text, pg::type::text,
         pg::type::boolean, pg::type::timestamptz});
    bool ended = job.status() == Status::failed;  // it has the time from which the wait for the next attempt counts
    upsert.run({{pg::int64_datum(job.id()), false},
                {pg::int32_datum(job.int32(C::retry_count) + 1), false},
                text_or_null(report.sqlstate),
                {pg::text_datum(report.message), false},
                text_or_null(report.detail),
                text_or_null(report.hint),
                text_or_null(report.context),
                {pg::bool_datum(counted), false},
                {job.datum(C::ended_at), !ended || job.is_null(C::ended_at)}});
}

bool cut_short_by_crash(std::int64_t id) {
    static auto& select = *new InternalStatement(
        "SELECT FROM {}.sync_job_error WHERE sync_job = $1 AND sqlstate = '57P02'", {pg::type::int8});
    return !select.run({{pg::int64_datum(id), false}}).empty();
}

namespace {

// The outcome with the place where the job's row is now, and with the checkpoint that the job itself has stored there.
Outcome in_place(const Outcome& outcome) {
    if (!job_row_moved(outcome.job.id())) return outcome;
    auto stored = lock_job(outcome.job.id());
    if (!stored) return outcome;
    Outcome moved = outcome;
    moved.job = outcome.job.copy();
    moved.job.place = stored->job.place;
    moved.job.set(C::checkpoint, pg::Value{stored->job.datum(C::checkpoint), stored->job.is_null(C::checkpoint)});
    return moved;
}

// Moves rows to the partitions of their states.
void move_rows(const std::vector<Outcome>& outcomes) {
    const SchemaObjects& o = schema_objects();
    pg::Table live(o.live, pg::TableLock::write);
    pg::Table failed(o.failed, pg::TableLock::write);
    pg::Table ended(o.ended, pg::TableLock::write);
    std::vector<Job> jobs;
    std::vector<pg::RowValues> to_ended, to_failed;
    jobs.reserve(outcomes.size());
    for (const Outcome& outcome : outcomes) {
        if (outcome.verdict != Verdict::ended) continue;
        clear_in_progress(outcome.job.id());
        if (!outcome.job.is_null(C::parent_sync_job)) wake_blocked_at_commit();
        const Job& job = jobs.emplace_back(in_place(outcome).job);
        count_end(job);
        live.remove(job.place);
        auto& to = partition_of(job.status()) == Partition::failed ? to_failed : to_ended;
        to.push_back(job.row());
        if (job.status() == Status::failed && !job.is_null(C::retry_after)) wake_at(job.int64(C::retry_after));
    }
    ended.insert_many(to_ended);
    failed.insert_many(to_failed);
}

}  // namespace

void record(const std::vector<Outcome>& outcomes) {
    move_rows(outcomes);
    bool any_setup_error = false;
    for (const Outcome& outcome : outcomes) {
        if (outcome.error != nullptr) record_error(outcome.job, *outcome.error, outcome.counted);
        if (outcome.verdict == Verdict::ended) follow_up(outcome);
        any_setup_error = any_setup_error || outcome.setup_error;
    }
    if (any_setup_error) note_setup_errors(outcomes);
}

void record_bare_end(const Outcome& outcome) {
    move_rows({outcome});
    if (outcome.error == nullptr) return;
    try {
        pg::Subtransaction subtransaction;
        record_error(outcome.job, *outcome.error, outcome.counted);
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
}

void record_end(const Outcome& outcome) {
    try {
        pg::Subtransaction subtransaction;
        record({outcome});
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        pg::log_error("the end of sync " + describe(outcome.job) + " is recorded without what follows from it", error);
        record_bare_end(outcome);
    }
}

}  // namespace sync_job
