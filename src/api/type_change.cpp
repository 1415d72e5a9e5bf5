// After a job type was written: records who changed what, and when, in sync_job_type_change; and warns if the type cannot work.
#include <optional>
#include <string>

#include "controller/validation.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using Event = pg::TriggerCall::Event;

// The table's own trigger writes these: their changes tell nothing.
bool tells_nothing(const std::string& column) { return column == "created_at" || column == "modified_at"; }

bool same(const pg::Column& column, const pg::RowValues& one, const pg::RowValues& other) {
    pg::Value a = one.at(column.number), b = other.at(column.number);
    return a.null == b.null && (a.null || pg::same_image(a.datum, b.datum, column.by_value, column.length));
}

// The columns that differ from `other`, or all that are not null; null: there are none.
pg::Value columns_of(const pg::RelationInfo& table, const pg::RowValues& row, const pg::RowValues* other) {
    pg::JsonBuilder json;
    bool any = false;
    json.begin_object();
    for (const pg::Column& column : table.columns) {
        if (column.dropped || tells_nothing(column.name)) continue;
        pg::Value value = row.at(column.number);
        if (other != nullptr ? same(column, row, *other) : value.null) continue;
        json.key(column.name);
        json.value(value.datum, value.null, column.type, false);
        any = true;
    }
    json.end_object();
    return {json.finish(), !any};
}

std::optional<Finding> finding_of(const TableRow& row) {
    try {
        pg::Subtransaction subtransaction;
        auto finding = first_finding(*job_type_of(row));
        subtransaction.commit();
        return finding;
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    return std::nullopt;
}

// Warns of the first finding of validate_sync_job_type(), if it is new. Not an error, and nothing during a restore, which creates keys
// and functions after the rows.
void warn_of_findings(const TableRow& row, const TableRow* old_row) {
    if (!schema_objects().current || pg::restores()) return;
    auto finding = finding_of(row);
    if (!finding) return;
    const pg::ErrorReport& report = *finding->report;
    auto before = old_row == nullptr ? std::nullopt : finding_of(*old_row);
    if (before && before->report->message == report.message) return;
    pg::warning((finding->is_error ? "jobs of sync job type " : "sync job type ") + quoted(row.text("name")) +
                    (finding->is_error ? " will fail: " : ": ") + report.message,
                report.detail, report.hint);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

// Fires after the row has been written, so that rows left out by ON CONFLICT DO NOTHING are not recorded. The role is the session's,
// even if a function changes the type with its owner's rights.
SYNC_JOB_FUNCTION(sync_job_note_type_change) {
    static auto& insert = *new InternalStatement(
        "INSERT INTO {}.sync_job_type_change (sync_job_type, operation, changed_at, changed_by, run_as, old, new)"
        " VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6)",
        {pg::type::text, pg::type::text, pg::type::regrole, pg::type::regrole, pg::type::jsonb, pg::type::jsonb});
    pg::TriggerCall call = pg::trigger_call(args, "note_type_change");
    auto table = pg::read_relation(call.relation);
    bool has_old = call.event != Event::insert, has_new = call.event != Event::remove;
    pg::Value old_columns, new_columns;
    {
        pg::OwnerScope qualified(schema_objects().owner);  // names of relations with their schema
        pg::CanonicalOutput canonical;
        if (has_old) old_columns = columns_of(*table, call.old_row, has_new ? &call.new_row : nullptr);
        if (has_new) new_columns = columns_of(*table, call.new_row, has_old ? &call.old_row : nullptr);
    }
    if (old_columns.null && new_columns.null) return pg::trigger_suppress(args);
    if (has_new) {
        std::optional<TableRow> old_row;
        if (has_old) old_row.emplace(call.relation, call.old_row);
        warn_of_findings(TableRow(call.relation, call.new_row), old_row ? &*old_row : nullptr);
    }
    const pg::RowValues& row = has_new ? call.new_row : call.old_row;
    insert.run({row.at(table->column("name")->number), {pg::text_datum(has_old ? has_new ? "Update" : "Delete" : "Insert"), false},
                {pg::oid_datum(pg::outer_user()), false}, row.at(table->column("run_as")->number), old_columns, new_columns});
    return pg::trigger_suppress(args);
}
