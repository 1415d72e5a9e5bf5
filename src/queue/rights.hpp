// Who may do what: levels of a database, grants of types.
#pragma once

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "queue/enqueue.hpp"

namespace sync_job {

enum class Level { manager, operator_, viewer };

// The role, or one whose rights it has, has the level; a superuser has all.
bool has_level(Oid role, Level level);
// Raises 42501 with `what` the level is needed for.
void require_level(Level level, const std::string& what);

// Whoever may become the role the type's jobs run as has every right on it.
bool may_do_all(const JobType& type, Oid role);
// Whether the role may enqueue jobs of the type at all.
bool may_enqueue(const JobType& type, Oid role);
// What is wrong with the type and what its controller looks like: for who may enqueue its jobs, and all levels.
void require_may_see(const JobType& type);
// Raises 42501 unless `role` may enqueue this: with all rights, or by a grant of the type, and then nothing that
// changes where the job reads or writes, or raises its limits.
void require_may_enqueue(const JobType& type, Oid role, const EnqueueRequest& request);

// A worker can be connected as the role: it may log in (before PostgreSQL 17) and connect to this database. Raises
// 42501.
void require_role_can_run(Oid role);

// A job runs what its type says now, with the role it was enqueued with. Raises SetupError when the one is no longer
// under the control of the other: of a type that was dropped, and made again by somebody else.
void require_trusted_type(const JobType& type, const Job& job);
// A superuser's rights are not for other people's tables, whose triggers would get them; nor for tables of which somebody
// else owns a partition or a child. Raises SetupError.
void require_own_documents(const DocumentType& documents);

// The job's state and times: for its owner, whoever may become its role, operators and viewers.
bool may_know(const Job& job);
void require_may_know(const Job& job);
// The job's documents: for its owner, while he may read the target. Where the target is not known, or has policies,
// what the job has seen of it is for who has the rights of its role.
bool may_read(Oid user, Oid owner, Oid run_as, Oid target);
// The same for everything in the row, whose error and messages may quote the source as well: also operators, viewers, and
// whoever may become its role.
bool may_read_row(const Job& job);
// The row as the result of a function, without what the caller may not read.
Job row_for_caller(const Job& job);

// Cancel: the job's owner, whoever may become its role, an operator.
void require_may_steer(const Job& job);
// Start, retry: whoever may enqueue such a job, an operator.
void require_may_run(const Job& job);
// Retry with another context: whoever may enqueue such a job. It is what the job's code gets as its arguments, so that
// an operator who could change it could do much with the rights of others.
void require_may_change_context(const Job& job);

}  // namespace sync_job
