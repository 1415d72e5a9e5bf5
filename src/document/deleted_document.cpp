#include "document/deleted_document.hpp"

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/role.hpp"
#include "pg/table.hpp"
#include "pg/xact.hpp"

namespace sync_job {

void keep_deleted_document(const DocumentType& type, const std::string& name, const pg::RowValues& row) {
    const SchemaObjects& o = schema_objects();
    // The columns of sync_job_deleted_document, in order.
    Datum values[] = {pg::int64_datum(pg::next_sequence_value(o.deleted_sequence)),
                      pg::oid_datum(type.relation().oid),
                      pg::text_datum(name),
                      type.to_exact_json(row),
                      pg::int64_datum(pg::transaction_start()),
                      pg::oid_datum(pg::current_user())};
    bool nulls[std::size(values)] = {};
    pg::Table table(o.deleted_table, pg::TableLock::write);
    table.insert({values, nulls, static_cast<int>(std::size(values))});
}

pg::Value find_deleted_document(const DocumentType& type, const std::string& name) {
    if (pg::row_security_applies(type.relation().oid)) return {};
    static auto& select = *new InternalStatement(
        "SELECT data FROM {}.sync_job_deleted_document"
        " WHERE document_type = $1 AND document_name = $2 ORDER BY id DESC LIMIT 1",
        {pg::type::regclass, pg::type::text});
    auto rows = select.run({{pg::oid_datum(type.relation().oid), false}, {pg::text_datum(name), false}});
    if (rows.empty()) return {};
    return {pg::put_together(type.from_exact_json(rows[0][0].datum), type.relation()), false};
}

}  // namespace sync_job
