// The routes of the API. Nearly all of them are one statement each, which runs in the caller's session.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "serve/request.hpp"

namespace sync_job::serve {

// The statement returns one row with one column, JSON as text, which is the body of the answer; no row, or NULL, is 404.
// - Its parameters are text, or NULL if the request has none of that name: from the path, else from the query string (GET) or the top
//   level of the JSON body (POST). In the body, a string gives its text, anything else its JSON, exactly as sent. Another name is an error.
// - @extschema@ stands for the extension's schema; never within a literal. The search_path is pg_catalog, pg_temp: everything else is qualified.
// - Without `writes` it runs in a read-only transaction of at most a second; with it, in a transaction of its own of at most 30 s, and not
//   if the console is read-only.
struct Route {
    Method method;
    std::string_view path;  // as in "/api/jobs/{id}"
    bool writes;
    std::string_view sql;
    std::vector<std::string_view> parameters;  // the names of $1, $2, …
};

// One table per topic, each in a file in this folder.
std::span<const Route> overview_routes();
std::span<const Route> jobs_routes();     // lists
std::span<const Route> job_routes();      // one
std::span<const Route> actions_routes();  // what is done with them
std::span<const Route> types_routes();
std::span<const Route> status_routes();  // queues, workers, schedules, alerts, freshness, runs
std::span<const Route> forms_routes();   // what forms offer

}  // namespace sync_job::serve
