// Parts of statements about jobs that several routes share.
//
// How ten million jobs are searched in less than a second: `found` has the newest matches, from up to three searches.
// - near: a window of the newest ids, read backwards by the index on the id. If it has enough matches, that is all. If a condition has
//   an index (the state, the type, the document, the parent), a quarter of the window is searched first, then its rest (middle).
// - rest: what is older, if the window has shown that matches are rare, or if the caller has few jobs. The index sync_job_ended_kind
//   leaves a few pages of the history. `id + 0` keeps the planner from using the index on the id. If there are more than 2,000 matches,
//   they are not rare there, and finding the newest of them would take too long.
// If the window is too small and matches are not rare, the answer says so, and `continue` is where the next search begins.
//
// Row-level security lets a role without a level see its own jobs. `owner` shows quickly that a row is not one of these: it is
// compared first, and is in that index. That narrows what is read; the policies decide what may be seen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sync_job::serve {

// $1 to $16 of a statement with jobs_that_match().
inline const std::vector<std::string_view> job_filters = {"status",  "type",    "queue", "document", "target", "from", "to",   "error",
                                                          "context", "trigger", "role",  "parent",   "group",  "id",   "kind", "before"};

// WITH …: `found` (id, status) has the newest jobs that match, one more than `most` if there are more, and `searched` says how far
// the search went: complete, or else where to go on.
std::string jobs_that_match(std::string_view most, std::string_view window);

// The columns of a job j as lists show it.
extern const std::string_view job_row;

// A scalar subquery: the rows of lists as a JSON array, newest first. `ids` is a subquery that returns their ids.
std::string job_rows(std::string_view ids);

}  // namespace sync_job::serve
