#include "queue/push.hpp"

#include "job/job_type.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {
using C = JobColumn;
constexpr const char* requests_key = "http_requests";
}  // namespace

bool is_push(const Job& job) {
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    return type != nullptr && type->is_push() && !task_of(job);
}

void hold_push(Job& job) {
    if (job.status() != Status::queued || !is_push(job)) return;
    if (!job.is_null(C::scheduled_at) && job.int64(C::scheduled_at) > pg::now()) return;
    job.set(C::held, pg::bool_datum(true));
}

int requests_of(const Job& job) {
    if (job.is_null(C::checkpoint) || pg::json_kind(job.datum(C::checkpoint)) != pg::JsonKind::object) return 0;
    for (const pg::JsonField& field : pg::json_fields(job.datum(C::checkpoint))) {
        if (field.key == requests_key) return static_cast<int>(task_number(field, 0, INT32_MAX, "checkpoint"));
    }
    return 0;
}

void set_requests(Job& job, int number) {
    pg::JsonBuilder json;
    json.begin_object();
    json.key(requests_key);
    json.number(number);
    json.end_object();
    job.set(C::checkpoint, json.finish());
}

}  // namespace sync_job
