// Comparisons, full syncs, and what applies or reverts other jobs: a job j as the list of runs shows it.
#pragma once

#include <string>

#include "serve/api/rights_sql.hpp"

namespace sync_job::serve {

inline std::string run_row() {
    return R"(
    j.id::text AS id, j.operation, j.sync_job_type, j.status, j.created_at, j.started_at, j.ended_at, j.time_taken::text AS time_taken,
    j.dry_run, left((CASE WHEN jsonb_typeof(j.result) = 'object' THEN j.result - 'documents' ELSE j.result END)::text, 2000) AS result, left(j.error_message, 300) AS error,
    (SELECT max(a.percent) FROM sync_job_internal.activity() AS a WHERE a.sync_job = j.id AND j.status = 'Started') AS percent,
    (SELECT json_build_object(
         'pause', j.operation = 'Full Sync' AND j.status IN ('Queued', 'Started') AND r.steers,
         'start', j.status = 'Pending' AND r.starts,
         'cancel', j.status IN ('Pending', 'Queued', 'Failed', 'Started') AND r.steers)
     FROM (SELECT )" + may_become("j.run_as") + R"( OR sync_job_internal.has_level('operator') AS starts,
               )" + may_become("j.run_as") + R"( OR pg_has_role(j.owner, 'USAGE') OR sync_job_internal.has_level('operator') AS steers) AS r) AS allowed)";
}

}  // namespace sync_job::serve
