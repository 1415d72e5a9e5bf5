#include "worker/alerts.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/settings.hpp"
#include "pg/xact.hpp"
#include "queue/enqueue.hpp"
#include "queue/events.hpp"
#include "shared/metrics.hpp"

namespace sync_job {

namespace {

using Row = InternalStatement::Row;

// How many jobs of one type wait, or have failed, in one queue.
struct Counts {
    std::string type, queue;
    std::int64_t waiting = 0, failed = 0;
    std::optional<pg::Timestamp> oldest;  // the oldest change that is not in sync yet
};

// The jobs that alerts themselves enqueue are not counted.
std::vector<Counts> count_jobs() {
    static auto& live = *new InternalStatement(
        "SELECT sync_job_type, queue, count(*) FILTER (WHERE status = 'Queued'), 0::bigint, min(since) FILTER (WHERE NOT dry_run)"
        " FROM sync_job_internal.sync_job_live CROSS JOIN LATERAL (SELECT coalesce(scheduled_at, created_at) AS since) AS s"
        " WHERE status <> 'Pending' AND queue <> 'alert' AND since <= clock_timestamp() GROUP BY sync_job_type, queue",
        std::vector<Oid>{});
    static auto& failed = *new InternalStatement(
        "SELECT f.sync_job_type, f.queue, 0::bigint, count(*) FILTER (WHERE f.retry_after IS NULL OR s.sync_job_type IS NOT NULL),"
        " min(f.created_at) FILTER (WHERE f.retry_after IS NOT NULL AND NOT f.dry_run)"
        " FROM sync_job_internal.sync_job_failed AS f"
        " LEFT JOIN (SELECT DISTINCT sync_job_type FROM {}.sync_job_setup_error) AS s ON s.sync_job_type = f.sync_job_type"
        " WHERE f.queue <> 'alert' GROUP BY f.sync_job_type, f.queue",
        std::vector<Oid>{});
    // Jobs that are being retried while the set-up is broken count as failed, too.
    static auto& tried_again = *new InternalStatement(
        "SELECT j.sync_job_type, j.queue, 0::bigint, count(DISTINCT j.id), NULL::timestamptz FROM {}.sync_job_setup_error AS s"
        " JOIN sync_job_internal.sync_job_live AS j ON j.sync_job_type = s.sync_job_type"
        " JOIN {}.sync_job_error AS e ON e.sync_job = j.id AND e.attempt = j.retry_count + 1 AND NOT e.counted AND e.sqlstate = s.sqlstate"
        "  AND e.message = s.message WHERE j.status <> 'Pending' AND j.queue <> 'alert' GROUP BY j.sync_job_type, j.queue",
        std::vector<Oid>{});
    std::vector<Counts> all;
    for (InternalStatement* statement : {&live, &failed, &tried_again}) {
        for (const Row& row : statement->run({})) {
            Counts counts{text_of(row[0]), text_of(row[1]), pg::datum_int64(row[2].datum), pg::datum_int64(row[3].datum), {}};
            if (!row[4].null) counts.oldest = pg::datum_int64(row[4].datum);
            all.push_back(std::move(counts));
        }
    }
    return all;
}

// Looks at what has ended since the last call, plus some time for transactions that were in progress then. The table has what ended
// earlier.
void note_successes() {
    static auto& upsert = *new InternalStatement(
        "INSERT INTO sync_job_internal.last_success AS s (sync_job_type, at)"
        " SELECT sync_job_type, max(ended_at) FROM sync_job_internal.sync_job_ended"
        " WHERE ended_at > $1 AND status <> 'Canceled' AND NOT dry_run GROUP BY sync_job_type"
        " ON CONFLICT (sync_job_type) DO UPDATE SET at = excluded.at WHERE s.at < excluded.at",
        {pg::type::timestamptz});
    static auto& compared = *new InternalStatement(
        "UPDATE sync_job_internal.last_success AS s SET compared_at = c.ended_at, out_of_step = (c.result->>'out_of_step')::bigint"
        " FROM (SELECT DISTINCT ON (sync_job_type) sync_job_type, ended_at, result FROM sync_job_internal.sync_job_ended"
        "  WHERE ended_at > $1 AND status = 'Finished' AND operation = 'Compare' AND context->>'condition' IS NULL"
        "  ORDER BY sync_job_type, ended_at DESC) AS c"
        " WHERE s.sync_job_type = c.sync_job_type AND (s.compared_at IS NULL OR s.compared_at < c.ended_at)",
        {pg::type::timestamptz});
    constexpr std::int64_t minute = 60 * 1000000LL;
    static pg::Timestamp looked = 0;
    pg::Timestamp now = pg::now();
    // A parameter: with clock_timestamp() instead, no index would be used, and each look would read the whole history.
    pg::Value since{pg::int64_datum(looked == 0 ? now - 60 * minute : looked - 2 * minute), false};
    upsert.run({since});
    compared.run({since});
    looked = now;
}

struct Last {
    pg::Timestamp success = 0;
    std::int64_t out_of_step = 0;  // according to the last comparison of the whole type
};

std::map<std::string, Last> last_of_types() {
    static auto& select = *new InternalStatement(
        "SELECT s.sync_job_type, s.at, CASE WHEN t.name IS NULL THEN 0 ELSE coalesce(s.out_of_step, 0) END"
        " FROM sync_job_internal.last_success AS s LEFT JOIN {}.sync_job_type AS t ON t.name = s.sync_job_type", std::vector<Oid>{});
    std::map<std::string, Last> all;
    for (const Row& row : select.run({})) all[text_of(row[0])] = {pg::datum_int64(row[1].datum), pg::datum_int64(row[2].datum)};
    return all;
}

struct Alert {
    std::string name, type, queue, measure, threshold, procedure;  // type, queue: empty for all
    std::int64_t hold = 0;
    Oid owner = 0;
    bool firing = false;
};

std::vector<Alert> read_alerts() {
    static auto& select = *new InternalStatement(
        "SELECT name, sync_job_type, queue, measure, threshold, hold, procedure, owner, state = 'firing' FROM {}.sync_job_alert",
        std::vector<Oid>{});
    std::vector<Alert> alerts;
    for (const Row& row : select.run({})) {
        alerts.push_back({text_of(row[0]), text_of(row[1]), text_of(row[2]), text_of(row[3]), text_of(row[4]), text_of(row[6]),
                          pg::interval_microseconds(row[5].datum), pg::datum_oid(row[7].datum), pg::datum_bool(row[8].datum)});
    }
    return alerts;
}

struct Measured {
    std::int64_t value = 0;  // a count, or microseconds
    bool is_count = false;

    std::string text() const {
        return is_count ? std::to_string(value) : pg::value_to_text(pg::interval_datum(value / 1000000 * 1000000), pg::type::interval);
    }
};

Measured measure(const Alert& alert, const std::vector<Counts>& counts, const std::map<std::string, Last>& last) {
    Counts sum;
    for (const Counts& of : counts) {
        if ((!alert.type.empty() && of.type != alert.type) || (!alert.queue.empty() && of.queue != alert.queue)) continue;
        sum.waiting += of.waiting;
        sum.failed += of.failed;
        if (of.oldest && (!sum.oldest || *of.oldest < *sum.oldest)) sum.oldest = of.oldest;
    }
    if (alert.measure == "failed") return {sum.failed, true};
    if (alert.measure == "waiting") return {sum.waiting, true};
    if (alert.measure == "out_of_step") {
        std::int64_t documents = 0;
        for (const auto& [type, of] : last) documents += alert.type.empty() || alert.type == type ? of.out_of_step : 0;
        return {documents, true};
    }
    if (!sum.oldest) return {};
    pg::Timestamp since = *sum.oldest;
    if (alert.measure == "no_success") {
        for (const auto& [type, of] : last) {
            if (alert.type.empty() || alert.type == type) since = std::max(since, of.success);
        }
    }
    return {std::max<std::int64_t>(pg::now() - since, 0), false};
}

bool is_above(const Alert& alert, const Measured& measured) {
    std::int64_t limit = measured.is_count
                             ? std::stoll(alert.threshold)
                             : pg::interval_microseconds(pg::text_to_value(alert.threshold, pg::type::interval));
    return measured.value > limit;
}

Datum as_json(const Alert& alert, const std::string& value) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("alert", alert.name);
    json.field("state", alert.firing ? "firing" : "ok");
    json.field("measure", alert.measure);
    json.field("value", value);
    json.field("threshold", alert.threshold);
    json.field("sync_job_type", alert.type);
    json.field("queue", alert.queue);
    json.end_object();
    return json.finish();
}

void enqueue_procedure(const Alert& alert, Datum message) {
    pg::JsonBuilder args;
    args.begin_object();
    args.key("alert");
    args.value(message, false, pg::type::jsonb, false);
    args.end_object();
    EnqueueRequest request;
    request.sync_job_type = background_type_name;
    request.procedure = alert.procedure;
    request.context = {args.finish(), false};
    request.queue = "alert";
    request.title = "alert " + alert.name;
    request.max_retries = 3;
    request.run_as = request.owner = alert.owner;
    enqueue(request);
}

std::string subject_of(const Alert& alert) {
    std::string subject = alert.measure;
    if (!alert.type.empty()) subject += " of sync job type " + quoted(alert.type);
    if (!alert.queue.empty()) subject += " in queue " + quoted(alert.queue);
    return subject;
}

// The alert has changed its state: updates its row, tells the log and listeners, and enqueues its procedure.
void tell(const Alert& alert, const std::string& value) {
    static auto& update = *new InternalStatement(
        "UPDATE {}.sync_job_alert SET state = $2, since = clock_timestamp(), value = $3 WHERE name = $1",
        {pg::type::text, pg::type::text, pg::type::text});
    update.run({{pg::text_datum(alert.name), false}, {pg::text_datum(alert.firing ? "firing" : "ok"), false}, {pg::text_datum(value), false}});
    note_change();
    Datum message = as_json(alert, value);
    publish_event("sync_job_alert", {message, false});
    if (!alert.procedure.empty()) {
        try {
            pg::Subtransaction subtransaction;
            enqueue_procedure(alert, message);
            subtransaction.commit();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            pg::log_error("procedure " + alert.procedure + " of alert " + quoted(alert.name) + " could not be enqueued", error);
        }
    }
    if (alert.firing) {
        pg::log("alert " + quoted(alert.name) + ": " + subject_of(alert) + " is " + value, "The threshold is " + alert.threshold + ".");
    } else {
        pg::log("alert " + quoted(alert.name) + ": all is well again, " + subject_of(alert) + " is " + value);
    }
}

void look_at(Alert& alert, const Measured& measured) {
    static auto& above_since = *new std::map<std::string, pg::Timestamp>;  // not reported yet, because the alert has a hold time
    bool above = is_above(alert, measured);
    if (above == alert.firing) {
        above_since.erase(alert.name);
        return;
    }
    if (above) {
        pg::Timestamp since = above_since.try_emplace(alert.name, pg::now()).first->second;
        if (pg::now() - since < alert.hold) return;
    }
    above_since.erase(alert.name);
    alert.firing = above;
    tell(alert, measured.text());
}

}  // namespace

void look_at_alerts() {
    pg::SettingsScope settings;
    pg::set_local("lock_timeout", "100ms");  // whoever may write to an alert may also lock the table
    note_successes();
    std::vector<Alert> alerts = read_alerts();
    if (alerts.empty()) return;
    std::vector<Counts> counts = count_jobs();
    std::map<std::string, Last> last = last_of_types();
    for (Alert& alert : alerts) look_at(alert, measure(alert, counts, last));
}

}  // namespace sync_job
