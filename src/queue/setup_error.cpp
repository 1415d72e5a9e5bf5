#include "queue/setup_error.hpp"

#include <map>
#include <utility>

#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "queue/set_aside.hpp"
#include "queue/transition.hpp"
#include "shared/slots.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr pg::Timestamp at_no_time = never;  // 'infinity'

pg::Value text(std::string_view value) {
    if (value.empty()) return {};
    return {pg::text_datum(value), false};
}

pg::Value attempt_of(const Job& job) { return {pg::int32_datum(job.int32(C::retry_count) + 1), false}; }

bool is_news(const Job& job, const pg::ErrorReport& report) {
    static auto& select = *new InternalStatement(
        "SELECT FROM {}.sync_job_error WHERE sync_job = $1 AND attempt = $2 AND NOT counted AND sqlstate = $3 AND message = $4",
        {pg::type::int8, pg::type::int4, pg::type::text, pg::type::text});
    return select.run({{pg::int64_datum(job.id()), false}, attempt_of(job), text(report.sqlstate), text(report.message)}).empty();
}

}  // namespace

Outcome setup_failure(const Job& job, const pg::Error& error) {
    Outcome outcome = failed_outcome(job, error, false);
    outcome.setup_error = true;
    outcome.news = is_news(job, *outcome.error);
    return outcome;
}

void note_setup_errors(const std::vector<Outcome>& outcomes) {
    static auto& insert = *new InternalStatement(
        "INSERT INTO {}.sync_job_setup_error (sync_job_type, since, sqlstate, message, detail, hint)"
        " SELECT $1, clock_timestamp(), $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM {}.sync_job_setup_error"
        "  WHERE sync_job_type = $1 AND sqlstate = $2 AND message = $3)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        {pg::type::text, pg::type::text, pg::type::text, pg::type::text, pg::type::text});
    for (const Outcome& outcome : outcomes) {
        if (!outcome.setup_error || !outcome.news) continue;
        std::string_view type = outcome.job.text(C::sync_job_type);
        const pg::ErrorReport& report = *outcome.error;
        auto rows = insert.run({{pg::text_datum(type), false}, text(report.sqlstate), text(report.message), text(report.detail),
                                text(report.hint)});
        if (rows.empty()) continue;
        pg::log("the set-up of sync job type " + quoted(type) + " is broken: " + report.message, report.detail, report.hint);
    }
}

namespace {

// Whether its last attempt failed with a known set-up error; `held`: one for which its type is held.
bool failed_by_known(const Job& job, bool held) {
    static auto& select = *new InternalStatement(
        "SELECT FROM {}.sync_job_error AS e JOIN {}.sync_job_setup_error AS s"
        " ON s.sync_job_type = $3 AND s.sqlstate = e.sqlstate AND s.message = e.message AND (s.held_since IS NOT NULL OR NOT $4)"
        " WHERE e.sync_job = $1 AND e.attempt = $2 AND NOT e.counted",
        {pg::type::int8, pg::type::int4, pg::type::text, pg::type::boolean});
    if (!schema_objects().current) return false;
    return !select.run({{pg::int64_datum(job.id()), false}, attempt_of(job), {job.datum(C::sync_job_type), false},
                        {pg::bool_datum(held), false}}).empty();
}

}  // namespace

bool waits_for_setup(const Job& job) { return job.status() == Status::failed && failed_by_known(job, false); }

bool waits_for_change(const Job& job) {
    return job.status() == Status::failed && !job.is_null(C::retry_after) && job.int64(C::retry_after) == at_no_time;
}

bool keep_for_change(const StoredJob& stored) {
    if (!failed_by_known(stored.job, true)) return false;
    Job held = stored.job.copy();
    held.set(C::retry_after, pg::int64_datum(at_no_time));
    store_job({held, stored.partition});
    return true;
}

namespace {

// Removes set-up errors with which no job fails any more. If the failed job is not retried, a job of the type that ends well shows that.
void forget_mended() {
    static auto& remove = *new InternalStatement(
        "DELETE FROM {}.sync_job_setup_error AS s WHERE NOT EXISTS ("
        " SELECT FROM {}.sync_job AS j JOIN {}.sync_job_error AS e"
        "  ON e.sync_job = j.id AND e.attempt = j.retry_count + 1 AND NOT e.counted"
        " WHERE j.sync_job_type = s.sync_job_type AND j.status IN ('Pending', 'Queued', 'Started', 'Failed')"
        "  AND (j.status <> 'Failed' OR j.retry_after IS NOT NULL OR NOT EXISTS ("
        "   SELECT FROM sync_job_internal.last_success AS l WHERE l.sync_job_type = s.sync_job_type AND l.at > e.occurred_at))"
        "  AND e.sqlstate = s.sqlstate AND e.message = s.message)"
        " RETURNING sync_job_type, message",
        std::vector<Oid>{});
    for (const auto& row : remove.run({})) {
        pg::log("no job of sync job type " + quoted(pg::datum_text(row[0].datum)) + " fails any more by: " +
                std::string(pg::datum_text(row[1].datum)));
    }
}

void hold(std::int64_t limit_microseconds) {
    static auto& update = *new InternalStatement(
        "UPDATE {}.sync_job_setup_error SET held_since = clock_timestamp()"
        " WHERE held_since IS NULL AND since < clock_timestamp() - $1 RETURNING sync_job_type, message",
        {pg::type::interval});
    if (limit_microseconds == 0) return;
    for (const auto& row : update.run({{pg::interval_datum(limit_microseconds), false}})) {
        pg::log("sync job type " + quoted(pg::datum_text(row[0].datum)) + " is held: " + std::string(pg::datum_text(row[1].datum)),
                "Its set-up has been broken for longer than sync_job.setup_retry_limit. Jobs that failed by that are not retried.",
                "They go on when the type, or an object that it needs, has been changed.");
    }
}

// Retries one of the jobs held for this error. 0: there is none.
std::int64_t try_one(const pg::Value& type, const pg::Value& sqlstate, const pg::Value& message) {
    static auto& select = *new InternalStatement(
        "SELECT f.id FROM sync_job_internal.sync_job_failed AS f JOIN {}.sync_job_error AS e"
        "  ON e.sync_job = f.id AND e.attempt = f.retry_count + 1 AND NOT e.counted"
        " WHERE f.sync_job_type = $1 AND f.retry_after = 'infinity' AND e.sqlstate = $2 AND e.message = $3 LIMIT 1",
        {pg::type::text, pg::type::text, pg::type::text});
    for (const auto& row : select.run({type, sqlstate, message})) {
        auto stored = lock_job(pg::datum_int64(row[0].datum), false);
        if (!stored || !waits_for_change(stored->job)) continue;
        retry_job(*stored, {}, false);
        return stored->job.id();
    }
    return 0;
}

enum class Trial { none, under_way, failed, passed };

Trial look_at(std::int64_t job) {
    auto stored = job == 0 ? std::nullopt : find_job(job);
    if (!stored) return Trial::none;
    if (stored->partition == Partition::live) return Trial::under_way;
    return waits_for_setup(stored->job) ? Trial::failed : Trial::passed;
}

void release(const pg::Value& type, const pg::Value& message) {
    static auto& update = *new InternalStatement(
        "UPDATE {}.sync_job_setup_error SET held_since = NULL, since = clock_timestamp() WHERE sync_job_type = $1 AND message = $2",
        {pg::type::text, pg::type::text});
    update.run({type, message});
    pg::log("sync job type " + quoted(pg::datum_text(type.datum)) + " goes on: it was held as " + std::string(pg::datum_text(message.datum)));
}

bool resuming = true;  // an earlier scheduler may not have finished

void try_held() {
    struct Trying {
        std::int64_t job = 0;
        std::uint64_t definitions = 0;  // as of that retry
    };
    static auto& held = *new InternalStatement(
        "SELECT sync_job_type, sqlstate, message FROM {}.sync_job_setup_error WHERE held_since IS NOT NULL", std::vector<Oid>{});
    static auto& tries = *new std::map<std::pair<std::string, std::string>, Trying>;
    auto rows = held.run({});
    if (rows.empty()) tries.clear();
    for (const auto& row : rows) {
        Trying& trying = tries[{std::string(pg::datum_text(row[0].datum)), std::string(pg::datum_text(row[2].datum))}];
        Trial trial = look_at(trying.job);
        if (trial == Trial::under_way) continue;
        trying.job = 0;
        if (trial == Trial::passed) {
            release(row[0], row[2]);
            resuming = true;
        } else if (trying.definitions != pg::definition_changes()) {
            std::uint64_t now = pg::definition_changes();
            trying.job = try_one(row[0], row[1], row[2]);
            if (trying.job != 0) trying.definitions = now;  // else no job has reached its retry yet, at which it would be held
        }
    }
}

}  // namespace

void tend_setups(std::int64_t limit_microseconds) {
    static auto& any = *new InternalStatement("SELECT FROM {}.sync_job_setup_error LIMIT 1", std::vector<Oid>{});
    if (any.run({}).empty()) return;
    forget_mended();
    hold(limit_microseconds);
    try_held();
}

bool resume_released() {
    static auto& select = *new InternalStatement(
        "SELECT f.id FROM sync_job_internal.sync_job_failed AS f WHERE f.retry_after = 'infinity' AND NOT EXISTS ("
        " SELECT FROM {}.sync_job_error AS e JOIN {}.sync_job_setup_error AS s"
        "  ON s.sync_job_type = f.sync_job_type AND s.sqlstate = e.sqlstate AND s.message = e.message AND s.held_since IS NOT NULL"
        "  WHERE e.sync_job = f.id AND e.attempt = f.retry_count + 1 AND NOT e.counted)"
        " LIMIT 500 FOR UPDATE OF f SKIP LOCKED",
        std::vector<Oid>{});
    static auto& set_aside = *new SetAside("retried");
    if (!resuming) return false;
    std::vector<std::int64_t> jobs;
    for (const auto& row : select.run({})) jobs.push_back(pg::datum_int64(row[0].datum));
    int resumed = set_aside.for_each(jobs, [&](std::size_t i) {
        auto stored = lock_job(jobs[i], false);
        if (!stored || !waits_for_change(stored->job)) return false;
        retry_job(*stored, {}, false);
        return true;
    });
    resuming = resumed > 0;
    return resuming;
}

}  // namespace sync_job
