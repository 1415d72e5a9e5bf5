// Parts of statements about jobs that several routes share.
//
// How ten million jobs are searched in less than a second: `found` are the newest matches, of up to three looks.
// - near: a window of the newest ids, read backwards by the index on the id. Where enough matches, that is all. What has an index
//   (the state, the type, the document, the parent) is looked for in a quarter of the window first, and in its rest (middle) after that.
// - rest: what is older, where the window has shown that what is asked for is rare, or where whoever asks has few jobs. The index
//   sync_job_ended_kind leaves a few pages of the history. `id + 0` keeps the planner from the one on the id. Where more than 2,000
//   come, it is not rare there, and the newest of them would take too long to find.
// Where the window is too small and what is asked for not rare, the answer says so, and `continue` is where the next one begins.
//
// Row-level security lets a role without a level see its own jobs. A row says by itself that it is not one of these: `owner`
// is compared first, and is in that index. It narrows what is read; what may be seen is decided by the policies.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sync_job::serve {

// $1 to $16 of a statement with jobs_that_match().
inline const std::vector<std::string_view> job_filters = {"status",  "type",    "queue", "document", "target", "from", "to",   "error",
                                                          "context", "trigger", "role",  "parent",   "group",  "id",   "kind", "before"};

// WITH …: `found` (id, status) has the newest jobs that match, one more than `most` where there are more, and `searched` says
// how far was looked: complete, and else where to go on.
std::string jobs_that_match(std::string_view most, std::string_view window);

// The columns of a job as lists show it; of a job j.
extern const std::string_view job_row;

// A scalar subquery: the rows of lists as a JSON array, newest first, of a subquery that gives their ids.
std::string job_rows(std::string_view ids);

}  // namespace sync_job::serve
