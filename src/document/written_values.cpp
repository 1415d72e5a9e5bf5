#include "document/written_values.hpp"

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

// {"column": value, …}, in a form that identifies each value exactly.
Datum values_of(const DocumentType& target, const pg::RowValues& row, const ColumnSet& columns) {
    pg::CanonicalOutput canonical;
    pg::JsonBuilder json;
    json.begin_object();
    for (int number : columns) {
        const pg::Column& column = target.relation().columns[number - 1];
        pg::Value value = row.at(number);
        json.key(column.name);
        json.value(value.datum, value.null, column.type, true);
    }
    json.end_object();
    return json.finish();
}

pg::Value hash_of(const std::string& name) { return {pg::text_hash(pg::text_datum(name)), false}; }

}  // namespace

ColumnSet unedited_columns(const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
                           const ColumnSet& columns, bool or_unknown) {
    static auto& select = *new InternalStatement(
        "SELECT v.key FROM jsonb_each($4) AS v LEFT JOIN sync_job_internal.written AS w"
        " ON w.sync_job_type = $1 AND w.document_type = $2 AND w.document = $3"
        " WHERE coalesce(w.hashes ->> v.key = encode(sha256(convert_to(v.value::text, getdatabaseencoding())), 'hex'), $5)",
        {pg::type::text, pg::type::regclass, pg::type::int8, pg::type::jsonb, pg::type::boolean});
    ColumnSet found;
    if (columns.empty()) return found;
    for (const auto& same : select.run({{pg::text_datum(sync_job_type), false},
                                        {pg::oid_datum(target.relation().oid), false},
                                        hash_of(target.name_of(row)),
                                        {values_of(target, row, columns), false},
                                        {pg::bool_datum(or_unknown), false}})) {
        found.push_back(target.relation().column(std::string(pg::datum_text(same[0].datum)))->number);
    }
    return found;
}

namespace {

// `known`: SQL for the new hashes if some are known already; `excluded` has the new ones.
std::string upsert_sql(const std::string& known) {
    return "INSERT INTO sync_job_internal.written AS w (sync_job_type, document_type, document, hashes)"
           " SELECT $1, $2, $3, jsonb_object_agg(v.key, encode(sha256(convert_to(v.value::text, getdatabaseencoding())), 'hex'))"
           " FROM jsonb_each($4) AS v"
           " ON CONFLICT (sync_job_type, document_type, document) DO UPDATE SET hashes = " + known +
           " WHERE w.hashes <> " + known;
}

void upsert(InternalStatement& statement, const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
            const ColumnSet& columns) {
    if (columns.empty()) return;
    statement.run({{pg::text_datum(sync_job_type), false},
                   {pg::oid_datum(target.relation().oid), false},
                   hash_of(target.name_of(row)),
                   {values_of(target, row, columns), false}});
}

const std::vector<Oid>& upsert_types() {
    static auto& types = *new std::vector<Oid>{pg::type::text, pg::type::regclass, pg::type::int8, pg::type::jsonb};
    return types;
}

}  // namespace

void remember_written(const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
                      const ColumnSet& columns) {
    static auto& statement = *new InternalStatement(upsert_sql("w.hashes || excluded.hashes"), upsert_types());
    upsert(statement, sync_job_type, target, row, columns);
}

void remember_adopted(const std::string& sync_job_type, const DocumentType& target, const pg::RowValues& row,
                      const ColumnSet& columns) {
    static auto& statement = *new InternalStatement(upsert_sql("excluded.hashes || w.hashes"), upsert_types());
    upsert(statement, sync_job_type, target, row, columns);
}

void forget_written(const DocumentType& target, const std::string& name) {
    static auto& remove = *new InternalStatement(
        "DELETE FROM sync_job_internal.written WHERE document_type = $1 AND document = $2", {pg::type::regclass, pg::type::int8});
    Oid table = schema_objects().written_table;
    if (table == pg::no_oid || pg::relation_pages(table) == 0) return;
    remove.run({{pg::oid_datum(target.relation().oid), false}, hash_of(name)});
}

}  // namespace sync_job
