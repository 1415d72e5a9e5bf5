// Lists of jobs: one page, how many there are, and the ids that an action on all of them would use.
#include "serve/api/jobs_sql.hpp"
#include "serve/api/routes.hpp"

namespace sync_job::serve {

namespace {

std::vector<std::string_view> with_limit() {
    std::vector<std::string_view> parameters = job_filters;
    parameters.push_back("limit");
    return parameters;
}

}  // namespace

std::span<const Route> jobs_routes() {
    // Text and context are searched in the newest 100,000; for a count, a little further.
    static const std::string page = "least(greatest(coalesce($17::integer, 50), 1), 200)";
    static const std::string list =
        jobs_that_match(page, "CASE WHEN num_nonnulls($3, $5, $8, $9, $10, $11, $13, $15) = 0 THEN 200000 ELSE 100000 END") + R"(
SELECT json_build_object(
    'rows', )" + job_rows("SELECT id FROM found ORDER BY id DESC LIMIT " + page) + R"(,
    'next', CASE WHEN (SELECT count(*) FROM found) > )" + page + R"( THEN
        (SELECT min(id)::text FROM (SELECT id FROM found ORDER BY id DESC LIMIT )" + page + R"() AS i) END,
    'searched', json_build_object('jobs', jobs, 'complete', complete, 'continue', CASE WHEN NOT complete THEN reached::text END))
FROM searched)";

    constexpr std::string_view further = "CASE WHEN num_nonnulls($5, $8, $9, $10, $11, $13, $15) = 0 THEN 500000 ELSE 200000 END";
    static const std::string count = jobs_that_match("10000", further) + R"(
SELECT json_build_object('count', least(n, 10000), 'more', n > 10000 OR NOT complete)
FROM searched CROSS JOIN (SELECT count(*) AS n FROM found) AS f)";

    static const std::string most = "least(greatest(coalesce($17::integer, 100000), 1), 100000)";
    static const std::string ids = jobs_that_match(most, further) + R"(,
given AS MATERIALIZED (SELECT id, status FROM found ORDER BY id DESC LIMIT )" + most + R"()
SELECT json_build_object(
    'ids', (SELECT coalesce(json_agg(id::text ORDER BY id DESC), '[]') FROM given),
    'more', (SELECT count(*) FROM found) > )" + most + R"( OR NOT complete,
    'by_status', (SELECT coalesce(json_object_agg(status, n), '{}') FROM (SELECT status, count(*) AS n FROM given GROUP BY status) AS s),
    'sample', )" + job_rows("SELECT id FROM given ORDER BY id DESC LIMIT 5") + R"()
FROM searched)";

    static const std::vector<Route> routes = {
        {Method::get, "/api/jobs", false, list, with_limit()},
        {Method::get, "/api/jobs/count", false, count, job_filters},
        {Method::get, "/api/jobs/ids", false, ids, with_limit()},
    };
    return routes;
}

}  // namespace sync_job::serve
