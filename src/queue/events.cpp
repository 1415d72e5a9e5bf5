#include "queue/events.hpp"

#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// A notification must be shorter than 8000 bytes.
constexpr std::size_t longest_payload = 7900;

std::int64_t keep(const std::string& event, pg::Value message, Oid created_by) {
    static auto& insert = *new InternalStatement(
        "INSERT INTO {}.sync_job_event (event, message, created_by) VALUES ($1, $2, $3) RETURNING id",
        {pg::type::text, pg::type::jsonb, pg::type::regrole});
    auto rows = insert.run({{pg::text_datum(event), false}, message, {pg::oid_datum(created_by), false}});
    return pg::datum_int64(rows[0][0].datum);
}

bool notify_if_short(Datum payload) {
    std::string text = pg::json_to_text(payload);
    if (text.size() > longest_payload) return false;
    pg::notify("sync_job", text);
    return true;
}

}  // namespace

void publish_event(const std::string& event, pg::Value message) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("event", event);
    json.key("message");
    json.value(message.datum, message.null, pg::type::jsonb, false);
    json.end_object();
    if (notify_if_short(json.finish())) return;
    pg::JsonBuilder reference;
    reference.begin_object();
    reference.field("event", event);
    reference.key("event_id");
    reference.number(keep(event, message, pg::current_user()));
    reference.end_object();
    pg::notify("sync_job", pg::json_to_text(reference.finish()));
}

namespace {

void publish_state(const std::string& event, const Job& job) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("event", event);
    json.key("sync_job");
    json.number(job.id());
    json.field("sync_job_type", job.text(C::sync_job_type));
    json.field("status", job.text(C::status));
    if (!job.is_null(C::job_id)) json.field("job_id", job.text(C::job_id));
    if (!job.is_null(C::traceparent)) json.field("traceparent", job.text(C::traceparent));
    json.end_object();
    Datum whole = json.finish();
    if (notify_if_short(whole)) return;
    pg::JsonBuilder reference;
    reference.begin_object();
    reference.field("event", event);
    reference.key("sync_job");
    reference.number(job.id());
    reference.field("status", job.text(C::status));
    reference.key("event_id");
    reference.number(keep(event, {whole, false}, job.oid(C::owner)));
    reference.end_object();
    pg::notify("sync_job", pg::json_to_text(reference.finish()));
}

}  // namespace

void publish_end(const Job& job) {
    if (job.flag(C::publish_event)) publish_state("sync_job_ended", job);
}

void publish_start(const Job& job) {
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    if (type != nullptr && type->publish_starts) publish_state("sync_job_started", job);
}

}  // namespace sync_job
