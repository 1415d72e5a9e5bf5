#include "queue/waiting.hpp"

#include <algorithm>

#include "job/internal_sql.hpp"

namespace sync_job {

namespace {

using Sees = InternalStatement::Sees;

const std::string of_type = " WHERE sync_job_type = $1 AND source_document_name IS NOT NULL";
const std::string name_hash = "pg_catalog.hashtextextended(source_document_name, 0)";

// The only place that says where such jobs are. A waiting set job has the names of all its documents.
std::string waiting_jobs(const std::string& columns, const std::string& condition) {
    return "SELECT " + columns + " FROM sync_job_internal.sync_job_live" + of_type + condition + " UNION ALL SELECT " + columns +
           " FROM sync_job_internal.sync_job_failed" + of_type + " AND retry_after IS NOT NULL" + condition + " UNION ALL SELECT " +
           columns +
           " FROM (SELECT unnest(source_documents) AS source_document_name FROM sync_job_internal.sync_job_live"
           " WHERE sync_job_type = $1 AND source_documents IS NOT NULL) AS s WHERE true" +
           condition;
}

std::string hashes_sql(const std::string& condition) {
    return "SELECT pg_catalog.array_agg(w.hash) FROM (" + waiting_jobs(name_hash + " AS hash", condition) + ") AS w";
}

}  // namespace

WaitingDocuments::WaitingDocuments(const std::string& sync_job_type, const std::optional<std::string>& only) {
    static auto& all = *new InternalStatement(hashes_sql(""), {pg::type::text});
    static auto& one = *new InternalStatement(hashes_sql(" AND " + name_hash + " = pg_catalog.hashtextextended($2, 0)"),
                                              {pg::type::text, pg::type::text});
    pg::Value type{pg::text_datum(sync_job_type), false};
    auto rows = only ? one.run({type, {pg::text_datum(*only), false}}, Sees::active) : all.run({type}, Sees::active);
    if (rows.empty() || rows[0][0].null) return;
    hashes_ = pg::datum_int64_array(rows[0][0].datum);
    std::sort(hashes_.begin(), hashes_.end());
}

bool WaitingDocuments::has(const std::string& source_document_name) const {
    if (hashes_.empty()) return false;
    std::int64_t hash = pg::datum_int64(pg::text_hash(pg::text_datum(source_document_name)));
    return std::binary_search(hashes_.begin(), hashes_.end(), hash);
}

std::vector<std::string> waiting_with_kept_rows(const DocumentType& source, const std::string& sync_job_type) {
    static auto& select = *new InternalStatement(
        "SELECT DISTINCT d.document_name FROM {}.sync_job_deleted_document AS d JOIN (" +
            waiting_jobs("source_document_name AS name", "") +
            ") AS w ON w.name = d.document_name WHERE d.document_type = $2 AND (d.is_deletion OR d.sync_job_type = $1)",
        {pg::type::text, pg::type::regclass});
    std::vector<std::string> names;
    for (const auto& row : select.run(
             {{pg::text_datum(sync_job_type), false}, {pg::oid_datum(source.relation().oid), false}}, Sees::active)) {
        names.emplace_back(pg::datum_text(row[0].datum));
    }
    return names;
}

}  // namespace sync_job
