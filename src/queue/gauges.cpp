#include "queue/gauges.hpp"

#include <algorithm>

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/value.hpp"

namespace sync_job {

namespace {

using Row = InternalStatement::Row;

// How many are looked at: a scrape must not take longer the longer the queue is.
constexpr const char* most_counted = "50000";

// The first jobs of a partition, by their ids, grouped; with them how many were looked at and how many there may be.
std::string counted(const std::string& partition, const std::string& columns) {
    std::string table = "'sync_job_internal." + partition + "'::pg_catalog.regclass";
    return "SELECT j.sync_job_type, j.queue, " + columns + ", count(*), CASE WHEN sum(count(*)) OVER () < " + most_counted + " THEN 0" +
           " ELSE coalesce(nullif(pg_catalog.pg_stat_get_live_tuples(" + table + "), 0)," +  // 0: after a crash, and on a standby
           " (SELECT c.reltuples::bigint FROM pg_catalog.pg_class AS c WHERE c.oid = " + table + ")) END" +
           " FROM (SELECT * FROM sync_job_internal." + partition + " ORDER BY id LIMIT " + most_counted + ") AS j";
}

// The columns: type, queue, six counts, the oldest change, how many were counted, how many there may be.
void add(std::vector<Backlog>& all, const std::vector<Row>& rows) {
    std::int64_t seen = 0;
    for (const Row& row : rows) seen += pg::datum_int64(row[9].datum);
    for (const Row& row : rows) {
        double scale = std::max(1.0, static_cast<double>(pg::datum_int64(row[10].datum)) / static_cast<double>(std::max<std::int64_t>(seen, 1)));
        auto count = [&](int column) { return static_cast<std::int64_t>(static_cast<double>(pg::datum_int64(row[column].datum)) * scale); };
        Backlog backlog{text_of(row[1]), text_of(row[0]), count(2), count(3), count(4), count(5), count(6), count(7), {}};
        if (!row[8].null) backlog.oldest = pg::datum_int64(row[8].datum);
        all.push_back(std::move(backlog));
    }
}

}  // namespace

std::vector<Backlog> read_backlog() {
    static auto& live = *new InternalStatement(
        counted("sync_job_live",
                "count(*) FILTER (WHERE j.status = 'Queued' AND s.since <= s.now AND j.held IS NOT TRUE),"
                " count(*) FILTER (WHERE j.status = 'Queued' AND s.since > s.now AND j.held IS NOT TRUE),"
                " count(*) FILTER (WHERE j.held), count(*) FILTER (WHERE j.status = 'Pending'), 0::bigint, 0::bigint,"
                " min(s.since) FILTER (WHERE j.status <> 'Pending' AND s.since <= s.now AND NOT j.dry_run)") +
            " CROSS JOIN LATERAL (SELECT coalesce(j.scheduled_at, j.created_at) AS since, statement_timestamp() AS now) AS s GROUP BY 1, 2",
        std::vector<Oid>{});
    static auto& failed = *new InternalStatement(
        counted("sync_job_failed",
                "0::bigint, 0::bigint, 0::bigint, 0::bigint, count(*) FILTER (WHERE j.retry_after < 'infinity'),"
                " count(*) FILTER (WHERE coalesce(j.retry_after, 'infinity') = 'infinity'),"
                " min(j.created_at) FILTER (WHERE j.retry_after IS NOT NULL AND NOT j.dry_run)") +
            " GROUP BY 1, 2",
        std::vector<Oid>{});
    std::vector<Backlog> all;
    add(all, live.run({}));
    add(all, failed.run({}));
    return all;
}

}  // namespace sync_job
