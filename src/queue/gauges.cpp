#include "queue/gauges.hpp"

#include <algorithm>
#include <map>

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/float8.hpp"
#include "pg/value.hpp"

namespace sync_job {

namespace {

using Row = InternalStatement::Row;

// Limits of what is read: the time of a scrape must not grow with the queue.
constexpr std::int64_t most_counted = 10000;
constexpr double pages_of_sample = 500;

constexpr std::int64_t Backlog::*counts[] = {&Backlog::waiting, &Backlog::scheduled, &Backlog::held, &Backlog::pending, &Backlog::retrying, &Backlog::failed};

using Backlogs = std::map<std::pair<std::string, std::string>, Backlog>;

// The jobs of one partition. `columns`: the counts, in the order above, and the oldest change.
class Counted {
public:
    Counted(const std::string& partition, const std::string& columns)
        : oldest_(select(columns, partition + " ORDER BY id LIMIT " + std::to_string(most_counted)), std::vector<Oid>{}),
          sample_(select(columns, partition + " TABLESAMPLE SYSTEM ($1) REPEATABLE (0)"), {pg::type::float8}),  // the same pages again: no jitter
          pages_("SELECT (pg_relation_size('sync_job_internal." + partition + "') / current_setting('block_size')::int)::float8", std::vector<Oid>{}) {}

    void add_to(Backlogs& all) {
        if (add(all, oldest_.run({}), 1) < most_counted) return;
        double pages = pg::datum_float8(pages_.run({}).at(0)[0].datum);
        double share = std::min(1.0, pages_of_sample / std::max(pages, 1.0));
        add(all, sample_.run({{pg::float8_datum(100 * share), false}}), 1 / share);
    }

private:
    static std::string select(const std::string& columns, const std::string& from) {
        return "SELECT j.sync_job_type, j.queue, count(*), " + columns + " FROM (SELECT * FROM sync_job_internal." + from + ") AS j" +
               " CROSS JOIN LATERAL (SELECT coalesce(j.scheduled_at, j.created_at) AS since, statement_timestamp() AS now,"
               " j.held IS TRUE AND NOT EXISTS (SELECT FROM {}.sync_job_type AS t WHERE t.name = j.sync_job_type AND t.http IS NOT NULL AND NOT t.paused)"
               " AS held) AS s GROUP BY 1, 2";
    }

    // Returns how many jobs there were. The greater count is kept, as a sample may miss what the oldest jobs have shown.
    static std::int64_t add(Backlogs& all, const std::vector<Row>& rows, double scale) {
        std::int64_t seen = 0;
        for (const Row& row : rows) {
            std::string type = text_of(row[0]), queue = text_of(row[1]);
            Backlog& backlog = all[{queue, type}];
            backlog.queue = queue;
            backlog.type = type;
            seen += pg::datum_int64(row[2].datum);
            std::size_t column = 3;
            for (auto count : counts) {
                double counted = static_cast<double>(pg::datum_int64(row[column++].datum)) * scale;
                backlog.*count = std::max(backlog.*count, static_cast<std::int64_t>(counted));
            }
            if (row[column].null) continue;
            pg::Timestamp oldest = pg::datum_int64(row[column].datum);
            backlog.oldest = std::min(backlog.oldest.value_or(oldest), oldest);
        }
        return seen;
    }

    InternalStatement oldest_, sample_, pages_;
};

}  // namespace

std::vector<Backlog> read_backlog() {
    static auto& live = *new Counted(
        "sync_job_live",
        "count(*) FILTER (WHERE j.status = 'Queued' AND s.since <= s.now AND NOT s.held),"
        " count(*) FILTER (WHERE j.status = 'Queued' AND s.since > s.now AND NOT s.held),"
        " count(*) FILTER (WHERE s.held), count(*) FILTER (WHERE j.status = 'Pending'), 0::bigint, 0::bigint,"
        " min(s.since) FILTER (WHERE j.status <> 'Pending' AND s.since <= s.now AND NOT j.dry_run)");
    static auto& failed = *new Counted(
        "sync_job_failed",
        "0::bigint, 0::bigint, 0::bigint, 0::bigint, count(*) FILTER (WHERE j.retry_after < 'infinity'),"
        " count(*) FILTER (WHERE coalesce(j.retry_after, 'infinity') = 'infinity'),"
        " min(j.created_at) FILTER (WHERE j.retry_after IS NOT NULL AND NOT j.dry_run)");
    Backlogs all;
    live.add_to(all);
    failed.add_to(all);
    std::vector<Backlog> backlogs;
    for (auto& [key, backlog] : all) backlogs.push_back(std::move(backlog));
    return backlogs;
}

}  // namespace sync_job
