#include "queue/rights.hpp"

#include "controller/controller.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

const char* text_of(Level level) {
    constexpr const char* texts[] = {"manager", "operator", "viewer"};
    return texts[static_cast<int>(level)];
}

bool granted(const JobType& type, Oid role) {
    for (Oid holder : type.granted_to) {
        if (pg::role_exists(holder) && pg::has_rights_of(role, holder)) return true;
    }
    return false;
}

pg::Error denied(const std::string& what) { return pg::Error("42501", "permission denied for " + what); }

std::string name_of(Oid role) { return quoted(pg::role_name(role)); }

// The first argument that a grant of the type does not cover; null: none.
const char* beyond_grant(const EnqueueRequest& request) {
    if (request.operation) return "operation";
    if (request.target_document_type != pg::no_oid) return "target_document_type";
    if (request.target_document_name) return "target_document_name";
    if (!request.target_doc.null) return "target_doc";
    if (request.parent_sync_job) return "parent_sync_job";
    if (request.queue) return "queue";
    if (request.priority) return "priority";
    if (request.timeout) return "timeout";
    if (request.retry_delay) return "retry_delay";
    if (request.max_retries) return "max_retries";
    if (request.verbose_logging) return "verbose_logging";
    // A controller may read the document that triggered its job.
    if (request.triggered_by_document_type != pg::no_oid) return "triggered_by_document_type";
    if (request.triggered_by_document_name) return "triggered_by_document_name";
    if (!request.triggered_by_doc.null) return "triggered_by_doc";
    return nullptr;
}

// Whether the request only asks how a document, or all of them, would change, and passes nothing to the code of the type: an operator
// may request that, just as applying the result. The condition of a comparison was checked before.
bool only_looks(const JobType& type, const EnqueueRequest& request) {
    if (beyond_grant(request) != nullptr || request.from_trigger || request.many || type.source == pg::no_oid) return false;
    if (request.task) return *request.task == Task::compare;
    bool flags = request.insert_enabled || request.update_enabled || request.delete_enabled ||
                 request.update_without_changes_enabled.value_or(false);
    return request.dry_run.value_or(false) && request.source_document_name && request.source_document_type == pg::no_oid &&
           request.source_doc.null && request.context.null && !flags;
}

// Whether the job was given no more than a grant covers. Children of a relayed job have their targets from the
// controller. A job that has left a set has what the set was given.
bool within_grant(const Job& job, const JobType& type) {
    if (!job.is_null(C::parent_sync_job) && job.text(C::relation) != relation::set) {
        auto parent = find_job(job.int64(C::parent_sync_job));
        return parent && parent->job.status() == Status::relayed && parent->job.oid(C::owner) == job.oid(C::owner);
    }
    return (job.is_null(C::operation) || task_of(job)) && job.is_null(C::target_document_name) &&
           job.oid(C::target_document_type) == type.target && job.oid(C::source_document_type) == type.source;
}

bool may_enqueue_again(const Job& job, Oid user) {
    if (pg::may_set_role(user, job.oid(C::run_as))) return true;
    if (!pg::has_rights_of(user, job.oid(C::owner))) return false;
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    return type != nullptr && type->run_as == job.oid(C::run_as) && granted(*type, user) && within_grant(job, *type);
}

pg::Error may_not_run(const Job& job) {
    return denied("sync job " + std::to_string(job.id()))
        .detail("It runs as role " + name_of(job.oid(C::run_as)) + ", which role " + name_of(pg::current_user()) +
                " may not become.");
}

}  // namespace

bool has_level(Oid role, Level level) {
    if (pg::is_superuser(role)) return true;
    static auto& select =
        *new InternalStatement("SELECT role FROM sync_job_internal.access WHERE level = $1", {pg::type::text});
    for (const auto& row : select.run({{pg::text_datum(text_of(level)), false}})) {
        Oid holder = pg::datum_oid(row[0].datum);
        if (pg::role_exists(holder) && pg::has_rights_of(role, holder)) return true;
    }
    return false;
}

void require_level(Level level, const std::string& what) {
    Oid user = pg::current_user();
    if (has_level(user, level)) return;
    throw denied(what)
        .detail("Role " + name_of(user) + " does not have the level " + text_of(level) + " in this database.")
        .hint("A superuser gives it with grant_sync_job_access('" + pg::role_name(user) + "', '" + text_of(level) +
              "').");
}

bool may_do_all(const JobType& type, Oid role) { return pg::may_set_role(role, type.run_as); }
bool may_enqueue(const JobType& type, Oid role) { return may_do_all(type, role) || granted(type, role); }

void require_may_see_row(const JobType& type) {
    Oid user = pg::current_user();
    if (may_do_all(type, user)) return;
    for (Level level : {Level::manager, Level::operator_, Level::viewer}) {
        if (has_level(user, level)) return;
    }
    throw denied("sync job type " + quoted(type.name));
}

void require_may_see(const JobType& type) {
    if (!may_enqueue(type, pg::current_user())) require_may_see_row(type);
}

void require_may_enqueue(const JobType& type, Oid role, const EnqueueRequest& request) {
    if (may_do_all(type, role)) return;
    // Operators may also look, undo and apply.
    bool replays = request.task && runs_while_paused(to_text(*request.task));
    if ((replays || only_looks(type, request)) && has_level(role, Level::operator_)) return;
    if (!granted(type, role)) {
        throw denied("sync job type " + quoted(type.name))
            .detail("Its jobs run as role " + name_of(type.run_as) + ", which role " + name_of(role) +
                    " may not become.")
            .hint("Whoever may change the type gives the right with grant_sync_job_type('" + type.name + "', '" +
                  pg::role_name(role) + "').");
    }
    if (const char* argument = beyond_grant(request)) {
        throw denied(std::string("argument ") + argument + " of sync job type " + quoted(type.name))
            .detail("The grant lets role " + name_of(role) +
                    " give a source document, context, flags, dry_run, scheduled_at and job_id.");
    }
    if (type.source == pg::no_oid && request.source_document_type != pg::no_oid) {
        throw denied("argument source_document_type of sync job type " + quoted(type.name))
            .detail("The type leaves it open, and a grant does not cover it.");
    }
}

void require_role_can_run(Oid role) {
    std::string name = name_of(role);
    if (pg::workers_need_login && !pg::role_can_log_in(role)) {
        throw pg::Error("42501", "role " + name + " cannot run sync jobs: it may not log in")
            .detail("Before PostgreSQL 17 a worker cannot be connected as a role without LOGIN.")
            .hint("Use ALTER ROLE ... LOGIN (without a password nobody else can use it), or name another role in run_as.");
    }
    if (!pg::role_can_connect(role)) {
        throw pg::Error("42501", "role " + name + " cannot run sync jobs: it may not connect to this database")
            .hint("GRANT CONNECT ON DATABASE ... to it, or name another role in run_as.");
    }
}

void require_session_of(Oid run_as, const std::string& what, const std::string& instead) {
    if (run_as == pg::current_user() && run_as == pg::session_user()) return;
    bool disguised = run_as == pg::session_user();  // after SET ROLE, or in a SECURITY DEFINER function
    throw pg::Error("42501", what + " runs as role " + name_of(run_as) +
                                 (disguised ? ", and the current role is " + name_of(pg::current_user())
                                            : ", not in a session of role " + name_of(pg::session_user())))
        .hint(disguised ? "Use RESET ROLE first, and call it directly." : instead);
}

namespace {

bool is_his(const Job& job, Oid user) {
    return pg::has_rights_of(user, job.oid(C::owner)) || pg::may_set_role(user, job.oid(C::run_as));
}

}  // namespace

void require_trusted_type(const JobType& type, const Job& job) {
    Oid run_as = job.oid(C::run_as);
    if (type.run_as == run_as || pg::is_superuser(type.run_as)) return;
    if (!pg::is_superuser(run_as) && pg::may_set_role(type.run_as, run_as)) return;
    throw SetupError(pg::Error("42501", "sync job " + std::to_string(job.id()) + " runs as role " + name_of(run_as) +
                                            ", but sync job type " + quoted(type.name) + " now runs as role " +
                                            name_of(type.run_as))
                         .detail("The type was changed, or created again, after the job was enqueued.")
                         .hint("Cancel the job, and enqueue it again."));
}

void require_own_documents(const DocumentType& documents) {
    if (!pg::is_superuser(pg::current_user())) return;
    auto check = [&](Oid owner, const std::string& what) {
        if (pg::is_superuser(owner)) return;
        throw SetupError(
            pg::Error("42501", "sync jobs on " + quoted(documents.label()) + " must not run as a superuser")
                .detail(what + " belongs to role " + name_of(owner) + ", which is not a superuser.")
                .hint("Set run_as of the sync job type to " + name_of(owner) +
                      " or another role that is not a superuser, and enqueue the job again."));
    };
    check(documents.relation().owner, "It");
    for (Oid descendant : pg::descendants(documents.relation().oid)) {
        Oid owner = pg::relation_owner(descendant);
        if (owner != pg::no_oid) check(owner, "Its partition or child " + quoted(pg::relation_name(descendant)));
    }
}

bool may_know(const Job& job) {
    Oid user = pg::current_user();
    return is_his(job, user) || has_level(user, Level::viewer) || has_level(user, Level::operator_);
}

void require_may_know(const Job& job) {
    if (!may_know(job)) throw denied("sync job " + std::to_string(job.id()));
}

bool may_read(Oid user, Oid owner, Oid run_as, Oid target) {
    if (!pg::has_rights_of(user, owner)) return false;
    if (target == pg::no_oid || !pg::relation_exists(target)) return pg::has_rights_of(user, run_as);
    if (!pg::may_select(user, target)) return false;
    return pg::may_select_all(user, target) || pg::has_rights_of(user, run_as);
}

namespace {

// An error, a message or the result of a comparison may quote a value of the source.
bool may_read_texts(const Job& job, Oid user) {
    Oid source = job.oid(C::source_document_type);
    bool none = job.is_null(C::error_message) && job.is_null(C::messages) && task_of(job) != Task::compare;
    if (source == pg::no_oid || none) return true;
    return may_read(user, job.oid(C::owner), job.oid(C::run_as), source);
}

}  // namespace

bool may_read_row(const Job& job) {
    Oid user = pg::current_user(), run_as = job.oid(C::run_as);
    bool of_owner = may_read(user, job.oid(C::owner), run_as, job.oid(C::target_document_type));
    return (of_owner && may_read_texts(job, user)) || pg::may_set_role(user, run_as) ||
           has_level(user, Level::operator_) || has_level(user, Level::viewer);
}

Job row_for_caller(const Job& job) {
    if (may_read_row(job)) return job;
    Job shown = job.copy();
    for (C column : {C::title, C::target_document_name, C::context, C::multiple_target_documents, C::current_data,
                     C::updated_data, C::diff_summary, C::error_message, C::messages, C::result, C::checkpoint,
                     C::fingerprint}) {
        shown.clear(column);
    }
    return shown;
}

void require_may_steer(const Job& job) {
    Oid user = pg::current_user();
    if (is_his(job, user) || has_level(user, Level::operator_)) return;
    throw denied("sync job " + std::to_string(job.id()))
        .detail("It belongs to role " + name_of(job.oid(C::owner)) + "; role " + name_of(user) + " is not an operator.");
}

void require_may_run(const Job& job) {
    Oid user = pg::current_user();
    if (!may_enqueue_again(job, user) && !has_level(user, Level::operator_)) throw may_not_run(job);
}

void require_may_change_context(const Job& job) {
    Oid user = pg::current_user();
    if (may_enqueue_again(job, user)) return;
    if (!has_level(user, Level::operator_)) throw may_not_run(job);
    throw may_not_run(job).hint("Level operator allows retrying the job only with its own context.");
}

}  // namespace sync_job
