#include "queue/dependencies.hpp"

#include <optional>
#include <unordered_map>

#include "controller/background_call.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "queue/enqueue.hpp"
#include "queue/events.hpp"
#include "queue/outcome.hpp"
#include "queue/rights.hpp"
#include "queue/set_aside.hpp"
#include "queue/task.hpp"
#include "queue/transition.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

bool failed_for_good(const Job& job) { return job.status() == Status::failed && job.is_null(C::retry_after); }

pg::Value json_column(const Job& job, C column) { return {job.datum(column), job.is_null(column)}; }

pg::Value error_json(const pg::ErrorReport& report) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("sqlstate", report.sqlstate);
    json.field("message", report.message);
    json.field("detail", report.detail);
    json.field("hint", report.hint);
    json.field("context", report.context);
    json.end_object();
    return {json.finish(), false};
}

void enqueue_callback(const Outcome& outcome, const std::string& procedure) {
    const Job& job = outcome.job;
    pg::Value id{pg::json_from_text(std::to_string(job.id())), false};
    pg::Value error = outcome.error == nullptr ? pg::Value{} : error_json(*outcome.error);
    EnqueueRequest request;
    request.sync_job_type = background_type_name;
    request.procedure = procedure;
    request.context = callback_args(procedure, {{"sync_job", id},
                                                {"args", json_column(job, C::context)},
                                                {"result", json_column(job, C::result)},
                                                {"error", error}});
    request.parent_sync_job = job.id();
    request.relation = relation::callback;
    if (!job.is_null(C::traceparent)) request.traceparent = std::string(job.text(C::traceparent));
    request.queue = std::string(job.text(C::queue));
    request.max_retries = job.int32(C::max_retries);
    request.title = procedure;
    // The scheduler also records jobs that a crash ended, and runs as a superuser: its role is not the job's.
    request.run_as = job.oid(C::run_as);
    request.owner = job.oid(C::owner);
    enqueue(request);
}

}  // namespace

void wait_for_jobs(std::int64_t job, const std::vector<std::int64_t>& others) {
    static auto& insert = *new InternalStatement(
        "INSERT INTO sync_job_internal.dependency (job, waits_for) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        {pg::type::int8, pg::type::int8});
    for (std::int64_t other : others) {
        if (other == job) throw pg::Error("22023", "sync job " + std::to_string(other) + " cannot wait for itself");
        auto stored = find_job(other);
        if (!stored) {  // after => array_agg(enqueue_background_job(…)): this statement inserted it
            pg::command_counter_increment();
            stored = find_job(other);
        }
        if (!stored || !may_know(stored->job)) {
            throw pg::Error("42704", "sync job " + std::to_string(other) + " to wait for does not exist")
                .hint("Or it belongs to another role.");
        }
        insert.run({{pg::int64_datum(job), false}, {pg::int64_datum(other), false}});
    }
    wake_for_dependencies_at_commit();
}

void follow_up(const Outcome& outcome) {
    const Job& job = outcome.job;
    bool failed = failed_for_good(job);
    if (job.status() == Status::failed && !failed) {  // it will be retried
        if (outcome.news) publish_end(job);           // it may keep failing for ever
        return;
    }
    C column = failed ? C::on_failure : C::on_success;
    bool well = job.status() == Status::finished || job.status() == Status::skipped;
    if (!job.is_null(column) && (failed || well)) {
        try {
            pg::Subtransaction subtransaction;
            enqueue_callback(outcome, std::string(job.text(column)));
            subtransaction.commit();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;  // not the callback's fault: it could be enqueued later
            pg::warning("callback " + std::string(job.text(column)) + " of sync " + describe(job) +
                        " could not be enqueued: " + error.report().message);
        }
    }
    publish_end(job);
}

namespace {

// Starts or cancels the job, because those that it waited for have ended. False if it is locked.
bool release(std::int64_t id, std::optional<std::int64_t> culprit) {
    static auto& remove =
        *new InternalStatement("DELETE FROM sync_job_internal.dependency WHERE job = $1", {pg::type::int8});
    bool busy = false;
    auto stored = lock_job(id, false, &busy);
    if (busy) return false;  // somebody starts or cancels it by hand, and may roll back
    if (stored && stored->job.status() == Status::pending) {
        if (culprit && stored->job.text(C::after_failure) == "cancel") {
            cancel_job(*stored, "sync job " + std::to_string(*culprit) + ", which it waited for, failed or was canceled");
        } else {
            start_job(*stored);
        }
    }
    remove.run({{pg::int64_datum(id), false}});
    pg::command_counter_increment();
    return true;
}

}  // namespace

namespace {

struct Dependent {
    std::int64_t job;
    std::vector<std::int64_t> waits_for;
};

constexpr int most_looked_at = 500;

void add_dependents(InternalStatement& select, const std::vector<pg::Value>& arguments, std::vector<Dependent>& dependents) {
    for (const auto& row : select.run(arguments)) {
        std::int64_t job = pg::datum_int64(row[0].datum);
        if (dependents.empty() || dependents.back().job != job) dependents.push_back({job, {}});
        dependents.back().waits_for.push_back(pg::datum_int64(row[1].datum));
    }
}

// The next waiting jobs, each with all jobs that it waits for; `more`: they are not the last.
std::vector<Dependent> dependents_after(std::int64_t after, bool* more) {
    static auto& some = *new InternalStatement(
        "SELECT job, waits_for FROM sync_job_internal.dependency WHERE job > $1 ORDER BY job, waits_for LIMIT $2",
        {pg::type::int8, pg::type::int4});
    static auto& of_job = *new InternalStatement(
        "SELECT job, waits_for FROM sync_job_internal.dependency WHERE job = $1", {pg::type::int8});
    std::vector<Dependent> found;
    add_dependents(some, {{pg::int64_datum(after), false}, {pg::int32_datum(most_looked_at), false}}, found);
    std::size_t rows = 0;
    for (const Dependent& dependent : found) rows += dependent.waits_for.size();
    *more = rows == most_looked_at;
    if (!*more) return found;
    std::int64_t last = found.back().job;  // it may be incomplete
    found.pop_back();
    if (found.empty()) add_dependents(of_job, {{pg::int64_datum(last), false}}, found);
    return found;
}

Ended by_itself(const Job& job) {
    Status status = job.status();
    if (status == Status::failed) return failed_for_good(job) ? Ended::badly : Ended::no;
    if (!has_ended(status)) return Ended::no;
    return status == Status::canceled ? Ended::badly : Ended::well;
}

// Looks them up in the indexes, one by one: a plan for all of them, made while few jobs wait, would read whole tables once many do.
Ended has_ended_by_id(std::int64_t id) {
    auto stored = find_job(id);
    return stored ? how_ended(stored->job) : Ended::well;  // cleared away
}

}  // namespace

Ended how_ended(const Job& job) {
    Ended ended = by_itself(job);
    if (ended == Ended::no || (job.is_null(C::documents) && !task_of(job))) return ended;
    for (std::int64_t child : children_of(job.id())) {
        auto stored = find_job(child);
        if (!stored || stored->job.text(C::relation) != relation::set) continue;
        Ended of_child = by_itself(stored->job);
        if (of_child == Ended::no) return Ended::no;
        if (of_child == Ended::badly) ended = Ended::badly;
    }
    return ended;
}

Release release_waiting_jobs(std::int64_t after) {
    static auto& left = *new InternalStatement("SELECT FROM sync_job_internal.dependency LIMIT 1", std::vector<Oid>{});
    static auto& set_aside = *new SetAside("let go after those that it waited for");
    std::unordered_map<std::int64_t, Ended> known;  // many may wait for the same job
    std::vector<std::int64_t> jobs;
    std::vector<std::optional<std::int64_t>> culprits;
    Release result;
    bool more = false;
    for (const Dependent& dependent : dependents_after(after, &more)) {
        if (more) result.seen_up_to = dependent.job;
        if (set_aside.has(dependent.job)) continue;
        bool waits = false;
        std::optional<std::int64_t> culprit;
        for (std::int64_t other : dependent.waits_for) {
            auto [entry, is_new] = known.try_emplace(other, Ended::no);
            if (is_new) entry->second = has_ended_by_id(other);
            waits = entry->second == Ended::no;
            if (waits) break;
            if (entry->second == Ended::badly && (!culprit || other < *culprit)) culprit = other;
        }
        if (waits) continue;
        jobs.push_back(dependent.job);
        culprits.push_back(culprit);
    }
    result.released = set_aside.for_each(jobs, [&](std::size_t i) { return release(jobs[i], culprits[i]); });
    result.some_wait = !left.run({}).empty();
    return result;
}

bool waits_for(std::int64_t job, std::int64_t other) {
    static auto& select = *new InternalStatement(
        "WITH RECURSIVE way (job) AS (SELECT waits_for FROM sync_job_internal.dependency WHERE job = $1"
        " UNION SELECT d.waits_for FROM sync_job_internal.dependency AS d JOIN way AS w ON d.job = w.job)"
        " SELECT FROM way WHERE job = $2",
        {pg::type::int8, pg::type::int8});
    return !select.run({{pg::int64_datum(job), false}, {pg::int64_datum(other), false}}).empty();
}

}  // namespace sync_job
