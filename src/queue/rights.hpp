// Who may do what: levels per database, grants on types.
#pragma once

#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "queue/enqueue.hpp"

namespace sync_job {

enum class Level { manager, operator_, viewer };

// Whether the role, or one whose rights it has, has the level; a superuser has all.
bool has_level(Oid role, Level level);
// Raises 42501 with `what` the level is needed for.
void require_level(Level level, const std::string& what);

// Whoever may become the role the type's jobs run as has every right on it.
bool may_do_all(const JobType& type, Oid role);
// Whether the role may enqueue jobs of the type at all.
bool may_enqueue(const JobType& type, Oid role);
// What is wrong with the type and what its controller looks like: for those who may enqueue its jobs, and all levels.
void require_may_see(const JobType& type);
// Its row in sync_job_type, as the policy of that table says: for whoever may become its role, and all levels.
void require_may_see_row(const JobType& type);
// Raises 42501 unless `role` may enqueue this: with all rights, or by a grant of the type, and then nothing that
// changes where the job reads or writes, or raises its limits.
void require_may_enqueue(const JobType& type, Oid role, const EnqueueRequest& request);

// Raises 42501 unless a worker can connect as the role: it may connect to this database and, before PostgreSQL 17, log
// in.
void require_role_can_run(Oid role);

// Raises 42501 unless this is a session of that role: what runs as it never runs in the session of another role. `what` names what is to
// run, `instead` says what to do in another role's session.
void require_session_of(Oid run_as, const std::string& what, const std::string& instead);

// A job runs what its type says now, as the role it was enqueued with. Raises SetupError if the type's role may not
// become that one: somebody else has dropped the type and created it again.
void require_trusted_type(const JobType& type, const Job& job);
// A superuser's rights must not be used on tables of other roles, whose triggers would get them; nor on tables of which
// another role owns a partition or a child. Raises SetupError.
void require_own_documents(const DocumentType& documents);

// The job's state and times: for its owner, whoever may become its role, operators and viewers.
bool may_know(const Job& job);
void require_may_know(const Job& job);
// The job's documents: for its owner, while that role may read the target. If the target is unknown, or has policies,
// only for those who have the rights of the job's role.
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
// Retry with another context: whoever may enqueue such a job. The context is the input of the job's code: an operator
// who could change it could do much with the rights of others.
void require_may_change_context(const Job& job);

}  // namespace sync_job
