#include "engine/running.hpp"

#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/text.hpp"
#include "engine/activity.hpp"
#include "engine/document.hpp"
#include "engine/objects.hpp"
#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::int64_t running_job = 0;

// The jobs whose rows have moved and that are not recorded yet; several where a job runs others inside itself.
std::set<std::int64_t>& moved_jobs() {
    static auto& jobs = *new std::set<std::int64_t>;
    return jobs;
}

std::unordered_set<std::int64_t>& under_way() {
    static auto& ids = *new std::unordered_set<std::int64_t>;  // never destroyed: the server may be gone by then
    return ids;
}

}  // namespace

Running::Running(const Job& job, const std::string& subject) : previous_(running_job) {
    running_job = job.id();
    note_under_way(running_job);
    if (previous_ == 0) show_job_start(job, subject);
}

Running::~Running() {
    running_job = previous_;
    if (previous_ == 0) show_job_end();
}

namespace {

std::string last_path, session_path;

std::string path_for(const JobType& type) {
    std::vector<std::string> path;
    auto add = [&](const std::string& schema) {
        std::string quoted_schema = pg::quoted_identifier(schema);
        for (const std::string& present : path) {
            if (present == quoted_schema) return;
        }
        path.push_back(quoted_schema);
    };
    if (!type.module.empty() && !type.declarative()) add(type.module);
    for (Oid relation : {type.source, type.target}) {
        if (relation != pg::no_oid) add(pg::relation_schema(relation));
    }
    add(objects().schema_name);
    path.push_back("pg_temp");
    return join(path, ", ");
}

}  // namespace

const std::string& search_path_of(const JobType& type) {
    if (type.background) return session_path;
    struct Cached {
        std::uint64_t types = 0, documents = 0;
        std::string path;
    };
    static auto& paths = *new std::unordered_map<std::string, Cached>;
    Cached& cached = paths[type.name];
    if (cached.types != job_type_generation() || cached.documents != document_generation()) {
        cached = {job_type_generation(), document_generation(), path_for(type)};
    }
    return cached.path;
}

void remember_session_search_path() { session_path = pg::search_path(); }

void set_search_path(const JobType& type) {
    last_path = search_path_of(type);
    if (!last_path.empty() && pg::search_path() != last_path) pg::set_local("search_path", last_path);
}

const std::string& last_search_path() { return last_path; }

void stamp_end(Job& job) { stamp_end(job, pg::now()); }

void stamp_end(Job& job, pg::Timestamp now) {
    job.set(C::ended_at, pg::int64_datum(now));
    if (!job.is_null(C::started_at)) job.set(C::time_taken, pg::interval_datum(now - job.int64(C::started_at)));
}

Job begun(const Job& job) {
    Job started = job.copy();
    started.set_status(Status::started);
    started.set(C::started_at, pg::int64_datum(pg::now()));
    for (C column : {C::ended_at, C::time_taken, C::error_message, C::retry_after}) started.clear(column);
    return started;
}

Outcome canceled_outcome(const Job& original) {
    Outcome outcome;
    outcome.job = original.copy();
    outcome.job.set_status(Status::canceled);
    std::string reason = requested_cancel_reason();
    if (!reason.empty()) outcome.job.set_text(C::cancel_reason, reason);
    stamp_end(outcome.job);
    return outcome;
}

bool is_under_way(std::int64_t id) { return under_way().count(id) > 0; }
void note_under_way(std::int64_t id) { under_way().insert(id); }
void forget_under_way(std::int64_t id) { under_way().erase(id); }
void watch_running() {
    pg::on_transaction_end([](bool) { under_way().clear(); });
}

void note_job_row_moved() { moved_jobs().insert(running_job); }
bool take_job_row_moved(std::int64_t id) { return moved_jobs().erase(id) > 0; }

std::int64_t current_job_id() { return running_job; }

}  // namespace sync_job
