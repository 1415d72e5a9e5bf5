// The trigger of sync_job_alert: fills defaults, checks form and rights.
#include <optional>

#include "api/row_checks.hpp"
#include "controller/background_call.hpp"
#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "queue/rights.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using Event = pg::TriggerCall::Event;

bool is_number(const std::string& text) {
    return !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
}

void check_alert_form(const TableRow& row) {
    if (row.text("name").empty()) throw bad_column("name", "of an alert must not be empty");
    const std::string measure = row.text("measure"), threshold = row.text("threshold");
    bool counts = measure == "failed" || measure == "waiting" || measure == "out_of_step";
    if (!counts && measure != "oldest_change" && measure != "no_success") {
        throw bad_column("measure", "must be one of failed, waiting, oldest_change, no_success, out_of_step, not " + quoted(measure));
    }
    if (measure == "out_of_step" && !row.is_null("queue")) throw bad_column("queue", "has no effect on measure out_of_step");
    if (counts && !is_number(threshold)) throw bad_column("threshold", "of measure " + measure + " must be a number: " + quoted(threshold));
    if (!counts && pg::interval_microseconds(pg::text_to_value(threshold, pg::type::interval)) < 0) {
        throw bad_column("threshold", "must not be negative: " + threshold);
    }
    check_interval(row, "hold");
}

// A typo would otherwise go unnoticed. Only a warning: what does not exist yet may come later, as in a restore.
void warn_of_nothing(const TableRow& row) {
    if (pg::restores()) return;
    auto warn = [&](const char* what, const std::string& name) {
        pg::warning("alert " + quoted(row.text("name")) + " watches " + what + " " + quoted(name) + ", which does not exist");
    };
    if (std::string type = row.text("sync_job_type"); !type.empty() && find_job_type(type) == nullptr) warn("sync job type", type);
    if (std::string queue = row.text("queue"); !queue.empty() && find_queue(queue) == nullptr) warn("queue", queue);
}

// Its procedure runs with the rights of its owner.
void require_may_write_alert(const TableRow& row) {
    Oid owner = row.oid("owner"), user = pg::current_user();
    if (!pg::role_exists(owner)) throw pg::Error("42704", "owner: role with OID " + std::to_string(owner) + " does not exist");
    if (pg::may_set_role(user, owner)) return;
    throw pg::Error("42501", "permission denied for alert " + quoted(row.text("name")))
        .detail("It belongs to role " + quoted(pg::role_name(owner)) + ", which role " + quoted(pg::role_name(user)) +
                " may not become.");
}

void check_alert_procedure(TableRow& row) {
    static auto& add_queue =
        *new InternalStatement("INSERT INTO {}.sync_job_queue (name, max_workers) SELECT 'alert', 1"
                               " WHERE NOT EXISTS (SELECT FROM {}.sync_job_queue WHERE name = 'alert')", std::vector<Oid>{});
    if (row.is_null("procedure")) return;
    pg::Value args{pg::json_from_text("{\"alert\": {}}"), false};
    row.set("procedure", pg::text_datum(qualified_name(prepare_call(row.text("procedure"), args).function)));
    require_role_can_run(row.oid("owner"));
    add_queue.run({});
    pg::invalidate_relation(schema_objects().queue_table);
}

// Users cannot change what the scheduler keeps in the row.
void keep_alert_state(TableRow& row, const TableRow* old_row) {
    for (const char* column : {"state", "since", "value"}) row.set(column, old_row != nullptr ? old_row->at(column) : pg::Value{});
    if (old_row == nullptr) row.set("state", pg::text_datum("ok"));
}

Datum check_alert(pg::Arguments& args, const pg::TriggerCall& call) {
    require_level(Level::operator_, "table sync_job_alert");
    std::optional<TableRow> old_row;
    if (call.event != Event::insert) {
        old_row.emplace(call.relation, call.old_row);
        if (pg::role_exists(old_row->oid("owner"))) require_may_write_alert(*old_row);
    }
    if (call.event == Event::remove) return pg::trigger_proceed(args);
    TableRow row(call.relation, call.new_row);
    if (row.is_null("owner")) row.set("owner", pg::oid_datum(pg::current_user()));
    check_alert_form(row);
    require_may_write_alert(row);
    check_alert_procedure(row);
    warn_of_nothing(row);
    keep_alert_state(row, old_row ? &*old_row : nullptr);
    return pg::trigger_replace(args, row.row());
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_check_alert) {
    pg::TriggerCall call = pg::trigger_call(args, "check_alert");
    wake_scheduler_at_commit();
    return check_alert(args, call);
}
