// Who may do what: levels of a database, grants of types.
#pragma once

#include "engine/enqueue.hpp"
#include "engine/job_row.hpp"
#include "engine/job_type.hpp"

namespace sync_job {

enum class Level { manager, operator_, viewer };

// The role, or one whose rights it has, has the level; a superuser has all.
bool has_level(Oid role, Level level);
// Raises 42501 with `what` the level is needed for.
void require_level(Level level, const std::string& what);

// Whoever may become the role the type's jobs run as has every right on it.
bool may_do_all(const JobType& type, Oid role);
// Raises 42501 unless `role` may enqueue this: with all rights, or by a grant of the type, and then nothing that
// changes where the job reads or writes, or raises its limits.
void require_may_enqueue(const JobType& type, Oid role, const EnqueueRequest& request);

// A worker can be connected as the role: it may log in (before PostgreSQL 17) and connect to this database. Raises
// 42501.
void require_role_can_run(Oid role);

// State and times of the job are for its owner, whoever may become its role, operators and viewers.
bool may_know(const Job& job);
// Cancel: the job's owner, whoever may become its role, an operator.
void require_may_steer(const Job& job);
// Start, retry: whoever may enqueue such a job, an operator.
void require_may_run(const Job& job);

}  // namespace sync_job
