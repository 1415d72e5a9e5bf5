#include "serve/api/jobs_sql.hpp"

namespace sync_job::serve {

namespace {

// Conditions on a job j that have an index, or a summary in one.
constexpr std::string_view indexed = R"(
    ($1::text IS NULL OR j.status = ANY (string_to_array($1::text, ',')))
    AND ($2::text IS NULL OR j.sync_job_type = $2::text)
    AND ($4::text IS NULL OR j.id = ANY ((SELECT ids FROM of_document)::bigint[]))
    AND ($12::text IS NULL OR j.parent_sync_job = $12::bigint)
    AND ($14::text IS NULL OR j.id = $14::bigint)
    AND ($15::text IS NULL OR $15::text NOT IN ('compare', 'full-sync', 'apply', 'revert')
         OR j.operation = CASE $15::text WHEN 'compare' THEN 'Compare' WHEN 'full-sync' THEN 'Full Sync' WHEN 'apply' THEN 'Apply' ELSE 'Revert' END))";

// Conditions without an index.
constexpr std::string_view others = R"(
    AND ($3::text IS NULL OR j.queue = $3::text)
    AND ($5::text IS NULL OR j.target_document_name = $5::text)
    AND ($6::text IS NULL OR j.created_at >= $6::timestamptz)
    AND ($7::text IS NULL OR j.created_at < $7::timestamptz)
    AND ($10::text IS NULL OR j.trigger_type = $10::text)
    AND ($11::text IS NULL OR (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = $11::text) IN (j.run_as, j.owner))
    AND ($13::text IS NULL OR j.job_group = $13::text)
    AND ($15::text IS NULL OR CASE $15::text
         WHEN 'background' THEN j.procedure IS NOT NULL
         WHEN 'dry-run' THEN j.dry_run
         WHEN 'compare' THEN true WHEN 'full-sync' THEN true WHEN 'apply' THEN true WHEN 'revert' THEN true
         WHEN 'set' THEN j.documents IS NOT NULL AND coalesce(j.operation, '') NOT IN ('Compare', 'Full Sync', 'Apply', 'Revert')
         WHEN 'document' THEN j.source_document_name IS NOT NULL END)
    AND ($8::text IS NULL OR j.error_message ILIKE ALL (ARRAY(
        SELECT '%' || regexp_replace(word, '([\\%_])', '\\\1', 'g') || '%' FROM regexp_split_to_table(trim($8::text), '\s+') AS word)))
    AND ($9::text IS NULL OR j.context @> $9::jsonb))";

// The jobs that the caller sees at all.
constexpr std::string_view mine =
    "((SELECT sees_all FROM reader) OR j.owner = ANY ((SELECT roles FROM reader)::oid[]))";

// The ids between which a time lies, by bisection. A job that started or ended before `from` was also enqueued before it, whenever its
// transaction began. Jobs with higher ids than one enqueued ten minutes after `to` were not enqueued before `to`, unless by a
// transaction that took longer. Sums of ids are columns: an index is not used for an operator that is not leakproof.
constexpr std::string_view times = R"(
bounds (step, from_low, from_high, from_middle, from_end, to_low, to_high, to_middle, to_end) AS (
    SELECT 0, 0::bigint, s.n, s.n / 2, s.n / 2 + 1000, 0::bigint, s.n, s.n / 2, s.n / 2 + 1000
    FROM (SELECT least($16::bigint, last_value + 1) AS n FROM sync_job_internal.sync_job_id_seq) AS s
  UNION ALL
    SELECT n.step + 1, n.from_low, n.from_high, (n.from_low + n.from_high) / 2, (n.from_low + n.from_high) / 2 + 1000,
        n.to_low, n.to_high, (n.to_low + n.to_high) / 2, (n.to_low + n.to_high) / 2 + 1000
    FROM (SELECT b.step,
              CASE WHEN b.before THEN b.from_middle ELSE b.from_low END, CASE WHEN b.before THEN b.from_high ELSE b.from_middle END,
              CASE WHEN b.later THEN b.to_low ELSE b.to_middle END, CASE WHEN b.later THEN b.to_middle ELSE b.to_high END
          FROM (SELECT b.*,
                    coalesce((SELECT min(j.at) FROM (
                        SELECT coalesce(j.ended_at, j.started_at) AS at FROM @extschema@.sync_job AS j
                        WHERE $6 IS NOT NULL AND j.id >= b.from_middle AND j.id < b.from_end AND {mine} ORDER BY j.id LIMIT 20) AS j)
                        < $6::timestamptz, false) AS before,
                    coalesce((SELECT max(j.created_at) FROM (
                        SELECT j.created_at FROM @extschema@.sync_job AS j
                        WHERE $7 IS NOT NULL AND j.id >= b.to_middle AND j.id < b.to_end AND {mine} ORDER BY j.id LIMIT 20) AS j)
                        > $7::timestamptz + interval '10 minutes', false) AS later
                FROM bounds AS b
                WHERE ($6 IS NOT NULL AND b.from_high - b.from_low > 1000) OR ($7 IS NOT NULL AND b.to_high - b.to_low > 1000) OFFSET 0) AS b
         ) AS n (step, from_low, from_high, to_low, to_high)
    WHERE n.step < 60
),)";

void replace(std::string& text, std::string_view word, std::string_view by) {
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + by.size())) {
        text.replace(at, word.size(), by);
    }
}

// The matches in a range of ids.
std::string scan(std::string_view condition, std::string_view which = "ORDER BY j.id DESC LIMIT {most} + 1") {
    return "SELECT j.id, j.status FROM @extschema@.sync_job AS j WHERE " + std::string(condition) + " AND {indexed} {others} " + std::string(which);
}

// Whether a condition with an index is given.
constexpr std::string_view by_index =
    "(num_nonnulls($1, $2, $4, $12, $14) > 0 OR coalesce($15, '') IN ('compare', 'full-sync', 'apply', 'revert'))";

// Whether fewer than one job in 4,000 of the window meets it. Without other conditions, what was found says so.
constexpr std::string_view is_rare = R"(CASE
    WHEN num_nonnulls($3, $5, $6, $7, $8, $9, $10, $11, $13) = 0 AND coalesce($15, 'compare') IN ('compare', 'full-sync', 'apply', 'revert')
    THEN (SELECT count(*) FROM newest) <= {window} / 4000
    ELSE (SELECT count(*) FROM (
        SELECT FROM @extschema@.sync_job AS j
        WHERE m.open AND j.id >= (SELECT far FROM span) AND j.id < (SELECT below FROM span) AND {mine} AND {indexed}
        LIMIT {window} / 4000 + 1) AS j) <= {window} / 4000 END)";

}  // namespace

std::string jobs_that_match(std::string_view most, std::string_view window) {
    std::string sql = R"(
WITH RECURSIVE
reader AS MATERIALIZED (
    SELECT sync_job_internal.has_level('operator', 'viewer') AS sees_all,
        ARRAY(SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE pg_has_role(r.oid, 'USAGE')) AS roles
), )" + std::string(times) + R"(
-- Who sees all and asks for anything needs no window: what is there is found at once. What has an index is looked for in a quarter first.
span AS MATERIALIZED (
    SELECT b.from_low AS at_least, b.to_high AS below, greatest(b.from_low, b.to_high - {window}) AS far,
        greatest(b.from_low, b.to_high - CASE
            WHEN (SELECT sees_all FROM reader) AND num_nonnulls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) = 0
            THEN b.to_high WHEN {by_index} THEN {window} / 4 ELSE {window} END) AS near
    FROM bounds AS b ORDER BY b.step DESC LIMIT 1
),
-- Whether the person's own jobs are few: then these are all that is looked at.
person AS MATERIALIZED (
    SELECT NOT (SELECT sees_all FROM reader) AND (SELECT count(*) FROM (
        SELECT FROM unnest((SELECT roles FROM reader)) AS r (oid) CROSS JOIN LATERAL (
            SELECT FROM @extschema@.sync_job AS j
            WHERE NOT (SELECT sees_all FROM reader) AND j.owner = r.oid AND j.status IN ('Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled')
            LIMIT 3001) AS j
        LIMIT 3001) AS j) <= 3000 AS has_few
),
of_document AS MATERIALIZED (
    SELECT ARRAY(SELECT h.sync_job FROM @extschema@.sync_job_document_history AS h
                 WHERE h.source_document_name = $4::text ORDER BY h.sync_job DESC LIMIT 10000) AS ids
),
near AS MATERIALIZED ()" + scan("NOT (SELECT has_few FROM person) AND j.id >= (SELECT near FROM span) AND j.id < (SELECT below FROM span) AND {mine}") + R"(),
after_near AS MATERIALIZED (
    SELECT {by_index} AND NOT has_few AND near > at_least AND (SELECT count(*) FROM near) <= {most} AS open FROM span CROSS JOIN person
),
middle AS MATERIALIZED ()" + scan("(SELECT open FROM after_near) AND j.id >= (SELECT far FROM span) AND j.id < (SELECT near FROM span) AND {mine}") + R"(),
newest AS MATERIALIZED (SELECT id, status FROM near UNION ALL SELECT id, status FROM middle),
after_middle AS MATERIALIZED (
    SELECT m.open AND )" + std::string(is_rare) + R"( AS rare
    FROM (SELECT a.open AND s.far > s.at_least AND (SELECT count(*) FROM newest) <= {most} AS open FROM after_near AS a CROSS JOIN span AS s) AS m
),
-- What is rare among the newest may have been frequent once. Then those that are found first are not the newest.
older AS MATERIALIZED ()" + scan("(SELECT rare FROM after_middle) AND j.id + 0 >= (SELECT at_least FROM span) AND j.id + 0 < (SELECT far FROM span) AND {mine}",
                                 "LIMIT greatest({most}, {few}) + 1") + R"(),
rest AS MATERIALIZED (
    SELECT id, status FROM older WHERE {most} >= {few} OR (SELECT count(*) FROM older) <= {few}
    UNION ALL
    SELECT o.id, o.status FROM unnest((SELECT roles FROM reader)) AS r (oid) CROSS JOIN LATERAL ()" +
        scan("(SELECT has_few FROM person) AND j.owner = r.oid AND j.id + 0 >= (SELECT at_least FROM span) AND j.id + 0 < (SELECT below FROM span)",
             "ORDER BY j.id + 0 DESC LIMIT {most} + 1") + R"() AS o
),
-- How far was looked, and whether that was all.
looked AS MATERIALIZED (
    SELECT p.has_few OR (m.rare AND (SELECT count(*) FROM older) <= greatest({most}, {few})) OR (SELECT count(*) FROM newest) > {most} AS all_of_it,
        CASE WHEN a.open THEN least(s.far, s.near) ELSE s.near END AS reached, s.at_least, s.below
    FROM person AS p CROSS JOIN after_near AS a CROSS JOIN after_middle AS m CROSS JOIN span AS s
),
searched AS MATERIALIZED (
    SELECT l.below - l.reached AS jobs, l.reached, l.all_of_it OR l.reached <= l.at_least OR NOT EXISTS (
        SELECT FROM @extschema@.sync_job AS j
        WHERE NOT (SELECT all_of_it FROM looked) AND j.id >= (SELECT at_least FROM looked) AND j.id < (SELECT reached FROM looked) AND {mine}) AS complete
    FROM looked AS l
),
found AS MATERIALIZED (
    SELECT id, status FROM newest UNION ALL SELECT id, status FROM rest ORDER BY id DESC LIMIT {most} + 1
))";
    replace(sql, "{by_index}", by_index);
    replace(sql, "{mine}", mine);
    replace(sql, "{indexed}", indexed);
    replace(sql, "{others}", others);
    replace(sql, "{few}", "2000");
    replace(sql, "{most}", most);
    replace(sql, "{window}", window);
    return sql;
}

const std::string_view job_row = R"(
    j.id::text AS id, j.sync_job_type, j.title, j.status, j.operation, j.source_document_type, left(j.source_document_name, 2000)
    AS source_document_name, j.target_document_type, left(j.target_document_name, 2000) AS target_document_name, j.queue, j.trigger_type,
    j.created_at, j.scheduled_at, j.started_at, j.ended_at, j.time_taken::text AS time_taken, j.retry_count, j.max_retries,
    CASE WHEN isfinite(j.retry_after) THEN j.retry_after END AS retry_after, left(j.error_message, 300) AS error, j.run_as, j.dry_run,
    j.documents, j.held, j.parent_sync_job::text AS parent_sync_job, j.relation,
    (SELECT max(a.percent) FROM sync_job_internal.activity() AS a WHERE a.sync_job = j.id AND j.status = 'Started') AS percent,
    CASE WHEN j.status = 'Relayed' OR j.documents IS NOT NULL OR j.operation IN ('Full Sync', 'Apply', 'Revert') THEN (
        SELECT count(*) FROM (SELECT FROM @extschema@.sync_job AS c WHERE c.parent_sync_job = j.id LIMIT 1000) AS c) END AS children)";

std::string job_rows(std::string_view ids) {
    return "(SELECT coalesce(json_agg(r ORDER BY i.id DESC), '[]') FROM (" + std::string(ids) +
           ") AS i CROSS JOIN LATERAL (SELECT " + std::string(job_row) +
           " FROM @extschema@.sync_job AS j WHERE j.id = i.id LIMIT 1) AS r)";
}

}  // namespace sync_job::serve
