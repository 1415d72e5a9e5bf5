#include "engine/running.hpp"

#include <set>

#include "core/text.hpp"
#include "engine/activity.hpp"
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

}  // namespace

Running::Running(const Job& job) : previous_(running_job) {
    running_job = job.id();
    if (previous_ == 0) show_job_start(job);
}

Running::~Running() {
    running_job = previous_;
    if (previous_ == 0) show_job_end();
}

std::string controller_search_path(const JobType& type) {
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
    std::string reason = take_cancel_reason();
    if (!reason.empty()) outcome.job.set_text(C::cancel_reason, reason);
    stamp_end(outcome.job);
    return outcome;
}

void note_job_row_moved() { moved_jobs().insert(running_job); }
bool take_job_row_moved(std::int64_t id) { return moved_jobs().erase(id) > 0; }

std::int64_t current_job_id() { return running_job; }

}  // namespace sync_job
