// Documents by name, for people and for controllers that load documents themselves: with the caller's rights.
#include "core/text.hpp"
#include "document/deleted_document.hpp"
#include "document/document.hpp"
#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/spi.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

Datum as_json(pg::Arguments& args, const DocumentType& type, pg::Value row) {
    return row.null ? args.null_result() : type.to_json(row.datum);
}

Datum document(pg::Arguments& args, DocumentType& type, const std::string& name, DocumentType::Lock lock) {
    pg::SpiScope spi;
    std::string canonical = type.canonical_name(name);
    pg::Value row = type.load(canonical, lock);
    if (row.null && lock == DocumentType::Lock::none) row = find_deleted_document(type, canonical);
    return as_json(args, type, row);
}

// A job given as a row of sync_job.
Job job_argument(pg::Arguments& args) { return Job::from_composite(args.datum(0)); }

std::vector<std::string> declared_key(const Job& job, Oid relation) {
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    if (type != nullptr && relation == type->source) return type->source_key;
    if (type != nullptr && relation == type->target) return type->target_key;
    return {};
}

Datum document_of_job(pg::Arguments& args, C type_column, C name_column, DocumentType::Lock lock) {
    Job job = job_argument(args);
    if (job.is_null(name_column) || job.is_null(type_column)) return args.null_result();
    Oid relation = job.oid(type_column);
    auto type = DocumentType::find(relation, declared_key(job, relation));
    return document(args, *type, std::string(job.text(name_column)), lock);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_get_document) {
    auto type = DocumentType::find(*args.oid(0), {});
    return document(args, *type, *args.text(1), DocumentType::Lock::none);
}

SYNC_JOB_FUNCTION(sync_job_get_source_document) {
    return document_of_job(args, C::source_document_type, C::source_document_name, DocumentType::Lock::none);
}

SYNC_JOB_FUNCTION(sync_job_get_trigger_document) {
    return document_of_job(args, C::triggered_by_document_type, C::triggered_by_document_name,
                           DocumentType::Lock::none);
}

SYNC_JOB_FUNCTION(sync_job_get_target_document) {
    bool for_update = args.boolean(1).value_or(false);
    return document_of_job(args, C::target_document_type, C::target_document_name,
                           for_update ? DocumentType::Lock::for_update : DocumentType::Lock::none);
}
