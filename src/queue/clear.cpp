#include "queue/clear.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "queue/task.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using Ids = std::vector<std::int64_t>;
using Statement = InternalStatement;

pg::Value int64(std::int64_t value) { return {pg::int64_datum(value), false}; }

// The tables are read by id, some rows at a time. So rows that were cleared before, but cannot be vacuumed yet because of an old
// snapshot, are not read again, and of the rows that are not old enough only a few are read.
enum class Log { ended, failed, deleted_documents, events };
constexpr int log_count = 4;

struct Step {
    std::int64_t cleared = 0;
    int seen = 0;              // rows
    bool old = false;          // some of them were old enough
    bool stuck = false;        // a user's trigger or the like keeps them all
};

// --- Jobs ---

const char* table_of(Log log) { return log == Log::failed ? "sync_job_internal.sync_job_failed" : "sync_job_internal.sync_job_ended"; }

// Whether job j is a dry run that can still be applied. Once a later job has ended for its document, alone or as one of many, the dry
// run has been applied, or is out of date.
constexpr const char* may_be_applied =
    "(j.dry_run AND j.status = 'Finished' AND j.operation IN ('Insert', 'Update', 'Delete')"
    " AND NOT EXISTS (SELECT FROM sync_job_internal.sync_job_ended AS later WHERE later.source_document_name = j.source_document_name"
    "  AND later.sync_job_type = j.sync_job_type AND later.id > j.id AND later.status IN ('Finished', 'Skipped'))"
    " AND NOT EXISTS (SELECT FROM {}.sync_job_document AS d JOIN sync_job_internal.sync_job_ended AS later ON later.id = d.sync_job"
    "  WHERE d.source_document_name = j.source_document_name AND later.sync_job_type = j.sync_job_type AND later.id > j.id))";

// The next jobs: the id, whether to delete it, whether it may have documents.
Statement& next_jobs(Log log, bool current) {
    static const auto make = [](Log of, bool knows_documents) {
        std::string needed = "EXISTS (SELECT FROM sync_job_internal.dependency AS d WHERE d.waits_for = j.id) OR j.id = ANY ($5)";
        if (of == Log::ended && knows_documents) needed += std::string(" OR ") + may_be_applied;
        return new Statement("SELECT j.id, j.ended_at < $1 AND NOT ($4 AND (" + needed + "))" +
                                 (of == Log::failed ? " AND j.retry_after IS NULL, " : ", ") + (knows_documents ? may_have_documents : "false") +
                                 " FROM " + table_of(of) + " AS j WHERE j.id > $2 ORDER BY j.id LIMIT $3",
                             {pg::type::timestamptz, pg::type::int8, pg::type::int4, pg::type::boolean, pg::type::int8_array});
    };
    static auto &ended = *make(Log::ended, true), &failed = *make(Log::failed, true);
    static auto &ended_of_0_1_0 = *make(Log::ended, false), &failed_of_0_1_0 = *make(Log::failed, false);
    if (log == Log::failed) return current ? failed : failed_of_0_1_0;
    return current ? ended : ended_of_0_1_0;
}

Statement& remove_statement(Log log) {
    static const auto make = [](Log of) {
        return new Statement(std::string("WITH mine AS (SELECT id FROM ") + table_of(of) + " WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED)," +
                                 " gone AS (DELETE FROM " + table_of(of) + " WHERE id IN (SELECT id FROM mine) RETURNING id)," +
                                 " errors AS (DELETE FROM {}.sync_job_error AS e USING gone WHERE e.sync_job = gone.id)"
                                 " SELECT count(*) FROM gone", {pg::type::int8_array});
    };
    static auto &ended = *make(Log::ended), &failed = *make(Log::failed);
    return log == Log::failed ? failed : ended;
}

std::int64_t remove_jobs(Log log, const Ids& ids) {
    pg::Subtransaction subtransaction;
    std::int64_t count = pg::datum_int64(remove_statement(log).run({{pg::int64_array_datum(ids), false}})[0][0].datum);
    subtransaction.commit();
    return count;
}

// Deletes all at once; or one by one if something of a user's, such as a trigger, prevents that: a job that cannot be deleted stays. If
// that is so for the first few, it is assumed for all.
void remove_jobs(Log log, const Ids& ids, KeptJobs& kept, Step& step) {
    constexpr std::int64_t most_tried = 10;
    if (ids.empty()) return;
    try {
        step.cleared += remove_jobs(log, ids);
        return;
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    std::int64_t failures = 0, before = step.cleared;
    for (std::int64_t id : ids) {
        try {
            step.cleared += remove_jobs(log, {id});
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            if (kept.count++ == 0) kept.reason = error.report().message;
            step.stuck = ++failures == most_tried && step.cleared == before;
            if (step.stuck) return;
        }
    }
}

// Deletes the records of a job's documents, before the job itself: all, or at most `left`. False: there may be more.
bool remove_documents(std::int64_t id, bool all, int& left) {
    static auto& remove = *new Statement(
        "WITH gone AS (DELETE FROM {}.sync_job_document WHERE ctid = ANY (ARRAY(SELECT ctid FROM {}.sync_job_document WHERE sync_job = $1"
        " LIMIT $2)) RETURNING 1) SELECT count(*)::int4 FROM gone", {pg::type::int8, pg::type::int4});
    for (;;) {
        int most = left, gone = pg::datum_int32(remove.run({int64(id), {pg::int32_datum(most), false}})[0][0].datum);
        if (!all) left -= gone;
        if (gone < most) return true;
        if (!all) return false;
    }
}

// `position`: the last job that has been handled. A request in parts ends after as many documents as it allows.
Step clear_jobs_after(Log log, std::int64_t& position, int most, const ClearRequest& request, KeptJobs& kept) {
    Step step;
    Ids ids;
    int documents_left = request.documents_at_a_time;
    pg::Value keep{pg::bool_datum(request.needed == Needed::stay), false}, replayed{pg::int64_array_datum(request.replayed), false};
    std::int64_t last = position;
    for (const auto& row :
         next_jobs(log, schema_objects().current).run({int64(request.before), int64(position), {pg::int32_datum(most), false}, keep, replayed})) {
        std::int64_t id = pg::datum_int64(row[0].datum);
        bool old = !row[1].null && pg::datum_bool(row[1].datum), has_documents = pg::datum_bool(row[2].datum);
        step.seen++;
        step.old = step.old || old;
        if (old && has_documents && !remove_documents(id, !request.in_parts, documents_left)) {
            step.seen = most;  // there is more
            break;
        }
        if (old) ids.push_back(id);
        last = id;
    }
    remove_jobs(log, ids, kept, step);
    position = last;
    return step;
}

// --- Kept rows, events ---

Statement& log_statement(Log log) {
    static const auto make = [](const std::string& table, const std::string& time, const std::string& condition) {
        return new Statement(
            "WITH next AS (SELECT d.id, d." + time + " < $1" + condition + " AS old FROM {}." + table + " AS d WHERE d.id > $2 ORDER BY d.id LIMIT $3),"
                " mine AS (SELECT d.id FROM {}." + table + " AS d WHERE d.id IN (SELECT id FROM next WHERE old) FOR UPDATE SKIP LOCKED),"
                " gone AS (DELETE FROM {}." + table + " WHERE id IN (SELECT id FROM mine) RETURNING 1)"
                " SELECT max(id), count(*)::int4, coalesce(bool_or(old), false), (SELECT count(*) FROM gone) FROM next",
            {pg::type::timestamptz, pg::type::int8, pg::type::int4});
    };
    static auto& documents = *make("sync_job_deleted_document", "deleted_at",
                                   " AND NOT EXISTS (SELECT FROM {}.sync_job AS j WHERE j.source_document_name = d.document_name"
                                   " AND j.source_document_type = d.document_type AND j.status IN ('Pending', 'Queued', 'Started', 'Failed'))");
    static auto& events = *make("sync_job_event", "created_at", "");
    return log == Log::events ? events : documents;
}

Step clear_log_after(Log log, std::int64_t& position, int most, const ClearRequest& request) {
    auto row = log_statement(log).run({int64(request.before), int64(position), {pg::int32_datum(most), false}})[0];
    if (!row[0].null) position = pg::datum_int64(row[0].datum);
    return {pg::datum_int64(row[3].datum), pg::datum_int32(row[1].datum), pg::datum_bool(row[2].datum), false};
}

Step clear_after(Log log, std::int64_t& position, int most, const ClearRequest& request, KeptJobs& kept) {
    bool of_jobs = log == Log::ended || log == Log::failed;
    return of_jobs ? clear_jobs_after(log, position, most, request, kept) : clear_log_after(log, position, most, request);
}

// The newest changes of an existing type are kept, however old they are.
void clear_type_changes(pg::Timestamp before) {
    static auto& remove = *new Statement(
        "DELETE FROM {}.sync_job_type_change WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM"
        " (SELECT ctid, sync_job_type, changed_at, row_number() OVER (PARTITION BY sync_job_type ORDER BY changed_at DESC) AS place"
        "  FROM {}.sync_job_type_change) AS c WHERE c.changed_at < $1"
        " AND (c.place > 100 OR NOT EXISTS (SELECT FROM {}.sync_job_type AS t WHERE t.name = c.sync_job_type)) LIMIT 10000))",
        {pg::type::timestamptz});
    if (schema_objects().current) remove.run({int64(before)});
}

void require_may_delete() {
    const SchemaObjects& o = schema_objects();
    Oid event_table = pg::relation_oid(o.schema_oid, "sync_job_event");
    for (Oid table : {o.ended, o.failed, o.error_table, o.deleted_table, event_table}) require_not_referred_to(table);
    if (o.current) require_not_referred_to(o.document_table);
}

}  // namespace

std::int64_t clear_jobs(pg::Timestamp before, int most, KeptJobs& kept) {
    constexpr int at_a_time = 1000;
    require_may_delete();
    ClearRequest request{before, Needed::go, {}, false, 10000};
    std::int64_t jobs = 0;
    for (Log log : {Log::ended, Log::failed, Log::deleted_documents, Log::events}) {
        bool of_jobs = log == Log::ended || log == Log::failed;
        std::int64_t cleared = of_jobs ? jobs : 0, position = 0;
        while (cleared < most) {
            int window = static_cast<int>(std::min<std::int64_t>(at_a_time, most - cleared));
            Step step = clear_after(log, position, window, request, kept);
            cleared += step.cleared;
            if (step.seen < window || step.stuck) break;
            pg::command_counter_increment();
        }
        if (of_jobs) jobs = cleared;
    }
    clear_type_changes(before);
    return jobs;
}

namespace {

bool may_clear() {
    static auto& select = *new InternalStatement(
        "SELECT coalesce((SELECT bool_and(clears_jobs) FROM sync_job_internal.home), false)"
        " OR EXISTS (SELECT FROM pg_settings WHERE name = 'sync_job.log_retention_days' AND source <> 'default')",
        std::vector<Oid>{});
    return pg::datum_bool(select.run({})[0][0].datum);
}

// One pass from the first row of each log to where nothing is old, in as many calls as it takes.
struct Pass {
    int log = 0;
    std::int64_t position = 0;
    int young = 0;  // windows in a row without anything old

    void next_log() { *this = {log + 1, 0, 0}; }
};

using Clock = std::chrono::steady_clock;

// The jobs that waiting jobs will apply or revert, and the jobs that these led to. The queue may be long, and a pass takes many calls.
// So the whole queue is read once a minute, and what has been added since at the start of each pass and once a second.
class Replayed {
public:
    const Ids& ids(bool pass_begins) {
        auto now = Clock::now();
        if (!schema_objects().current) return ids_;  // 0.1.0 has no such jobs
        if (!pass_begins && now - looked_ < std::chrono::seconds(1)) return ids_;
        if (seen_ == 0 || now - looked_at_all_ > std::chrono::minutes(1)) {
            ids_.clear();
            seen_ = 0;
            looked_at_all_ = now;
        }
        looked_ = now;
        look();
        return ids_;
    }

private:
    void look() {
        constexpr std::int64_t in_flight = 10000;  // jobs with a lower id may become visible later
        static auto& select = *new InternalStatement(
            "WITH RECURSIVE waiting AS (SELECT j.id, j.operation, j.context FROM sync_job_internal.sync_job_live AS j WHERE j.id > $1),"
            " replayed (id) AS (SELECT e.value::int8 FROM waiting AS j, unnest('{reverts,applies}'::text[]) AS k (name) CROSS JOIN LATERAL"
            "  jsonb_array_elements_text(CASE jsonb_typeof(j.context -> k.name) WHEN 'array' THEN j.context -> k.name END) AS e"
            "  WHERE j.operation IN ('Revert', 'Apply') AND e.value ~ '^[0-9]{1,18}$'"
            " UNION SELECT j.id FROM replayed AS r JOIN {}.sync_job AS j ON j.parent_sync_job = r.id AND j.relation IN ('relay', 'set'))"
            " SELECT array(SELECT id FROM replayed), (SELECT max(id) FROM sync_job_internal.sync_job_live)", {pg::type::int8});
        auto row = select.run({int64(seen_)})[0];
        for (std::int64_t id : pg::datum_int64_array(row[0].datum)) ids_.push_back(id);
        std::sort(ids_.begin(), ids_.end());  // the latest jobs are read again
        ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
        if (!row[1].null) seen_ = std::max(seen_, pg::datum_int64(row[1].datum) - in_flight);
    }

    Ids ids_;
    std::int64_t seen_ = 0;
    Clock::time_point looked_, looked_at_all_;
};

}  // namespace

bool clear_by_retention() {
    constexpr auto most_time = std::chrono::milliseconds(30);  // the scheduler has other things to do
    constexpr int at_a_time = 250, most_young = 8;
    constexpr std::int64_t day = 86400LL * 1000000;
    static Pass& pass = *new Pass;
    static auto& kept = *new KeptJobs;  // of this pass
    static auto& replayed = *new Replayed;
    static pg::Timestamp said = 0;      // each pass finds the same jobs again
    if (settings.log_retention_days < 0 || !may_clear()) return false;
    require_may_delete();
    auto began = Clock::now();
    const Ids& stay = replayed.ids(pass.log == 0 && pass.position == 0);
    ClearRequest request{pg::now() - settings.log_retention_days * day, Needed::stay, stay, true, 1000};
    while (pass.log < log_count) {
        Step step = clear_after(static_cast<Log>(pass.log), pass.position, at_a_time, request, kept);
        pass.young = step.old ? 0 : pass.young + 1;
        if (step.seen < at_a_time || step.stuck || pass.young >= most_young) pass.next_log();
        if (Clock::now() - began > most_time && pass.log < log_count) return true;
        pg::command_counter_increment();
    }
    clear_type_changes(request.before);
    if (kept.count > 0 && pg::now() - said > day) {
        said = pg::now();
        pg::log(kept.message(), kept.detail());
    }
    pass = {};
    kept = {};
    return false;
}

}  // namespace sync_job
