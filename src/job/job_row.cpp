#include "job/job_row.hpp"

#include <algorithm>
#include <iterator>

#include "core/text.hpp"
#include "pg/memory.hpp"

namespace sync_job {

const char* const job_column_names[] = {
#define SYNC_JOB_COLUMN(name) #name,
    SYNC_JOB_COLUMNS(SYNC_JOB_COLUMN)
#undef SYNC_JOB_COLUMN
};

namespace {
using namespace pg::type;
}
const Oid job_column_types[] = {
    int8, text, text, text, regclass, text, regclass, text, text, jsonb, int8, jsonb,  // … multiple_target_documents
    text, int4, interval, interval, text, int4, int4, timestamptz, timestamptz,        // queue … scheduled_at
    boolean, boolean, boolean, boolean, boolean, boolean, boolean,                     // insert_enabled … queue_on_insert
    text, regclass, text, timestamptz, text, jsonb, jsonb, jsonb, text, text, jsonb,   // trigger_type … result
    jsonb, text, regrole, regrole, regrole, timestamptz, timestamptz, timestamptz,     // checkpoint … ended_at
    interval, text, text, text, int8_array, text, text, boolean, int4,                 // time_taken … depth
    int4, text_array, text, boolean, int4, uuid, text};                                // documents … traceparent
static_assert(std::size(job_column_types) == std::size(job_column_names));
const int job_column_count = sizeof(job_column_names) / sizeof(job_column_names[0]);

Job Job::blank() {
    Job job;
    job.row_.values = pg::allocate_array<Datum>(job_column_count);
    job.row_.nulls = pg::allocate_array<bool>(job_column_count);
    job.row_.count = job_column_count;
    for (int i = 0; i < job_column_count; i++) job.row_.nulls[i] = true;
    return job;
}

// A row of an older version lacks the last columns.
Job::Job(const pg::RowValues& row) : row_(row) {
    if (row.count >= job_column_count) return;
    row_ = blank().row_;
    std::copy_n(row.values, row.count, row_.values);
    std::copy_n(row.nulls, row.count, row_.nulls);
}

Job::Job(const pg::StoredRow& stored) : Job(stored.row) {
    place = stored.place;
    created_by_transaction = stored.created_by;
}

Job Job::from_composite(Datum row) { return Job(pg::take_apart(row, job_column_count)); }

Job Job::copy() const {
    Job other(*this);
    other.row_ = pg::copy_of(row_);
    return other;
}

std::string_view Job::text(C column) const {
    return is_null(column) ? std::string_view() : pg::datum_text(datum(column));
}

void Job::set_text(C column, std::string_view value) { set(column, pg::text_datum(value)); }

void Job::set_oid(C column, Oid value) {
    if (value == pg::no_oid) {
        clear(column);
    } else {
        set(column, pg::oid_datum(value));
    }
}

void Job::set_title(std::string_view source_label, std::string_view target_label) {
    constexpr int title_limit = 140;
    set_text(C::title, pg::clipped(make_title(text(C::sync_job_type), source_label, text(C::source_document_name),
                                              target_label, text(C::target_document_name)),
                                   title_limit));
}

Status Job::status() const { return parse_status(text(C::status)).value_or(Status::failed); }

std::optional<Operation> Job::operation() const {
    return is_null(C::operation) ? std::nullopt : parse_operation(text(C::operation));
}

Job::C Job::enabled_column(Operation operation) {
    switch (operation) {
        case Operation::insert:
            return C::insert_enabled;
        case Operation::update:
            return C::update_enabled;
        case Operation::remove:
            break;
    }
    return C::delete_enabled;
}

std::string describe(const Job& job) {
    std::string out = "job " + std::to_string(job.id()) + " (" + std::string(job.text(JobColumn::sync_job_type));
    if (!job.is_null(JobColumn::source_document_name)) {
        constexpr int longest_name = 140;
        out += ", " + pg::relation_name(job.oid(JobColumn::source_document_type)) + " " +
               pg::clipped(std::string(job.text(JobColumn::source_document_name)), longest_name);
    }
    if (!job.is_null(JobColumn::traceparent)) out += ", trace " + std::string(job.text(JobColumn::traceparent));
    return out + ")";
}

}  // namespace sync_job
