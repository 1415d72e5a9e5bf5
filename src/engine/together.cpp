#include "engine/together.hpp"

#include <algorithm>
#include <unordered_set>

#include "core/claim_position.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/document_batch.hpp"
#include "engine/set_sync.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "shared/document_locks.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr std::size_t most_together = 10000;
// The time limit for running all of them as one set; after that they run one by one.
constexpr std::int64_t set_microseconds = 60'000'000;

// The jobs that are due now, in claim order.
std::vector<std::int64_t> due_jobs(const std::string& type, const std::string& queue, Oid run_as, TogetherRound& round) {
    using Op = pg::ScanCondition::Operator;
    std::vector<std::pair<ClaimPosition, std::int64_t>> found;
    {
        pg::Table live(schema_objects().live, pg::TableLock::read);
        pg::IndexScan scan(live, schema_objects().live_source, {{1, Op::equal_text, pg::text_datum(type)}}, std::nullopt);
        while (found.size() < most_together) {
            auto place = scan.next();
            if (!place) break;
            auto column = [&](C c) {
                pg::Value value;
                value.datum = scan.column(static_cast<int>(c), &value.null);
                return value;
            };
            std::string_view status = pg::datum_text(column(C::status).datum);
            round.some_elsewhere = round.some_elsewhere || status == to_text(Status::started);
            pg::Value held = column(C::held);
            bool ours = status == to_text(Status::queued) && (held.null || !pg::datum_bool(held.datum)) &&
                        pg::datum_text(column(C::queue).datum) == queue && pg::datum_oid(column(C::run_as).datum) == run_as;
            pg::Value scheduled_at = column(C::scheduled_at);
            if (!ours || (!scheduled_at.null && pg::datum_int64(scheduled_at.datum) > pg::now())) continue;
            std::int64_t id = pg::datum_int64(column(C::id).datum);
            found.push_back({{pg::datum_int32(column(C::priority).datum), id}, id});
        }
    }
    std::sort(found.begin(), found.end());
    std::vector<std::int64_t> ids;
    for (const auto& [position, id] : found) ids.push_back(id);
    return ids;
}

// Also in claim order. There is no index of a type's sets, so it reads everything that waits for the role.
std::vector<std::int64_t> due_sets(const std::string& type, const std::string& queue, Oid run_as) {
    using Op = pg::ScanCondition::Operator;
    std::vector<std::int64_t> ids;
    pg::Table live(schema_objects().live, pg::TableLock::read);
    pg::IndexScan scan(live, schema_objects().live_claim, {{1, Op::equal_text, pg::text_datum(queue)}, {2, Op::equal_oid, pg::oid_datum(run_as)}},
                       std::nullopt);
    while (scan.next()) {
        bool is_null = false;
        scan.column(static_cast<int>(C::documents), &is_null);
        if (is_null) continue;
        if (pg::datum_text(scan.column(static_cast<int>(C::sync_job_type), &is_null)) != type) continue;
        ids.push_back(pg::datum_int64(scan.column(static_cast<int>(C::id), &is_null)));
    }
    return ids;
}

// Locks the jobs; only the first of each document, because the others have to come after it.
std::vector<Job> take(const std::vector<std::int64_t>& ids, std::unordered_set<std::uint64_t>& documents, TogetherRound& round) {
    std::vector<Job> jobs;
    for (std::int64_t id : ids) {
        bool busy = false;
        auto stored = lock_job(id, false, &busy);
        round.some_elsewhere = round.some_elsewhere || busy;
        if (busy || !stored || stored->job.status() != Status::queued || !is_batchable(stored->job)) continue;
        std::uint64_t document = document_key(stored->job);
        if (document != 0 && !documents.insert(document).second) continue;
        if (is_document_in_progress(document) || waits_for_children(stored->job)) {
            round.some_elsewhere = true;
            continue;
        }
        jobs.push_back(stored->job);
        round.taken.push_back(id);
    }
    return jobs;
}

// Runs the documents of sets that are not in progress elsewhere and that no job before them has; the others stay in their sets.
void run_sets(const std::vector<std::int64_t>& ids, std::unordered_set<std::uint64_t>& documents, TogetherRound& round) {
    for (std::int64_t id : ids) {
        if (documents.size() >= most_together) return;
        bool busy = false;
        auto stored = lock_job(id, false, &busy);
        round.some_elsewhere = round.some_elsewhere || busy;
        if (busy || !stored || stored->job.status() != Status::queued || !is_set(stored->job)) continue;
        std::vector<std::string> names = pg::datum_text_array(stored->job.datum(C::source_documents));
        std::vector<std::uint64_t> keys = document_keys(stored->job);
        SetProgress set{as_started(stored->job), {}};
        std::vector<std::string> free;
        for (std::size_t i = 0; i < names.size(); i++) {
            bool elsewhere = is_document_in_progress(keys[i]);
            round.some_elsewhere = round.some_elsewhere || elsewhere;
            (!elsewhere && documents.insert(keys[i]).second ? free : set.done.left).push_back(names[i]);
        }
        StatementSize size;
        std::vector<std::string> left = std::move(set.done.left);
        set.done = run_documents(set.job, free, {{set_microseconds, true, false, true}}, size);
        set.done.left.insert(set.done.left.end(), left.begin(), left.end());
        round.sets.push_back(std::move(set));
    }
}

// Runs them as a set, if possible: one statement sees the keys and parents of all of them. Returns the jobs that are left.
std::vector<Job> run_as_set(const std::vector<Job>& jobs, TogetherRound& round) {
    if (jobs.size() < 2 || !std::all_of(jobs.begin(), jobs.end(), suits_set)) return jobs;
    try {
        LastSet last;
        auto results = sync_set(jobs, last, set_microseconds);
        pg::command_counter_increment();
        std::vector<Job> left;
        for (std::size_t i = 0; i < jobs.size(); i++) {
            if (results[i]) {
                round.outcomes.push_back(std::move(*results[i]));
            } else {
                left.push_back(jobs[i]);
            }
        }
        return left;
    } catch (const pg::Error&) {
        return jobs;  // running them one by one shows whose fault it is
    }
}

// Alternates between the two directions, so that a chain takes two passes whichever way it runs.
void run_one_by_one(std::vector<Job> jobs, TogetherRound& round) {
    bool any_ended = true;
    while (any_ended && !jobs.empty()) {
        any_ended = false;
        std::vector<Job> left;
        for (const Job& job : jobs) {
            Outcome outcome = attempt(job, {0, true, false, true});
            pg::command_counter_increment();
            if (outcome.verdict == Verdict::run_together) {
                left.push_back(job);
                continue;
            }
            any_ended = any_ended || outcome.verdict == Verdict::ended;
            round.outcomes.push_back(std::move(outcome));
        }
        std::reverse(left.begin(), left.end());
        jobs = std::move(left);
    }
    for (const Job& job : jobs) round.left.push_back(job.id());
}

}  // namespace

bool depends_on_other_documents(std::string_view sqlstate) {
    return sqlstate == "23503" || sqlstate == "23505" || sqlstate == "23P01";
}

bool may_help_together(std::string_view sqlstate) { return depends_on_other_documents(sqlstate) || is_repeatable(sqlstate); }

void run_together(const std::string& type, const std::string& queue, Oid run_as, TogetherRound& round) {
    std::unordered_set<std::uint64_t> documents;
    std::vector<Job> jobs = take(due_jobs(type, queue, run_as, round), documents, round);
    pg::defer_constraints();
    run_sets(due_sets(type, queue, run_as), documents, round);
    run_one_by_one(run_as_set(jobs, round), round);
    pg::Subtransaction subtransaction;
    pg::fire_deferred_triggers();
    subtransaction.commit();
}

}  // namespace sync_job
