#include "engine/deleted.hpp"

#include "engine/own_sql.hpp"
#include "pg/role.hpp"

namespace sync_job {

void keep_deleted_document(const DocumentType& type, const std::string& name, Oid relation, Datum row) {
    static auto& insert = *new OwnStatement(
        "INSERT INTO {}.sync_job_deleted_document (document_type, document_name, data, deleted_by)"
        " VALUES ($1, $2, $3, $4)",
        {pg::type::regclass, pg::type::text, pg::type::jsonb, pg::type::regrole});
    Datum data = type.to_exact_json(relation, row);  // with the writer's rights, before we switch
    insert.run({{pg::oid_datum(type.relation().oid), false},
                {pg::text_datum(name), false},
                {data, false},
                {pg::oid_datum(pg::current_user()), false}});
}

pg::Value find_deleted_document(const DocumentType& type, const std::string& name) {
    static auto& select = *new OwnStatement(
        "SELECT data FROM {}.sync_job_deleted_document"
        " WHERE document_type = $1 AND document_name = $2 ORDER BY id DESC LIMIT 1",
        {pg::type::regclass, pg::type::text});
    auto rows = select.run({{pg::oid_datum(type.relation().oid), false}, {pg::text_datum(name), false}});
    if (rows.empty()) return {};
    return {pg::put_together(type.from_exact_json(rows[0][0].datum), type.relation()), false};
}

}  // namespace sync_job
